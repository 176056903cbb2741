//! Metros: groups of edges at one location, as far as clients can tell.

use crate::geo::GeoVector;

/// The edges of a fleet, grouped into metros.
#[derive(Debug)]
pub(super) struct Metros {
    /// The founding edge and centre of each metro, in the order of the founders' names.
    founders: Vec<(usize, GeoVector)>,
    /// The metro of each edge.
    of: Vec<Option<usize>>,
}

impl Metros {
    /// The greatest distance of an edge from the centre of its metro. About half a millisecond of latency: less than the
    /// difference between two paths to one town, and less than the error of geolocation databases.
    pub(super) const RADIUS_KM: f64 = 50.0;

    /// Groups edges, given in the order of their names: each edge joins the first metro whose centre is near enough, or else
    /// founds one. An edge without a location is in none.
    ///
    /// All edges are grouped, whatever their health, so that an outage never changes the metros.
    pub(super) fn of(edges: impl Iterator<Item = Option<GeoVector>>) -> Self {
        let mut founders: Vec<(usize, GeoVector)> = Vec::new();
        let of = edges
            .enumerate()
            .map(|(edge, point)| {
                let point = point?;
                let is_near = |(_, centre): &(usize, GeoVector)| {
                    centre.location().kilometres_to(point.location()) <= Self::RADIUS_KM
                };
                Some(founders.iter().position(is_near).unwrap_or_else(|| {
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

    /// The location of a metro: that of its founder.
    pub(super) fn centre(&self, metro: usize) -> GeoVector {
        self.founders[metro].1
    }

    /// The edge that a metro is named after.
    pub(super) fn founder(&self, metro: usize) -> usize {
        self.founders[metro].0
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::GeoPoint;

    use super::*;

    #[test]
    fn edge_joins_the_first_metro_whose_founder_is_near() {
        let locations =
            [Some("50,8"), Some("50.4,8"), None, Some("50.8,8"), Some("49.6,8"), Some("50.5,8"), Some("51,8")];
        let metros = Metros::of(locations.into_iter().map(|text| Some(text?.parse::<GeoPoint>().ok()?.into())));
        // 0.4° are 44 km. The fourth is too far from the first, though not from the second; the sixth, between, joins the later.
        let of: Vec<_> =
            (0..locations.len()).map(|edge| metros.of_edge(edge).map(|metro| metros.founder(metro))).collect();
        assert_eq!(of, [Some(0), Some(0), None, Some(3), Some(0), Some(3), Some(3)]);
        assert_eq!(metros.centre(1).location().to_string(), "50.8,8");
    }
}
