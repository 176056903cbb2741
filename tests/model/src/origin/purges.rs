//! Purges and erasures, and which edges have done them.

use std::collections::BTreeSet;

use verge_origin::model::PurgeConfirmation;
use verge_protocol::api::PurgeProgress;
use verge_protocol::host::HostLabel;
use verge_protocol::purge::PurgeScope;
use verge_protocol::{Digest, Position, SiteName, SitePath};

use super::commit::{Commit, Write};
use super::process::PurgeRun;
use super::{Origin, name};
use crate::site::Build;
use crate::world::World;

impl Origin {
    /// Tells clients which edges have done purges.
    pub(super) fn poll_purges(&mut self, world: &mut World) {
        let Some(process) = &mut self.process else { return };
        let uptime = world.now.saturating_sub(process.started);
        let mut deadlines = Vec::new();
        for PurgeRun { confirmation, site, seq } in &mut process.purges {
            confirmation.set_generation(self.database.position.generation);
            for event in confirmation.poll(uptime) {
                if let PurgeProgress::Confirmed { edge, .. } = event
                    && let Some(index) = self.edges.get(&edge)
                {
                    world.log(|_| format!("origin knows that {edge} has done the purge of {site} at {seq}"));
                    world.ledger.purges.told(*index, site, *seq);
                }
            }
            deadlines.extend(confirmation.deadline());
        }
        for deadline in deadlines {
            process.poll_at(world, deadline);
        }
        process.purges.retain(|run| run.confirmation.deadline().is_some());
    }

    /// Somebody purges paths of a site.
    pub(crate) fn purge(&mut self, world: &mut World, site: &SiteName, scope: PurgeScope) {
        if self.process.is_some() {
            let (in_use, plant) = (self.database.in_use(site), world.plant);
            let outcome = self.commit(world, Write::Other, |database| database.purge(site, &scope, plant));
            self.purged(world, site, (scope, outcome), BTreeSet::new(), in_use);
        }
    }

    /// Somebody erases a release: what no other release of the site has, unless a channel needs it. The purge that goes with it is of one
    /// of its paths.
    pub(crate) fn erase(&mut self, world: &mut World, label: &HostLabel, release: &Build) {
        let site = &label.site;
        let releases = self.database.releases(label);
        let others = releases.iter().filter(|(_, manifest)| *manifest != release.manifest);
        let others: BTreeSet<Digest> =
            others.flat_map(|(_, id)| world.ledger.build(id).contents.values().copied()).collect();
        let own = |content: &Digest| !others.contains(content) && !self.database.is_erased(site, *content);
        let contents: BTreeSet<Digest> = release.contents.values().copied().filter(own).collect();
        let path = release.contents.iter().find(|(_, content)| contents.contains(content));
        let Some(path) = path.map(|(path, _)| path.parse::<SitePath>().expect("a valid path")) else { return };
        let in_use = self.database.in_use(site);
        if self.process.is_some() && !in_use.iter().any(|(_, id)| *id == release.manifest) {
            let now = world.wall();
            let outcome = self.commit(world, Write::Other, |database| database.erase(site, &contents, &path, now));
            self.purged(world, site, (PurgeScope::Path(path), outcome), contents, in_use);
        }
    }

    /// Follows a purge of which it knows that it was made.
    fn purged(
        &mut self,
        world: &mut World,
        site: &SiteName,
        (scope, outcome): (PurgeScope, Commit<Position>),
        erased: BTreeSet<Digest>,
        in_use: Vec<(HostLabel, Digest)>,
    ) {
        self.announce(world);
        let is_known = outcome.is_known();
        let Some(position) = outcome.written() else { return };
        world.log(|_| format!("origin purges {scope} of {site} at {position}, and erases {} contents", erased.len()));
        let channels = self.database.channels().into_iter().map(|(label, _)| label).collect();
        world.ledger.purges.made((site, scope.clone()), position.seq, erased, in_use, channels);
        let members = self.members();
        let Some(process) = self.process.as_mut().filter(|_| is_known) else { return };
        let uptime = world.now.saturating_sub(process.started);
        let mut confirmation = PurgeConfirmation::new(site.clone(), scope, position, uptime);
        confirmation.set_members(&members, uptime);
        for (edge, last) in &process.reports {
            confirmation.report(&name(*edge), &last.report, last.received, last.time);
        }
        process.purges.push(PurgeRun { confirmation, site: site.clone(), seq: position.seq });
        self.poll_purges(world);
    }
}
