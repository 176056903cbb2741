//! Fleets and readers for tests.

use std::collections::BTreeSet;

use ipnet::IpNet;
use proptest::prelude::*;
use verge_protocol::GeoPoint;
use verge_protocol::fleet::{EdgeState, Force};

use super::{Condition, Family, FenceId, Fleet, Member, Policy};
use crate::place::{Locality, Point, Source};

/// The fence of [`fleet`].
pub(super) const FENCED: FenceId = FenceId(1);

pub(super) const GOOD: Condition = Condition { up: true, shaky: false, lagging: false, draining: false };
pub(super) const DOWN: Condition = Condition { up: false, ..GOOD };
pub(super) const BEHIND: Condition = Condition { lagging: true, ..GOOD };
pub(super) const DRAINING: Condition = Condition { draining: true, ..GOOD };
pub(super) const SHAKY: Condition = Condition { shaky: true, ..GOOD };

/// An edge at a place (or at none: ""), with addresses parted by spaces, in regions parted by spaces.
pub(super) fn edge(name: &str, place: &str, addresses: &str, regions: &str) -> Member {
    let place = (!place.is_empty()).then(|| place.parse().unwrap());
    let addresses = addresses.split_whitespace().map(|address| address.parse().unwrap()).collect();
    let regions = regions.split_whitespace().map(|region| region.parse().unwrap()).collect();
    let state = EdgeState { addresses, location: place, regions, port: 80, weight: 1, force: Force::Auto };
    Member { name: name.parse().unwrap(), state, conditions: Vec::new() }
}

impl Member {
    pub(super) fn is(mut self, condition: Condition) -> Self {
        self.conditions = vec![condition; self.state.addresses.len()];
        self
    }

    pub(super) fn weighs(mut self, weight: u16) -> Self {
        self.state.weight = weight;
        self
    }
}

/// A fleet with the default policy but for the number of answers, and one fence beside none.
pub(super) fn fleet(members: Vec<Member>, answers: usize, fence: &str) -> Fleet {
    let fence = fence.split_whitespace().map(|region| region.parse().unwrap()).collect();
    Fleet::new(members, &[BTreeSet::new(), fence], Policy { answers, ..Policy::default() })
}

/// A reader at a place, or at none: "".
pub(super) fn reader(place: &str, network: &str) -> Locality {
    let place = (!place.is_empty()).then(|| Point::from(place.parse::<GeoPoint>().unwrap()));
    let network: IpNet = network.parse().unwrap();
    Locality { place, network, source: if place.is_some() { Source::Database } else { Source::Nowhere } }
}

fn member(index: usize) -> impl Strategy<Value = Member> {
    let place = (-9..=9_i8, -18..=18_i8)
        .prop_map(|(latitude, longitude)| GeoPoint::new(f64::from(latitude) * 9.7, f64::from(longitude) * 9.9));
    let place = prop_oneof![4 => place.clone(), 2 => Just(GeoPoint::new(50.0, 8.0)), 1 => Just(None)];
    let condition = (any::<[bool; 4]>(), any::<bool>()).prop_map(|([shaky, lagging, draining, down], bad)| Condition {
        up: !(bad && down),
        shaky,
        lagging: bad && lagging,
        draining: bad && draining,
    });
    let force = prop_oneof![6 => Just(Force::Auto), 1 => Just(Force::Up), 1 => Just(Force::Down)];
    (place, prop::collection::vec(condition, 0..3), 1..4_u16, force).prop_map(
        move |(place, conditions, weight, force)| {
            let addresses = ["192.0.2.1", "2001:db8::1", "192.0.2.2"][..conditions.len()].join(" ");
            let mut member = edge(&format!("edge-{index}"), "", &addresses, ["eu", "na"][index % 2]).weighs(weight);
            (member.state.location, member.state.force, member.conditions) = (place, force, conditions);
            member
        },
    )
}

/// Edges of all kinds, in every other region.
pub(super) fn members() -> impl Strategy<Value = Vec<Member>> {
    (0..12_usize).prop_flat_map(|many| (0..many).map(member).collect::<Vec<_>>())
}

/// Readers with a place and without.
pub(super) fn anywhere() -> impl Strategy<Value = Locality> {
    let place = prop::option::of((-90.0..=90.0_f64, -180.0..=180.0_f64));
    (place, any::<u16>()).prop_map(|(place, network)| {
        let place = place.map_or(String::new(), |(latitude, longitude)| format!("{latitude},{longitude}"));
        reader(&place, &format!("10.{}.{}.0/24", network >> 8, network & 0xff))
    })
}

/// What may be asked of a fleet, and how many answers it gives.
pub(super) fn questions() -> impl Strategy<Value = (FenceId, Family, usize)> {
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    (prop_oneof![Just(FenceId::NONE), Just(FENCED)], family, 1..=4_usize)
}
