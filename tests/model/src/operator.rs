//! What operators do to a fleet: they restore its origin, remove edges or force them down, and add them again.

use std::time::Duration;

use crate::disk::Disk;
use crate::edge::Edge;
use crate::origin::Origin;
use crate::reader::Readers;
use crate::world::{Event, World};

/// The origin is killed and comes back with the last copy, if there is one; at times once more within seconds.
pub(crate) fn restore_origin(world: &mut World, origin: &mut Origin, readers: &mut Readers) {
    if world.is_quiet || origin.backup.is_none() {
        return;
    }
    origin.kill(world);
    origin.restore(world);
    readers.abandon();
    let delay = world.random.millis(10, 3000);
    world.after(delay, Event::StartOrigin);
    if world.random.percent(50) {
        let delay = world.random.millis(10, 6000);
        world.after(delay, Event::RestoreOrigin);
    }
}

/// An edge is removed or forced down, and joins the fleet again later; a removed one with what it had on its disk or without.
pub(crate) fn leave_fleet(world: &mut World, origin: &mut Origin, edge: &mut Edge, is_removed: bool) {
    let index = edge.index();
    if !origin.set_member(world, index, false) {
        return;
    }
    if is_removed {
        edge.kill(world, origin);
        if world.random.percent(50) {
            edge.disk = Disk::new(edge.disk.budget);
            world.ledger.forget(index, world.now);
        }
    }
    let delay = world.random.millis(100, 40_000);
    world.after(delay, Event::Join(index));
}

/// An edge joins the fleet, and starts if it does not run, as soon as there is an origin.
pub(crate) fn join_fleet(world: &mut World, origin: &mut Origin, edge: &mut Edge) {
    if origin.set_member(world, edge.index(), true) {
        edge.start(world);
    } else {
        world.after(Duration::from_secs(1), Event::Join(edge.index()));
    }
}
