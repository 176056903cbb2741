//! What happens by chance: what publishers and readers do, and what fails.
//!
//! A new kind of action is a variant of [`Action`], its weight, and what it does in [`carry_out`].

use std::sync::Arc;
use std::time::Duration;

use verge_protocol::SitePath;
use verge_protocol::canary::{CanaryPlan, CanaryShare};
use verge_protocol::host::HostLabel;
use verge_protocol::purge::PurgeScope;

use crate::disk::Disk;
use crate::edge::Edge;
use crate::fleet::Fleet;
use crate::operator;
use crate::origin::Origin;
use crate::origin::commit::Write;
use crate::random::Random;
use crate::world::{Event, World};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// A new build is pushed.
    Push,
    /// A channel is moved to an earlier release: a rollback, or a promotion from another channel.
    MoveBack,
    /// The same, by a publisher who has not seen the last move.
    PushStale,
    /// Paths of a site are purged.
    Purge,
    /// An earlier release is erased.
    Erase,
    ReadPage,
    KillEdge,
    DrainEdge,
    /// Nothing passes between an edge and the origin for a while.
    CutOff,
    /// The feed of an edge breaks.
    BreakFeed,
    /// A blob on the disk of an edge turns out to be corrupt.
    LoseBlob,
    /// The state file of an edge that is not running is damaged.
    DamageState,
    /// An edge comes back with an empty disk.
    WipeDisk,
    /// Writes to the disk of an edge fail for a while.
    FailDisk,
    KillOrigin,
    /// An operator copies the origin's data.
    BackUp,
    /// The origin is killed and comes back with the last copy.
    RestoreOrigin,
    /// The next commit of a kind fails, and is lost or survives all the same.
    FailCommit,
    /// An edge is forced down, and later up again.
    ForceDown,
    /// An edge is removed, and later added again, with what it had on its disk or without.
    RemoveEdge,
    /// A channel is deleted.
    Delete,
    /// The origin's clock is set back.
    SetClockBack,
    /// A day passes without an event.
    DayPasses,
}

/// Of how many, in their sum.
const WEIGHTS: [(usize, Action); 23] = [
    (24, Action::Push),
    (8, Action::MoveBack),
    (2, Action::PushStale),
    (16, Action::Purge),
    (4, Action::Erase),
    (50, Action::ReadPage),
    (5, Action::KillEdge),
    (2, Action::DrainEdge),
    (7, Action::CutOff),
    (4, Action::BreakFeed),
    (3, Action::LoseBlob),
    (1, Action::DamageState),
    (1, Action::WipeDisk),
    (2, Action::FailDisk),
    (5, Action::KillOrigin),
    (4, Action::BackUp),
    (3, Action::RestoreOrigin),
    (12, Action::FailCommit),
    (4, Action::ForceDown),
    (2, Action::RemoveEdge),
    (3, Action::Delete),
    (1, Action::SetClockBack),
    (1, Action::DayPasses),
];

/// Does something random, and again later.
pub(crate) fn act(fleet: &mut Fleet, weights: &[(usize, Action)]) {
    if fleet.world.is_quiet {
        return;
    }
    let pause = match fleet.world.random.below(4) {
        0 => fleet.world.random.millis(1000, 6000),
        _ => fleet.world.random.millis(1, 400),
    };
    fleet.world.after(pause, Event::Act);
    let mut choice = fleet.world.random.below(weights.iter().map(|(weight, _)| weight).sum());
    for (weight, action) in weights {
        if choice < *weight {
            return carry_out(fleet, *action);
        }
        choice -= *weight;
    }
}

/// The weights of one run: some things do not happen at all, others often. So runs differ more than if all were alike.
pub(crate) fn weights(random: &mut Random) -> Vec<(usize, Action)> {
    let weight = |(weight, action): (usize, Action)| match action {
        Action::Push | Action::ReadPage => (weight, action),
        _ => (weight * random.pick(&[0, 1, 1, 3]).copied().unwrap_or(1), action),
    };
    WEIGHTS.into_iter().map(weight).collect()
}

fn carry_out(fleet: &mut Fleet, action: Action) {
    let Fleet { world, origin, edges, readers, labels, .. } = fleet;
    let index = world.random.below(edges.len());
    let edge = &mut edges[index];
    match action {
        Action::Push | Action::MoveBack | Action::PushStale => {
            let channel = world.random.below(labels.len());
            let label = labels[channel].clone();
            push(fleet, &label, action);
        }
        Action::Purge | Action::Erase => {
            let label = &labels[world.random.below(labels.len())];
            let releases = origin.database.releases(label);
            let Some((_, manifest)) = world.random.pick(&releases) else { return };
            let build = Arc::clone(world.ledger.build(manifest));
            let paths: Vec<&String> = build.contents.keys().collect();
            let Some(path) = world.random.pick(&paths) else { return };
            let path: SitePath = path.parse().expect("a valid path");
            match (action, world.random.below(4)) {
                (Action::Erase, _) => origin.erase(world, label, &build),
                (_, 0) => origin.purge(world, &label.site, PurgeScope::All),
                (_, 1) => origin.purge(world, &label.site, "assets/*".parse().expect("a valid scope")),
                _ => origin.purge(world, &label.site, PurgeScope::Path(path)),
            }
        }
        Action::ReadPage => {
            for _ in 0..3 {
                readers.open(world, edges, origin, labels);
            }
        }
        // While it saves, an edge is most vulnerable.
        Action::KillEdge if world.random.percent(50) => edge.dies_saving = true,
        Action::KillEdge => {
            if edge.process.is_some() {
                edge.kill(world, origin);
                let delay = world.random.millis(10, 20_000);
                world.after(delay, Event::StartEdge(index));
            }
        }
        Action::DrainEdge => edge.drain(world),
        Action::CutOff => {
            world.log(|_| format!("e{index} is cut off"));
            edge.is_cut_off = true;
            let delay = world.random.millis(100, 40_000);
            world.after(delay, Event::Heal(index));
        }
        Action::BreakFeed => edge.close_feed(world, origin),
        Action::LoseBlob | Action::DamageState | Action::WipeDisk | Action::FailDisk => {
            harm_disk(world, origin, edge, index, action);
        }
        Action::KillOrigin => {
            origin.kill(world);
            let delay = if world.random.percent(80) {
                world.random.millis(10, 3000)
            } else {
                world.random.millis(3000, 60_000)
            };
            world.after(delay, Event::StartOrigin);
        }
        Action::FailCommit => {
            let kind = if world.random.percent(70) { Write::Abandonment } else { Write::Other };
            origin.commit_failures.insert(kind, world.random.percent(50));
        }
        Action::ForceDown | Action::RemoveEdge => {
            operator::leave_fleet(world, origin, edge, matches!(action, Action::RemoveEdge));
        }
        Action::Delete => {
            let channel = world.random.below(labels.len());
            origin.delete(world, &labels[channel]);
        }
        Action::BackUp => origin.back_up(world),
        Action::RestoreOrigin => operator::restore_origin(world, origin, readers),
        Action::SetClockBack => {
            world.log(|_| "the clock of the origin is set back".to_owned());
            world.set_back_millis += 3_600_000;
        }
        Action::DayPasses => {
            world.log(|_| "a day passes".to_owned());
            world.now += Duration::from_hours(25);
            readers.abandon();
            world.after(Duration::from_secs(1), Event::Expire);
        }
    }
}

/// A publisher who was told nothing pushes again, while readers have pages of the release that is replaced.
pub(crate) fn push_again(fleet: &mut Fleet, label: &HostLabel) {
    let Fleet { world, origin, edges, readers, .. } = fleet;
    for _ in 0..3 {
        readers.open(world, edges, origin, std::slice::from_ref(label));
    }
    push(fleet, label, Action::Push);
}

/// Somebody pushes a new build to a channel, or moves it back.
fn push(fleet: &mut Fleet, label: &HostLabel, action: Action) {
    let Fleet { world, origin, sites, .. } = fleet;
    let known = origin.database.channel(label).map(|state| state.epoch);
    let releases = origin.database.releases(label);
    let build = match world.random.pick(&releases) {
        Some((_, manifest)) if matches!(action, Action::MoveBack) => Arc::clone(world.ledger.build(manifest)),
        _ => sites
            .iter_mut()
            .find(|site| site.is(&label.site))
            .expect("each channel has a site")
            .build(&mut world.random),
    };
    world.ledger.add_build(&build);
    let mut expected = known;
    if let (Action::PushStale, Some(epoch)) = (action, &mut expected) {
        epoch.0 -= 1;
    }
    let canary = world.random.percent(40).then(|| canary(&mut world.random));
    origin.publish(world, label, (&build, canary), expected);
}

/// The plan of a canary.
fn canary(random: &mut Random) -> CanaryPlan {
    let edges = random.pick(&[CanaryShare::Count(1), CanaryShare::Count(2), CanaryShare::Percent(50)]).copied();
    CanaryPlan { edges: edges.unwrap_or(CanaryShare::Count(1)), seconds: 2 + random.below(30) as u64 }
}

/// Something happens to the disk of the edge with this index.
fn harm_disk(world: &mut World, origin: &mut Origin, edge: &mut Edge, index: usize, action: Action) {
    match action {
        Action::LoseBlob => {
            let place = world.random.below(1000);
            if let Some(blob) = edge.disk.lose_blob(place) {
                world.log(|_| format!("e{index} loses blob {blob}"));
                if let Some(process) = &edge.process {
                    world.after(Duration::from_secs(2), Event::Look { edge: index, process: process.number() });
                }
            }
        }
        Action::DamageState if edge.process.is_none() => {
            world.log(|_| format!("the state of e{index} is damaged"));
            edge.disk.damage = Some(world.random.below(100_000));
            world.ledger.forget(index, world.now);
        }
        Action::WipeDisk => {
            edge.kill(world, origin);
            world.log(|_| format!("the disk of e{index} is replaced"));
            edge.disk = Disk::new(edge.disk.budget);
            world.ledger.forget(index, world.now);
            let delay = world.random.millis(10, 20_000);
            world.after(delay, Event::StartEdge(index));
        }
        Action::FailDisk => {
            world.log(|_| format!("the disk of e{index} cannot be written"));
            edge.disk.is_failing = true;
            edge.disk.has_failed = true;
            let delay = world.random.millis(100, 20_000);
            world.after(delay, Event::RepairDisk(index));
        }
        _ => {}
    }
}
