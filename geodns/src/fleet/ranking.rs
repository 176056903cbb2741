//! Why readers are sent where they are.

use std::net::IpAddr;

use verge_protocol::EdgeName;

use super::rendezvous::{self, network_key};
use super::{Family, FenceId, Fleet, Standing};
use crate::place::Locality;

/// An edge in the order in which edges would be named to a reader if all might be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranked {
    pub(crate) edge: EdgeName,
    /// Kilometres to it along the great circle; `None` if it or the reader has no place.
    pub(crate) distance_km: Option<f64>,
    /// The edge whose name its metro goes by; `None` if it has no place.
    pub(crate) metro: Option<EdgeName>,
    /// The address it is named by, if it is.
    pub(crate) named: Option<IpAddr>,
    pub(crate) standing: Standing,
}

impl Ranked {
    /// What became of it and why, in words.
    pub(crate) fn verdict(&self) -> String {
        let verdict = match self.named {
            Some(_) => "named",
            None if self.standing.may_be_named() => "in reserve",
            None => "left out",
        };
        format!("{verdict}: {}", self.standing)
    }
}

impl Fleet {
    /// Every edge in the order of [`Self::choose`], of which those that are not named are passed over. Empty if the fleet was made
    /// without this fence.
    ///
    /// The order is worked out by sorting all edges, whatever shortcuts the choice takes.
    pub(crate) fn explain(&self, fence: FenceId, family: Family, from: &Locality) -> Vec<Ranked> {
        let Some(roster) = self.roster(fence, family) else { return Vec::new() };
        let picked = self.choose(fence, family, from);
        let network = network_key(from.network);
        let distance = |edge: usize| {
            let metro = self.metros.of_edge(edge);
            // To a reader who is nowhere all are one metro; to others, those without a place are the last.
            let far = from
                .place
                .map(|place| (metro.map_or(f64::INFINITY, |metro| -place.nearness(&self.metros.centre(metro))), metro));
            let time = rendezvous::time(network, self.edges[edge].key, self.edges[edge].weight);
            (far, time)
        };
        let mut order: Vec<usize> = (0..self.edges.len()).collect();
        order.sort_by(|one, other| distance(*one).partial_cmp(&distance(*other)).expect("no distance is NaN"));
        let ranked = |edge: usize| Ranked {
            edge: self.edges[edge].name.clone(),
            distance_km: self.edges[edge]
                .point
                .zip(from.place)
                .map(|(to, from)| from.place().kilometres_to(to.place())),
            metro: self.metros.of_edge(edge).map(|metro| self.name(self.metros.founder(metro)).clone()),
            named: picked.named().iter().find(|named| named.edge == edge).map(|named| named.address),
            standing: roster.standings()[edge],
        };
        order.into_iter().map(ranked).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{BEHIND, DOWN, DRAINING, GOOD, anywhere, edge, fleet, members, questions, reader};
    use super::*;

    #[test]
    fn says_why_of_every_edge() {
        let mut members = vec![
            edge("ams", "52.37,4.90", "192.0.2.1", "eu"),
            edge("fra-1", "50.11,8.68", "192.0.2.2", "eu").is(DOWN),
            edge("fra-2", "50.12,8.74", "192.0.2.3", "eu"),
            edge("ghost", "", "192.0.2.4", "eu"),
            edge("lon", "51.51,-0.13", "192.0.2.5", "eu").is(BEHIND),
            edge("nyc", "40.71,-74.01", "192.0.2.6", "na").is(GOOD),
            edge("par", "48.86,2.35", "192.0.2.7", "eu").is(DRAINING),
            edge("rom", "41.90,12.50", "2001:db8::1", "eu"),
            edge("waw", "52.23,21.01", "192.0.2.8", "eu"),
        ];
        members[8].state.force = verge_protocol::fleet::Force::Down;
        let fleet = fleet(members, 2, "eu");
        let line = |ranked: Ranked| {
            let distance = ranked.distance_km.map_or("-".to_owned(), |distance| format!("{distance:.0} km"));
            let metro = ranked.metro.as_ref().map_or("-", |metro| metro.as_str());
            format!("{} ({metro}, {distance}) {}", ranked.edge, ranked.verdict())
        };
        let explain = |place| {
            let explained = fleet.explain(FenceId(1), Family::V4, &reader(place, "198.51.100.0/24"));
            explained.into_iter().map(line).collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(format!("{}\n\n{}", explain("52.52,13.40"), explain("")));
        assert_eq!(fleet.explain(FenceId(9), Family::V4, &reader("", "198.51.100.0/24")), []);
    }

    proptest! {
        #[test]
        fn the_choice_is_the_beginning_of_the_order(
            members in members(), from in anywhere(), (fence, family, answers) in questions()
        ) {
            let fleet = fleet(members.clone(), answers, "eu");
            let picked: Vec<_> =
                fleet.choose(fence, family, &from).named().iter().map(|named| fleet.name(named.edge).clone()).collect();
            let explained = fleet.explain(fence, family, &from);
            let order: Vec<_> =
                explained.iter().filter(|edge| edge.standing.may_be_named()).map(|edge| edge.edge.clone()).collect();
            prop_assert_eq!(&picked[..], &order[..order.len().min(answers)]);
            prop_assert_eq!(explained.len(), members.len());

            // The order is that of the haversine to the metros' places, those without a place last.
            if let Some(place) = from.place {
                let metres = |ranked: &Ranked| match &ranked.metro {
                    Some(metro) => {
                        let founder = members.iter().find(|member| member.name == *metro).unwrap();
                        founder.state.location.unwrap().kilometres_to(place.place()) * 1000.0
                    }
                    None => f64::INFINITY,
                };
                for pair in explained.windows(2) {
                    prop_assert!(metres(&pair[0]) <= metres(&pair[1]) + 1.0);
                }
            }
        }
    }
}
