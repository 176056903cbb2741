//! Which edges readers are sent to.
//!
//! Pure: a [`Fleet`] is a value made of what the operator says of edges and of how their addresses do, and an answer is a function
//! of it and of where the reader is. So name servers that see the same health name the same edges, without a word among them.
//!
//! | Module | Idea |
//! |---|---|
//! | [`standing`] | which edges may be named, and why not the others |
//! | [`metro`] | edges so close to one another that distance says nothing |
//! | [`rendezvous`] | the order of edges that are equally near |
//! | [`roster`] | all that is decided before a reader asks, and the choice that is left |
//! | [`explain`] | the same, for people |

mod explain;
mod foremost;
mod member;
mod metro;
mod picked;
mod policy;
mod rendezvous;
mod roster;
mod standing;
#[cfg(test)]
mod testing;

use std::collections::BTreeSet;

use verge_protocol::{EdgeName, Region};

use crate::place::Locality;
use member::Edge;
use metro::Metros;
use roster::Roster;

pub(crate) use crate::place::Family;
pub(crate) use explain::Ranked;
pub(crate) use member::{Condition, Member};
pub(crate) use picked::Picked;
pub use policy::{AllDown, Policy};
pub(crate) use standing::Standing;

/// Which of the fences a name has: an index into those that the fleet was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FenceId(pub(crate) u16);

impl FenceId {
    /// No fence: every edge is inside.
    pub(crate) const NONE: Self = Self(0);
}

/// All edges, as they are at one moment. Never changes: another moment is another fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// In the order of their names.
    edges: Vec<Edge>,
    metros: Metros,
    fences: Vec<BTreeSet<Region>>,
    /// For each fence, by family.
    rosters: Vec<[Roster; 2]>,
    policy: Policy,
}

impl Fleet {
    /// A fleet of `members`, in any order, for names with one of `fences`. A fence is the set of regions of which an edge must be
    /// in one; the empty set is no fence, and belongs at [`FenceId::NONE`].
    pub(crate) fn new(members: Vec<Member>, fences: &[BTreeSet<Region>], policy: Policy) -> Self {
        let mut edges: Vec<Edge> = members.into_iter().map(Edge::from).collect();
        edges.sort_by(|one, other| one.name.cmp(&other.name));
        let policy = policy.within_limits();
        let metros = Metros::of(edges.iter().map(|edge| edge.point));
        let roster = |fence, family| Roster::new(&edges, &metros, fence, family, policy.all_down);
        let rosters = fences.iter().map(|fence| Family::BOTH.map(|family| roster(fence, family))).collect();
        Self { edges, metros, fences: fences.to_vec(), rosters, policy }
    }

    /// The edges to name to a reader who is at `from`, the best first. No allocation, no lock: this is on the way of every query.
    ///
    /// Readers go to metros in the order of distance, and inside of a metro to edges in the order of [`rendezvous`], in which an
    /// edge of weight two comes first for twice as many networks as one of weight one. The order depends on the reader's
    /// network, not on the family: `A` and `AAAA` lead to the same edges if these have addresses of both.
    ///
    /// Empty only if no edge inside the fence has an address of the family, or [`Standing::may_be_named`] is true of none; or if
    /// the fleet was made without this fence.
    pub(crate) fn choose(&self, fence: FenceId, family: Family, from: &Locality) -> Picked {
        match self.roster(fence, family) {
            Some(roster) => roster.choose(from, &self.policy),
            None => Picked::new(self.policy.ttl),
        }
    }

    /// The name of an edge that was picked.
    pub(crate) fn name(&self, edge: usize) -> &EdgeName {
        &self.edges[edge].name
    }

    /// How many edges there are.
    pub(crate) fn len(&self) -> usize {
        self.edges.len()
    }

    /// The regions of a fence; none if the fleet was made without it.
    pub(crate) fn fence(&self, fence: FenceId) -> BTreeSet<Region> {
        self.fences.get(usize::from(fence.0)).cloned().unwrap_or_default()
    }

    fn roster(&self, fence: FenceId, family: Family) -> Option<&Roster> {
        Some(&self.rosters.get(usize::from(fence.0))?[family as usize])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use proptest::prelude::*;
    use verge_protocol::fleet::Force;

    use super::picked::Named;
    use super::testing::{
        BEHIND, DOWN, DRAINING, FENCED, GOOD, SHAKY, anywhere, edge, fleet, members, questions, reader,
    };
    use super::*;

    fn told_with(fleet: &Fleet, fence: FenceId, family: Family, from: &Locality) -> String {
        let picked = fleet.choose(fence, family, from);
        picked.named().iter().map(|named| fleet.name(named.edge).as_str()).collect::<Vec<_>>().join(" ")
    }

    fn told(fleet: &Fleet, place: &str) -> String {
        told_with(fleet, FenceId::NONE, Family::V4, &reader(place, "192.0.2.0/24"))
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
    fn readers_go_to_the_nearest() {
        let fleet = fleet(world(), 2, "");
        for (place, expected) in [
            ("52.52,13.40", "fra lon"),   // Berlin
            ("48.86,2.35", "lon fra"),    // Paris
            ("37.77,-122.42", "nyc tyo"), // San Francisco
            ("-33.87,151.21", "sin tyo"), // Sydney
            ("64.15,-21.94", "lon fra"),  // Reykjavik
            ("21.31,-157.86", "tyo nyc"), // Honolulu, across the date line
        ] {
            assert_eq!(told(&fleet, place), expected, "{place}");
        }
    }

    #[test]
    fn the_next_takes_over() {
        for (condition, expected) in [(GOOD, "fra lon"), (DOWN, "lon nyc"), (BEHIND, "lon nyc"), (DRAINING, "lon nyc")]
        {
            let mut members = world();
            members[0] = members[0].clone().is(condition);
            assert_eq!(told(&fleet(members, 2, ""), "52.52,13.40"), expected, "{condition:?}");
        }
        for condition in [DOWN, BEHIND, DRAINING] {
            let members = world().into_iter().map(|member| member.is(condition)).collect();
            assert_eq!(told(&fleet(members, 2, ""), "52.52,13.40"), "fra lon", "{condition:?}");
        }
    }

    #[test]
    fn each_family_for_itself() {
        let berlin = reader("52.52,13.40", "192.0.2.0/24");
        let mut members = world();
        members[0].conditions = vec![GOOD, DOWN];
        let fleet = fleet(members, 2, "as");
        assert_eq!(told_with(&fleet, FenceId::NONE, Family::V4, &berlin), "fra lon");
        assert_eq!(told_with(&fleet, FenceId::NONE, Family::V6, &berlin), "lon nyc");
        // The one without IPv6 leaves AAAA to the other.
        assert_eq!(told_with(&fleet, FENCED, Family::V4, &berlin), "tyo sin");
        assert_eq!(told_with(&fleet, FENCED, Family::V6, &berlin), "tyo");
        assert_eq!(fleet.choose(FENCED, Family::V6, &berlin).named()[0].address.to_string(), "2001:db8::5");
        assert_eq!(told_with(&fleet, FenceId(2), Family::V4, &berlin), "");
    }

    #[test]
    fn a_fence_is_never_broken() {
        let mut members = world();
        for member in &mut members[..2] {
            member.conditions = vec![DOWN, DOWN];
        }
        let fenced = |members: Vec<Member>, policy| {
            let fleet = Fleet::new(members, &[BTreeSet::new(), ["eu".parse().unwrap()].into()], policy);
            told_with(&fleet, FENCED, Family::V4, &reader("40.71,-74.01", "192.0.2.0/24"))
        };
        assert_eq!(fenced(members.clone(), Policy::default()), "lon fra");
        members[1].state.force = Force::Down;
        assert_eq!(fenced(members.clone(), Policy::default()), "fra");
        assert_eq!(fenced(members.clone(), Policy { all_down: AllDown::Nothing, ..Policy::default() }), "");
        members[0].state.force = Force::Up;
        assert_eq!(fenced(members, Policy { all_down: AllDown::Nothing, ..Policy::default() }), "fra");
    }

    #[test]
    fn what_may_change_soon_is_kept_for_less_long() {
        let mut members = world();
        members[1] = members[1].clone().is(SHAKY);
        let ttl = |members, place| {
            fleet(members, 2, "").choose(FenceId::NONE, Family::V4, &reader(place, "192.0.2.0/24")).ttl()
        };
        assert_eq!(ttl(members.clone(), "52.52,13.40"), 30);
        assert_eq!(ttl(members.clone(), "1,103"), 60);
        members[1].state.force = Force::Up;
        assert_eq!(ttl(members, "52.52,13.40"), 60);
    }

    #[test]
    fn without_a_place() {
        let mut members = world();
        members.push(edge("ghost", "", "192.0.2.6", ""));
        let fleet = fleet(members, 1, "");
        let mut readers = BTreeMap::<_, usize>::new();
        for network in 0..6_000_u32 {
            let from = reader("", &format!("10.{}.{}.0/24", network / 256, network % 256));
            *readers.entry(told_with(&fleet, FenceId::NONE, Family::V4, &from)).or_default() += 1;
            let placed = Locality { place: reader("1,1", "10.0.0.0/8").place, ..from };
            assert_ne!(told_with(&fleet, FenceId::NONE, Family::V4, &placed), "ghost");
        }
        assert!(readers.len() == 6 && readers.values().all(|count| (900..1100).contains(count)), "{readers:?}");
        // It comes last, but it comes.
        let members = vec![edge("ghost", "", "192.0.2.6", ""), edge("tyo", "35.68,139.65", "192.0.2.5", "")];
        assert_eq!(told(&super::testing::fleet(members, 2, ""), "50.11,8.68"), "tyo ghost");
    }

    #[test]
    fn weights_part_the_networks_of_a_metro() {
        let members = || {
            vec![
                edge("fra-1", "50.11,8.68", "192.0.2.1", ""),
                edge("fra-2", "50.12,8.74", "192.0.2.2 192.0.2.22", "").weighs(2),
                edge("fra-3", "50.05,8.57", "192.0.2.3", "").weighs(5),
                edge("nyc", "40.71,-74.01", "192.0.2.4", "").weighs(1000),
            ]
        };
        let networks = || {
            (0..10_000_u32)
                .map(|network| reader("52.52,13.40", &format!("10.{}.{}.0/24", network / 256, network % 256)))
        };
        let choose = |fleet: &Fleet| -> Vec<Named> {
            networks().map(|from| fleet.choose(FenceId::NONE, Family::V4, &from).named()[0]).collect()
        };
        let whole = choose(&fleet(members(), 1, ""));
        let share =
            |named: &[Named], address: &str| named.iter().filter(|named| named.address.to_string() == address).count();
        for (address, expected) in
            [("192.0.2.1", 1250), ("192.0.2.2", 1250), ("192.0.2.22", 1250), ("192.0.2.3", 6250), ("192.0.2.4", 0)]
        {
            let share = share(&whole, address);
            assert!(share.abs_diff(expected) * 100 <= expected * 5, "{address} {share}");
        }
        // One goes: only its readers move, to the others as their weights say.
        let mut without = members();
        without[2] = without[2].clone().is(DOWN);
        let left = choose(&fleet(without, 1, ""));
        assert!(whole.iter().zip(&left).all(|(before, after)| before.edge == 2 || before == after));
        assert!(share(&left, "192.0.2.1").abs_diff(3333) < 170);
        // An address goes: only its readers move, to the edge's other.
        let mut without = members();
        without[1].conditions = vec![GOOD, DOWN];
        let left = choose(&fleet(without, 1, ""));
        assert!(whole.iter().zip(&left).all(|(before, after)| before.edge == after.edge));
        assert!(share(&left, "192.0.2.22") == 0 && share(&left, "192.0.2.2") > 2300);
    }

    proptest! {
        #[test]
        fn only_healthy_edges_while_there_are_any(
            members in members(), from in anywhere(), (fence, family, answers) in questions()
        ) {
            let fleet = fleet(members.clone(), answers, "eu");
            let eu: Region = "eu".parse().unwrap();
            let inside = |member: &&Member| fence == FenceId::NONE || member.state.regions.contains(&eu);
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

            let picked = fleet.choose(fence, family, &from);
            prop_assert_eq!(picked.named().is_empty(), addresses.is_empty());
            let mut named = BTreeSet::new();
            for Named { address, edge } in picked.named() {
                prop_assert!(edges.contains(fleet.name(*edge)) && named.insert(*edge));
                let member = members.iter().find(|member| member.name == *fleet.name(*edge)).unwrap();
                let condition = condition(member, address);
                prop_assert!(condition.up || !any(|other| other.up));
                prop_assert!(!condition.draining || !any(|other| other.up && !other.draining));
                prop_assert!(member.state.force == Force::Up || !condition.shaky || picked.ttl() == 30);
            }
        }

        #[test]
        fn an_outage_leaves_the_order_of_the_others(
            members in members(), from in anywhere(), (fence, family, answers) in questions(), lost: prop::sample::Index
        ) {
            let healthy: Vec<_> = members.into_iter().map(|member| member.is(GOOD)).collect();
            let mut left = healthy.clone();
            if let Some(lost) = (!left.is_empty()).then(|| lost.index(left.len())) {
                left[lost] = left[lost].clone().is(DOWN);
                left[lost].state.force = Force::Auto;
            }
            let named = |members: &[Member]| {
                let fleet = fleet(members.to_vec(), answers, "eu");
                let picked = fleet.choose(fence, family, &from);
                picked.named().iter().map(|named| (fleet.name(named.edge).clone(), named.address)).collect::<Vec<_>>()
            };
            let (before, after) = (named(&healthy), named(&left));
            let lost = healthy.iter().zip(&left).find(|(one, other)| one != other).map(|(one, _)| one.name.clone());
            let still: Vec<_> = before.into_iter().filter(|(name, _)| Some(name) != lost.as_ref()).collect();
            prop_assert!(after.starts_with(&still), "{still:?} {after:?}");
        }

        #[test]
        fn name_servers_agree(members in members(), from in anywhere(), (fence, family, answers) in questions()) {
            let reversed = members.iter().rev().cloned().collect();
            let [one, other] =
                [members, reversed].map(|members| fleet(members, answers, "eu").choose(fence, family, &from));
            prop_assert_eq!(one, other);
        }
    }
}
