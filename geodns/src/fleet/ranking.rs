//! The full order of edges for a client, with reasons, for explanations.

use std::net::IpAddr;

use verge_protocol::EdgeName;

use super::eligibility::Eligibility;
use super::member::Edge;
use super::metro::Metros;
use super::rendezvous::{self, network_key};
use super::selected_edges::Selection;
use crate::geo::ClientLocation;

/// An edge in the order in which a client would get edges if all were eligible.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RankedEdge {
    pub(crate) edge: EdgeName,
    /// Kilometres along the great circle; `None` if the location of the edge or of the client is unknown.
    pub(crate) distance_km: Option<f64>,
    /// The founder of its metro; `None` if it has no location.
    pub(crate) metro: Option<EdgeName>,
    /// Its address in the answer, if it is selected.
    pub(crate) address: Option<IpAddr>,
    pub(crate) eligibility: Eligibility,
}

/// Ranks all edges in the order of [`Fleet::choose`](super::Fleet::choose).
///
/// The order comes from sorting all edges, independently of the shortcuts that the selection takes.
pub(super) fn rank(
    edges: &[Edge],
    metros: &Metros,
    eligibility: &[Eligibility],
    selection: &Selection,
    from: &ClientLocation,
) -> Vec<RankedEdge> {
    let network = network_key(from.network);
    let sort_key = |edge: usize| {
        let metro = metros.of_edge(edge);
        // To a client without a location all edges are one metro; to others, edges without a location come last.
        let distance = from
            .point
            .map(|point| (metro.map_or(f64::INFINITY, |metro| -point.nearness(&metros.centre(metro))), metro));
        (distance, rendezvous::cost(network, edges[edge].key, edges[edge].weight))
    };
    let mut order: Vec<usize> = (0..edges.len()).collect();
    order.sort_by(|one, other| sort_key(*one).partial_cmp(&sort_key(*other)).expect("no distance or cost is NaN"));
    let ranked = |edge: usize| RankedEdge {
        edge: edges[edge].name.clone(),
        distance_km: edges[edge].point.zip(from.point).map(|(to, from)| from.location().kilometres_to(to.location())),
        metro: metros.of_edge(edge).map(|metro| edges[metros.founder(metro)].name.clone()),
        address: selection.edges().iter().find(|selected| selected.edge == edge).map(|selected| selected.address),
        eligibility: eligibility[edge],
    };
    order.into_iter().map(ranked).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::RegionSetId;
    use super::super::test_support::{
        DOWN, DRAINING, GOOD, LAGGING, client, edge, fleet, location_and_network, members, queries,
    };
    use super::*;
    use crate::geo::Family;

    #[test]
    fn every_edge_is_ranked_with_its_eligibility() {
        let mut members = vec![
            edge("ams", "52.37,4.90", "192.0.2.1", "eu"),
            edge("fra-1", "50.11,8.68", "192.0.2.2", "eu").with(DOWN),
            edge("fra-2", "50.12,8.74", "192.0.2.3", "eu"),
            edge("unlocated", "", "192.0.2.4", "eu"),
            edge("lon", "51.51,-0.13", "192.0.2.5", "eu").with(LAGGING),
            edge("nyc", "40.71,-74.01", "192.0.2.6", "na").with(GOOD),
            edge("par", "48.86,2.35", "192.0.2.7", "eu").with(DRAINING),
            edge("rom", "41.90,12.50", "2001:db8::1", "eu"),
            edge("waw", "52.23,21.01", "192.0.2.8", "eu"),
        ];
        members[8].state.force = verge_protocol::fleet::Force::Down;
        let fleet = fleet(members, 2, "eu");
        let line = |ranked: RankedEdge| {
            let distance = ranked.distance_km.map_or("-".to_owned(), |distance| format!("{distance:.0} km"));
            let metro = ranked.metro.as_ref().map_or("-", |metro| metro.as_str());
            let selected = if ranked.address.is_some() { "selected" } else { "-" };
            format!("{} ({metro}, {distance}) {selected} {:?}", ranked.edge, ranked.eligibility)
        };
        let rank = |location| {
            let ranked = fleet.rank(RegionSetId(1), Family::V4, &client(location, "198.51.100.0/24"));
            ranked.into_iter().map(line).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(format!("{}\n\n{}", rank("52.52,13.40"), rank("")));
        assert_eq!(fleet.rank(RegionSetId(9), Family::V4, &client("", "198.51.100.0/24")), []);
    }

    proptest! {
        #[test]
        fn selection_is_the_prefix_of_the_ranking(
            members in members(), from in location_and_network(), (regions, family, answers) in queries()
        ) {
            let fleet = fleet(members.clone(), answers, "eu");
            let selection = fleet.choose(regions, family, &from);
            let selected: Vec<_> = selection.edges().iter().map(|edge| fleet.name(edge.edge).clone()).collect();
            let ranked = fleet.rank(regions, family, &from);
            let eligible = ranked.iter().filter(|edge| edge.eligibility.is_eligible());
            let order: Vec<_> = eligible.map(|edge| edge.edge.clone()).collect();
            prop_assert_eq!(&selected[..], &order[..order.len().min(answers)]);
            prop_assert_eq!(ranked.len(), members.len());

            // The order is that of the haversine to the metros' centres, edges without a location last.
            if let Some(point) = from.point {
                let metres = |ranked: &RankedEdge| match &ranked.metro {
                    Some(metro) => {
                        let founder = members.iter().find(|member| member.name == *metro).unwrap();
                        founder.state.location.unwrap().kilometres_to(point.location()) * 1000.0
                    }
                    None => f64::INFINITY,
                };
                for pair in ranked.windows(2) {
                    prop_assert!(metres(&pair[0]) <= metres(&pair[1]) + 1.0);
                }
            }
        }
    }
}
