//! Selection of edges for DNS answers.
//!
//! A [`Fleet`] is an immutable value built from the operator's settings and the health of each address. A selection is a pure
//! function of the fleet and the client's location, so name servers with the same view of health return the same edges without
//! any coordination.
//!
//! | Module | Contents |
//! |---|---|
//! | [`condition`] | the condition of one address |
//! | [`member`] | an edge as configured, with the condition of its addresses, and as indexed |
//! | [`eligibility`] | which edges may be returned, and why the others may not |
//! | [`metro`] | groups of edges so close together that distance does not matter |
//! | [`rendezvous`] | the order of edges within a metro |
//! | [`candidates`] | the eligible edges, indexed for selection |
//! | [`selection`] | the edges of one answer |
//! | [`ranking`] | the full order of edges with reasons, for explanations |

mod address_condition;
mod answer_policy;
mod edge_selection;
mod eligibility;
mod member;
mod metro;
mod ranking;
mod rendezvous;
mod selected_edges;
#[cfg(test)]
mod test_support;
mod top_k;

use std::collections::BTreeSet;

use verge_protocol::{EdgeName, Region};

use self::edge_selection::Candidates;
use self::member::Edge;
use self::metro::Metros;
use crate::geo::{ClientLocation, Family};

pub(crate) use self::address_condition::Condition;
pub use self::answer_policy::{AllDown, Policy};
pub(crate) use self::member::Member;
pub(crate) use self::ranking::RankedEdge;
pub(crate) use self::selected_edges::Selection;

/// A region restriction, as an index into the region sets that the fleet was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RegionSetId(pub(crate) u16);

impl RegionSetId {
    /// No restriction: every edge qualifies.
    pub(crate) const UNRESTRICTED: Self = Self(0);
}

/// All edges at one moment. Immutable: a change of settings or health builds a new fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// Sorted by name.
    edges: Vec<Edge>,
    metros: Metros,
    region_sets: Vec<BTreeSet<Region>>,
    /// By region set, then by address family.
    candidates: Vec<[Candidates; 2]>,
    policy: Policy,
}

impl Fleet {
    /// Builds a fleet of `members`, in any order. Each region set admits the edges that are in at least one of its regions; the
    /// empty set admits all edges and belongs at [`RegionSetId::UNRESTRICTED`].
    pub(crate) fn new(members: Vec<Member>, region_sets: &[BTreeSet<Region>], policy: Policy) -> Self {
        let mut edges: Vec<Edge> = members.into_iter().map(Edge::from).collect();
        edges.sort_by(|one, other| one.name.cmp(&other.name));
        let policy = policy.within_limits();
        let metros = Metros::of(edges.iter().map(|edge| edge.point));
        let index = |regions, family| Candidates::new(&edges, &metros, regions, family, policy.all_down);
        let candidates = region_sets.iter().map(|regions| Family::BOTH.map(|family| index(regions, family))).collect();
        Self { edges, metros, region_sets: region_sets.to_vec(), candidates, policy }
    }

    /// Selects the edges to return to a client at `from`, best first. Runs for every query: no allocation, no lock.
    ///
    /// Metros are taken in order of distance, and the edges of a metro in the order of [`rendezvous`] hashing, in which an edge
    /// of weight two comes first for twice as many networks as one of weight one. The order depends on the client's network and
    /// not on the address family: `A` and `AAAA` return the same edges if these have addresses of both families.
    ///
    /// Empty only if no edge of the region set is [eligible](eligibility::Eligibility::is_eligible) in this family, or if the fleet was built
    /// without this region set.
    pub(crate) fn choose(&self, regions: RegionSetId, family: Family, from: &ClientLocation) -> Selection {
        match self.candidates(regions, family) {
            Some(candidates) => candidates.choose(from, &self.policy),
            None => Selection::new(self.policy.ttl),
        }
    }

    /// Every edge in the order in which [`Self::choose`] considers it, with its eligibility. Empty if the fleet was built without
    /// this region set.
    pub(crate) fn rank(&self, regions: RegionSetId, family: Family, from: &ClientLocation) -> Vec<RankedEdge> {
        let Some(candidates) = self.candidates(regions, family) else { return Vec::new() };
        let selection = self.choose(regions, family, from);
        ranking::rank(&self.edges, &self.metros, candidates.eligibility(), &selection, from)
    }

    /// Whether answers to names of a region set have an address, in at least one family.
    pub(crate) fn has_eligible_edge(&self, regions: RegionSetId) -> bool {
        let is_eligible = |family| self.candidates(regions, family).is_some_and(|candidates| !candidates.is_empty());
        Family::BOTH.into_iter().any(is_eligible)
    }

    /// The name of a selected edge.
    pub(crate) fn name(&self, edge: usize) -> &EdgeName {
        &self.edges[edge].name
    }

    /// Whether the fleet has an edge of this name.
    pub(crate) fn contains(&self, name: &EdgeName) -> bool {
        self.edges.binary_search_by(|edge| edge.name.cmp(name)).is_ok()
    }

    /// The number of edges.
    pub(crate) fn len(&self) -> usize {
        self.edges.len()
    }

    /// The regions of a region set; empty if the fleet was built without it.
    pub(crate) fn regions(&self, id: RegionSetId) -> BTreeSet<Region> {
        self.region_sets.get(usize::from(id.0)).cloned().unwrap_or_default()
    }

    fn candidates(&self, regions: RegionSetId, family: Family) -> Option<&Candidates> {
        Some(&self.candidates.get(usize::from(regions.0))?[family as usize])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use proptest::prelude::*;
    use verge_protocol::fleet::Force;

    use super::selected_edges::SelectedEdge;
    use super::test_support::{
        DOWN, DRAINING, GOOD, LAGGING, RESTRICTED, SUSPECT, client, edge, fleet, location_and_network, members, queries,
    };
    use super::*;

    fn selected_for(fleet: &Fleet, regions: RegionSetId, family: Family, from: &ClientLocation) -> String {
        let selection = fleet.choose(regions, family, from);
        selection.edges().iter().map(|edge| fleet.name(edge.edge).as_str()).collect::<Vec<_>>().join(" ")
    }

    fn selected(fleet: &Fleet, location: &str) -> String {
        selected_for(fleet, RegionSetId::UNRESTRICTED, Family::V4, &client(location, "192.0.2.0/24"))
    }

    fn world() -> Vec<Member> {
        vec![
            edge("fra", "50.11,8.68", "192.0.2.1 2001:db8::1", "eu de"),
            edge("lon", "51.51,-0.13", "192.0.2.2 2001:db8::2", "eu"),
            edge("nyc", "40.71,-74.01", "192.0.2.3 2001:db8::3", "na"),
            edge("sin", "1.29,103.85", "192.0.2.4", "as"),
            edge("tyo", "35.68,139.65", "192.0.2.5 2001:db8::5", "as"),
        ]
    }

    #[test]
    fn nearest_edges_are_selected() {
        let fleet = fleet(world(), 2, "");
        for (location, expected) in [
            ("52.52,13.40", "fra lon"),   // Berlin
            ("48.86,2.35", "lon fra"),    // Paris
            ("37.77,-122.42", "nyc tyo"), // San Francisco
            ("-33.87,151.21", "sin tyo"), // Sydney
            ("64.15,-21.94", "lon fra"),  // Reykjavik
            ("21.31,-157.86", "tyo nyc"), // Honolulu, across the date line
        ] {
            assert_eq!(selected(&fleet, location), expected, "{location}");
        }
    }

    #[test]
    fn unhealthy_edge_is_replaced_by_the_next_nearest_unless_all_are_unhealthy() {
        for (condition, expected) in [(GOOD, "fra lon"), (DOWN, "lon nyc"), (LAGGING, "lon nyc"), (DRAINING, "lon nyc")]
        {
            let mut members = world();
            members[0] = members[0].clone().with(condition);
            assert_eq!(selected(&fleet(members, 2, ""), "52.52,13.40"), expected, "{condition:?}");
        }
        for condition in [DOWN, LAGGING, DRAINING] {
            let members = world().into_iter().map(|member| member.with(condition)).collect();
            assert_eq!(selected(&fleet(members, 2, ""), "52.52,13.40"), "fra lon", "{condition:?}");
        }
    }

    #[test]
    fn address_families_are_selected_independently() {
        let berlin = client("52.52,13.40", "192.0.2.0/24");
        let mut members = world();
        members[0].conditions = vec![GOOD, DOWN];
        let fleet = fleet(members, 2, "as");
        assert_eq!(selected_for(&fleet, RegionSetId::UNRESTRICTED, Family::V4, &berlin), "fra lon");
        assert_eq!(selected_for(&fleet, RegionSetId::UNRESTRICTED, Family::V6, &berlin), "lon nyc");
        // The edge without IPv6 is not in AAAA answers.
        assert_eq!(selected_for(&fleet, RESTRICTED, Family::V4, &berlin), "tyo sin");
        assert_eq!(selected_for(&fleet, RESTRICTED, Family::V6, &berlin), "tyo");
        assert_eq!(fleet.choose(RESTRICTED, Family::V6, &berlin).edges()[0].address.to_string(), "2001:db8::5");
        assert_eq!(selected_for(&fleet, RegionSetId(2), Family::V4, &berlin), "");
    }

    #[test]
    fn region_restriction_holds_when_all_its_edges_are_down() {
        let mut members = world();
        for member in &mut members[..2] {
            member.conditions = vec![DOWN, DOWN];
        }
        let selected = |members: Vec<Member>, policy| {
            let fleet = Fleet::new(members, &[BTreeSet::new(), ["eu".parse().unwrap()].into()], policy);
            selected_for(&fleet, RESTRICTED, Family::V4, &client("40.71,-74.01", "192.0.2.0/24"))
        };
        assert_eq!(selected(members.clone(), Policy::default()), "lon fra");
        members[1].state.force = Force::Down;
        assert_eq!(selected(members.clone(), Policy::default()), "fra");
        assert_eq!(selected(members.clone(), Policy { all_down: AllDown::Nothing, ..Policy::default() }), "");
        members[0].state.force = Force::Up;
        assert_eq!(selected(members, Policy { all_down: AllDown::Nothing, ..Policy::default() }), "fra");
    }

    #[test]
    fn answer_with_a_suspect_edge_has_the_suspect_ttl() {
        let mut members = world();
        members[1] = members[1].clone().with(SUSPECT);
        let ttl = |members, location| {
            fleet(members, 2, "").choose(RegionSetId::UNRESTRICTED, Family::V4, &client(location, "192.0.2.0/24")).ttl()
        };
        assert_eq!(ttl(members.clone(), "52.52,13.40"), 30);
        assert_eq!(ttl(members.clone(), "1,103"), 60);
        members[1].state.force = Force::Up;
        assert_eq!(ttl(members, "52.52,13.40"), 60);
    }

    #[test]
    fn clients_without_a_location_are_spread_evenly_and_unlocated_edges_come_last() {
        let mut members = world();
        members.push(edge("unlocated", "", "192.0.2.6", ""));
        let fleet = fleet(members, 1, "");
        let mut counts = BTreeMap::<_, usize>::new();
        for network in 0..6_000_u32 {
            let from = client("", &format!("10.{}.{}.0/24", network / 256, network % 256));
            *counts.entry(selected_for(&fleet, RegionSetId::UNRESTRICTED, Family::V4, &from)).or_default() += 1;
            let located = ClientLocation { point: client("1,1", "10.0.0.0/8").point, ..from };
            assert_ne!(selected_for(&fleet, RegionSetId::UNRESTRICTED, Family::V4, &located), "unlocated");
        }
        assert!(counts.len() == 6 && counts.values().all(|count| (900..1100).contains(count)), "{counts:?}");
        // It comes last, but is selected if there is room.
        let members = vec![edge("unlocated", "", "192.0.2.6", ""), edge("tyo", "35.68,139.65", "192.0.2.5", "")];
        assert_eq!(selected(&super::test_support::fleet(members, 2, ""), "50.11,8.68"), "tyo unlocated");
    }

    #[test]
    fn networks_are_split_within_a_metro_by_weight_and_move_only_when_their_edge_fails() {
        let members = || {
            vec![
                edge("fra-1", "50.11,8.68", "192.0.2.1", ""),
                edge("fra-2", "50.12,8.74", "192.0.2.2 192.0.2.22", "").with_weight(2),
                edge("fra-3", "50.05,8.57", "192.0.2.3", "").with_weight(5),
                edge("nyc", "40.71,-74.01", "192.0.2.4", "").with_weight(1000),
            ]
        };
        let networks = || {
            (0..10_000_u32)
                .map(|network| client("52.52,13.40", &format!("10.{}.{}.0/24", network / 256, network % 256)))
        };
        let choose = |fleet: &Fleet| -> Vec<SelectedEdge> {
            networks().map(|from| fleet.choose(RegionSetId::UNRESTRICTED, Family::V4, &from).edges()[0]).collect()
        };
        let whole = choose(&fleet(members(), 1, ""));
        let share = |edges: &[SelectedEdge], address: &str| {
            edges.iter().filter(|edge| edge.address.to_string() == address).count()
        };
        for (address, expected) in
            [("192.0.2.1", 1250), ("192.0.2.2", 1250), ("192.0.2.22", 1250), ("192.0.2.3", 6250), ("192.0.2.4", 0)]
        {
            let share = share(&whole, address);
            assert!(share.abs_diff(expected) * 100 <= expected * 5, "{address} {share}");
        }
        // An edge fails: only its networks move, to the others in proportion to their weights.
        let mut without = members();
        without[2] = without[2].clone().with(DOWN);
        let left = choose(&fleet(without, 1, ""));
        assert!(whole.iter().zip(&left).all(|(before, after)| before.edge == 2 || before == after));
        assert!(share(&left, "192.0.2.1").abs_diff(3333) < 170);
        // An address fails: only its networks move, to the other address of the edge.
        let mut without = members();
        without[1].conditions = vec![GOOD, DOWN];
        let left = choose(&fleet(without, 1, ""));
        assert!(whole.iter().zip(&left).all(|(before, after)| before.edge == after.edge));
        assert!(share(&left, "192.0.2.22") == 0 && share(&left, "192.0.2.2") > 2300);
    }

    proptest! {
        #[test]
        fn unhealthy_edges_are_selected_only_if_no_better_edge_exists(
            members in members(), from in location_and_network(), (regions, family, answers) in queries()
        ) {
            let fleet = fleet(members.clone(), answers, "eu");
            let eu: Region = "eu".parse().unwrap();
            let inside = |member: &&Member| regions == RegionSetId::UNRESTRICTED || member.state.regions.contains(&eu);
            let condition = |member: &Member, address: &IpAddr| {
                let at = member.state.addresses.iter().position(|its| its == address).unwrap();
                if member.state.force == Force::Up { GOOD } else { member.conditions[at] }
            };
            let considered = members.iter().filter(inside).filter(|member| member.state.force != Force::Down);
            let addresses: Vec<_> = considered
                .flat_map(|member| member.state.addresses.iter().map(move |address| (member, address)))
                .filter(|(_, address)| Family::of(**address) == family)
                .collect();
            let any = |good: fn(Condition) -> bool| {
                addresses.iter().any(|(member, address)| good(condition(member, address)))
            };
            let edges: BTreeSet<_> = addresses.iter().map(|(member, _)| &member.name).collect();

            let selection = fleet.choose(regions, family, &from);
            prop_assert_eq!(selection.edges().is_empty(), addresses.is_empty());
            let mut selected = BTreeSet::new();
            for SelectedEdge { address, edge } in selection.edges() {
                prop_assert!(edges.contains(fleet.name(*edge)) && selected.insert(*edge));
                let member = members.iter().find(|member| member.name == *fleet.name(*edge)).unwrap();
                let condition = condition(member, address);
                prop_assert!(condition.up || !any(|other| other.up));
                prop_assert!(!condition.draining || !any(|other| other.up && !other.draining));
                prop_assert!(member.state.force == Force::Up || !condition.suspect || selection.ttl() == 30);
            }
        }

        #[test]
        fn outage_of_one_edge_keeps_the_order_of_the_others(
            members in members(), from in location_and_network(), (regions, family, answers) in queries(), lost: prop::sample::Index
        ) {
            let healthy: Vec<_> = members.into_iter().map(|member| member.with(GOOD)).collect();
            let mut left = healthy.clone();
            if let Some(lost) = (!left.is_empty()).then(|| lost.index(left.len())) {
                left[lost] = left[lost].clone().with(DOWN);
                left[lost].state.force = Force::Auto;
            }
            let selected = |members: &[Member]| {
                let fleet = fleet(members.to_vec(), answers, "eu");
                let selection = fleet.choose(regions, family, &from);
                selection.edges().iter().map(|edge| (fleet.name(edge.edge).clone(), edge.address)).collect::<Vec<_>>()
            };
            let (before, after) = (selected(&healthy), selected(&left));
            let lost = healthy.iter().zip(&left).find(|(one, other)| one != other).map(|(one, _)| one.name.clone());
            let still: Vec<_> = before.into_iter().filter(|(name, _)| Some(name) != lost.as_ref()).collect();
            prop_assert!(after.starts_with(&still), "{still:?} {after:?}");
        }

        #[test]
        fn selection_does_not_depend_on_the_order_of_members(members in members(), from in location_and_network(), (regions, family, answers) in queries()) {
            let reversed = members.iter().rev().cloned().collect();
            let [one, other] =
                [members, reversed].map(|members| fleet(members, answers, "eu").choose(regions, family, &from));
            prop_assert_eq!(one, other);
        }
    }
}
