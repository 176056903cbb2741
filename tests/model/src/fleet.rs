//! Everything there is: an origin, edges, readers, and what they share.

use std::time::Duration;

use verge_protocol::host::HostLabel;

use crate::edge::Edge;
use crate::origin::Origin;
use crate::reader::Readers;
use crate::site::Site;
use crate::world::{Event, World};

/// The channels.
const CHANNELS: [&str; 3] = ["a", "pr-1--a", "b"];

/// Everything there is.
pub(crate) struct Fleet {
    pub(crate) world: World,
    pub(crate) origin: Origin,
    pub(crate) edges: Vec<Edge>,
    pub(crate) readers: Readers,
    pub(crate) sites: Vec<Site>,
    pub(crate) labels: Vec<HostLabel>,
}

impl Fleet {
    pub(crate) fn new(mut world: World) -> Self {
        let edges = 3 + world.random.below(3);
        let budget =
            |world: &mut World| if world.random.percent(15) { world.random.below(400) as u64 } else { 1 << 30 };
        let labels = CHANNELS.map(|label| label.parse().expect("a valid label"));
        let mut fleet = Self {
            origin: Origin::new(edges),
            edges: (0..edges).map(|index| Edge::new(index, budget(&mut world), world.random.percent(25))).collect(),
            readers: Readers::default(),
            sites: ["a", "b"].map(|site| Site::new(site.parse().expect("a valid name"))).into(),
            labels: labels.into(),
            world,
        };
        fleet.world.after(Duration::ZERO, Event::StartOrigin);
        for edge in 0..edges {
            let delay = fleet.world.random.millis(0, 3000);
            fleet.world.after(delay, Event::StartEdge(edge));
        }
        fleet.world.after(Duration::from_millis(100), Event::Act);
        fleet
    }
}
