//! Fleets and clients for tests.

use std::collections::BTreeSet;

use ipnet::IpNet;
use proptest::prelude::*;
use verge_protocol::GeoPoint;
use verge_protocol::fleet::{EdgeState, Force};

use super::{Condition, Fleet, Member, Policy, RegionSetId};
use crate::geo::{ClientLocation, Family, GeoVector, LocationSource};

/// The region set of [`fleet`].
pub(super) const RESTRICTED: RegionSetId = RegionSetId(1);

pub(super) const GOOD: Condition = Condition { up: true, suspect: false, lagging: false, draining: false };
pub(super) const DOWN: Condition = Condition { up: false, ..GOOD };
pub(super) const LAGGING: Condition = Condition { lagging: true, ..GOOD };
pub(super) const DRAINING: Condition = Condition { draining: true, ..GOOD };
pub(super) const SUSPECT: Condition = Condition { suspect: true, ..GOOD };

/// An edge at a location (`""`: none), with addresses and regions separated by spaces.
pub(super) fn edge(name: &str, location: &str, addresses: &str, regions: &str) -> Member {
    let location = (!location.is_empty()).then(|| location.parse().unwrap());
    let addresses = addresses.split_whitespace().map(|address| address.parse().unwrap()).collect();
    let regions = regions.split_whitespace().map(|region| region.parse().unwrap()).collect();
    let state = EdgeState { addresses, location, regions, port: 80, scheme: None, weight: 1, force: Force::Auto };
    Member { name: name.parse().unwrap(), state, conditions: Vec::new() }
}

impl Member {
    pub(super) fn with(mut self, condition: Condition) -> Self {
        self.conditions = vec![condition; self.state.addresses.len()];
        self
    }

    pub(super) fn with_weight(mut self, weight: u16) -> Self {
        self.state.weight = weight;
        self
    }
}

/// A fleet with the default policy except for the number of answers, and one region set besides the unrestricted one.
pub(super) fn fleet(members: Vec<Member>, answers: usize, regions: &str) -> Fleet {
    let regions = regions.split_whitespace().map(|region| region.parse().unwrap()).collect();
    Fleet::new(members, &[BTreeSet::new(), regions], Policy { answers, ..Policy::default() })
}

/// A client in a network, at a location (`""`: unknown).
pub(super) fn client(location: &str, network: &str) -> ClientLocation {
    let point = (!location.is_empty()).then(|| GeoVector::from(location.parse::<GeoPoint>().unwrap()));
    let network: IpNet = network.parse().unwrap();
    let source = if point.is_some() { LocationSource::Database } else { LocationSource::NotFound };
    ClientLocation { point, network, source }
}

fn member(index: usize) -> impl Strategy<Value = Member> {
    let location = (-9..=9_i8, -18..=18_i8)
        .prop_map(|(latitude, longitude)| GeoPoint::new(f64::from(latitude) * 9.7, f64::from(longitude) * 9.9));
    let location = prop_oneof![4 => location.clone(), 2 => Just(GeoPoint::new(50.0, 8.0)), 1 => Just(None)];
    let condition = (any::<[bool; 4]>(), any::<bool>()).prop_map(|([suspect, lagging, draining, down], bad)| {
        Condition { up: !(bad && down), suspect, lagging: bad && lagging, draining: bad && draining }
    });
    let force = prop_oneof![6 => Just(Force::Auto), 1 => Just(Force::Up), 1 => Just(Force::Down)];
    (location, prop::collection::vec(condition, 0..3), 1..4_u16, force).prop_map(
        move |(location, conditions, weight, force)| {
            let addresses = ["192.0.2.1", "2001:db8::1", "192.0.2.2"][..conditions.len()].join(" ");
            let mut member =
                edge(&format!("edge-{index}"), "", &addresses, ["eu", "na"][index % 2]).with_weight(weight);
            (member.state.location, member.state.force, member.conditions) = (location, force, conditions);
            member
        },
    )
}

/// Edges of all kinds, alternating between two regions.
pub(super) fn members() -> impl Strategy<Value = Vec<Member>> {
    (0..12_usize).prop_flat_map(|many| (0..many).map(member).collect::<Vec<_>>())
}

/// Clients with and without a location.
pub(super) fn location_and_network() -> impl Strategy<Value = ClientLocation> {
    let location = prop::option::of((-90.0..=90.0_f64, -180.0..=180.0_f64));
    (location, any::<u16>()).prop_map(|(location, network)| {
        let location = location.map_or(String::new(), |(latitude, longitude)| format!("{latitude},{longitude}"));
        client(&location, &format!("10.{}.{}.0/24", network >> 8, network & 0xff))
    })
}

/// The parameters of a query to a fleet: region set, family and number of answers.
pub(super) fn queries() -> impl Strategy<Value = (RegionSetId, Family, usize)> {
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    (prop_oneof![Just(RegionSetId::UNRESTRICTED), Just(RESTRICTED)], family, 1..=4_usize)
}
