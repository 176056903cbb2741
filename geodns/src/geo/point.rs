//! Places as distances are compared.

use verge_protocol::GeoPoint;

/// A place with its unit vector from the centre of the earth, so that which of two is nearer takes a multiplication each and no
/// trigonometry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    place: GeoPoint,
    vector: [f64; 3],
}

impl Point {
    /// The place itself.
    pub(crate) fn place(self) -> GeoPoint {
        self.place
    }

    /// The cosine of the angle between the two: the greater, the nearer.
    ///
    /// Rounding misleads by less than a metre: near 1, where the cosine is flattest, an error of 2⁻⁵² is an angle of 2⁻²⁵·⁵, or
    /// 13 cm on the ground. (With `f32` it would be 2 km.)
    pub(crate) fn nearness(&self, other: &Self) -> f64 {
        let [x, y, z] = self.vector;
        let [other_x, other_y, other_z] = other.vector;
        x * other_x + y * other_y + z * other_z
    }
}

impl From<GeoPoint> for Point {
    fn from(place: GeoPoint) -> Self {
        let (latitude, longitude) = (place.latitude().to_radians(), place.longitude().to_radians());
        let vector = [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()];
        Self { place, vector }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = GeoPoint> {
        (-90.0..=90.0_f64, -180.0..=180.0_f64)
            .prop_map(|(latitude, longitude)| GeoPoint::new(latitude, longitude).unwrap())
    }

    proptest! {
        #[test]
        fn the_nearer_is_that_of_the_haversine(
            from in place(), one in place(), step in -1e-4..1e-4_f64, far in place()
        ) {
            let close = GeoPoint::new((one.latitude() + step).clamp(-90.0, 90.0), one.longitude()).unwrap();
            for other in [close, far] {
                let metres = (from.kilometres_to(one) - from.kilometres_to(other)) * 1000.0;
                let [from, one, other] = [from, one, other].map(Point::from);
                if metres.abs() >= 1.0 {
                    prop_assert_eq!(from.nearness(&one) > from.nearness(&other), metres < 0.0);
                }
            }
        }
    }
}
