//! Edges that are at one place as far as readers can tell.

use crate::place::Point;

/// The edges of a fleet by metro.
#[derive(Debug)]
pub(super) struct Metros {
    /// Each by the edge that founded it and that edge's place, in the order of their names.
    founders: Vec<(usize, Point)>,
    /// The metro of each edge.
    of: Vec<Option<usize>>,
}

impl Metros {
    /// Edges at most this far from the founder's place count as one place: about half a millisecond, less than the difference
    /// between two paths to one town, and less than databases err by.
    pub(super) const RADIUS_KM: f64 = 50.0;

    /// Founds the metros of edges, in the order of their names: each edge joins the first metro that it is close enough to the
    /// founder of, else it founds one. An edge without a place is in none.
    ///
    /// These are all edges, whatever their health, so that an outage never redraws the map.
    pub(super) fn of(edges: impl Iterator<Item = Option<Point>>) -> Self {
        let mut founders: Vec<(usize, Point)> = Vec::new();
        let of = edges
            .enumerate()
            .map(|(edge, point)| {
                let point = point?;
                let close =
                    |(_, centre): &(usize, Point)| centre.place().kilometres_to(point.place()) <= Self::RADIUS_KM;
                Some(founders.iter().position(close).unwrap_or_else(|| {
                    founders.push((edge, point));
                    founders.len() - 1
                }))
            })
            .collect();
        Self { founders, of }
    }

    /// The metro of an edge.
    pub(super) fn of_edge(&self, edge: usize) -> Option<usize> {
        self.of[edge]
    }

    /// The place of a metro.
    pub(super) fn centre(&self, metro: usize) -> Point {
        self.founders[metro].1
    }

    /// The edge that a metro is known by.
    pub(super) fn founder(&self, metro: usize) -> usize {
        self.founders[metro].0
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::GeoPoint;

    use super::*;

    #[test]
    fn who_is_close_to_the_founder_joins() {
        let places = [Some("50,8"), Some("50.4,8"), None, Some("50.8,8"), Some("49.6,8"), Some("50.5,8"), Some("51,8")];
        let metros = Metros::of(places.into_iter().map(|place| Some(place?.parse::<GeoPoint>().ok()?.into())));
        // 0.4° are 44 km. The fourth is too far from the first, though not from the second; the sixth, between, joins the later.
        let of: Vec<_> =
            (0..places.len()).map(|edge| metros.of_edge(edge).map(|metro| metros.founder(metro))).collect();
        assert_eq!(of, [Some(0), Some(0), None, Some(3), Some(0), Some(3), Some(3)]);
        assert_eq!(metros.centre(1).place().to_string(), "50.8,8");
    }
}
