//! Unit vectors of locations, for comparing distances.

use verge_protocol::GeoPoint;

/// A location with its unit vector from the centre of the earth, so that comparing distances takes a dot product each and no
/// trigonometry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GeoVector {
    location: GeoPoint,
    vector: [f64; 3],
}

impl GeoVector {
    /// The location itself.
    pub(crate) fn location(self) -> GeoPoint {
        self.location
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

impl From<GeoPoint> for GeoVector {
    fn from(location: GeoPoint) -> Self {
        let (latitude, longitude) = (location.latitude().to_radians(), location.longitude().to_radians());
        let vector = [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()];
        Self { location, vector }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn location() -> impl Strategy<Value = GeoPoint> {
        (-90.0..=90.0_f64, -180.0..=180.0_f64)
            .prop_map(|(latitude, longitude)| GeoPoint::new(latitude, longitude).unwrap())
    }

    proptest! {
        #[test]
        fn nearness_orders_locations_as_the_haversine_does(
            from in location(), one in location(), step in -1e-4..1e-4_f64, far in location()
        ) {
            let close = GeoPoint::new((one.latitude() + step).clamp(-90.0, 90.0), one.longitude()).unwrap();
            for other in [close, far] {
                let metres = (from.kilometres_to(one) - from.kilometres_to(other)) * 1000.0;
                let [from, one, other] = [from, one, other].map(GeoVector::from);
                if metres.abs() >= 1.0 {
                    prop_assert_eq!(from.nearness(&one) > from.nearness(&other), metres < 0.0);
                }
            }
        }
    }
}
