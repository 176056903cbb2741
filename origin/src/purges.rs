//! Purges: paths of a site that are not inherited any more, and that every edge checks on its disk.
//!
//! The purge is one transaction. [`confirmation`] decides, without I/O, which edges have done it; one task per purge feeds it with their
//! reports as long as its client listens. Edges do a purge whether or not anybody waits for it.

mod confirmation;

use tokio::sync::mpsc;
use verge_daemon::{Clock, Tasks};
use verge_protocol::api::PurgeProgress;
use verge_protocol::purge::PurgeScope;
use verge_protocol::{Position, SiteName};

pub(crate) use self::confirmation::{Confirmation, Purged};
use crate::edge_reports::EdgeReports;
use crate::feed::Feed;
use crate::fleet::Fleet;
use crate::publish;
use crate::rollout::Timing;
use crate::store::{Database, NewPurge, StoreError};

/// The progress of a purge as it happens. It is complete with [`PurgeProgress::Finished`].
pub(crate) type PurgeStream = mpsc::Receiver<PurgeProgress>;

/// How many events a client may be behind before the next one waits for it.
const BEHIND_MAX: usize = 64;

/// Makes purges. Clones share them.
#[derive(Clone)]
pub(crate) struct Purges {
    pub(crate) database: Database,
    pub(crate) feed: Feed,
    pub(crate) fleet: Fleet,
    pub(crate) edge_reports: EdgeReports,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) timing: Timing,
}

impl Purges {
    /// Purges paths of a site, durably, and tells which edges have done it.
    pub(crate) async fn purge(&self, new: NewPurge) -> Result<PurgeStream, StoreError> {
        let (database, now) = (self.database.clone(), self.clock.now());
        let NewPurge { site, scope, .. } = new.clone();
        let inherits = {
            let scope = scope.clone();
            move |inherits: &[_]| publish::inherited_after_purge(inherits, &scope)
        };
        let position = self.feed.write(async move { database.purge(&new, now, inherits).await }).await?;
        tracing::info!(%site, %scope, seq = %position.seq, "purged");
        Ok(self.confirm_at(site, scope, position))
    }

    /// Tells which edges have done a purge that was made at `position`.
    pub(crate) fn confirm_at(&self, site: SiteName, scope: PurgeScope, position: Position) -> PurgeStream {
        let (events, stream) = mpsc::channel(BEHIND_MAX);
        let purged = Purged { site, scope, position };
        drop(self.tasks.spawn("confirm a purge", self.clone().confirm(purged, events)));
        stream
    }

    /// Tells which edges have done a purge, until all have or are given up, or the client disconnects.
    async fn confirm(self, purged: Purged, events: mpsc::Sender<PurgeProgress>) {
        let (mut members, mut reports) = (self.fleet.members(), self.edge_reports.subscribe());
        let mut confirmation = Confirmation::new(purged, self.timing, self.edge_reports.uptime());
        // How many changes of reports it has taken.
        let mut taken = 0;
        loop {
            reports.mark_unchanged();
            let now = self.edge_reports.uptime();
            confirmation.set_generation(self.feed.position().generation);
            if confirmation.set_members(&members.borrow_and_update(), now) {
                taken = 0;
            }
            let (newer, changes) = self.edge_reports.since(taken);
            for (edge, last) in &newer {
                confirmation.report(edge, &last.claims, last.received, last.time);
            }
            taken = changes;
            for event in confirmation.poll(now) {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            let Some(deadline) = confirmation.deadline() else { return };
            tokio::select! {
                _ = members.changed() => members.mark_changed(),
                _ = reports.changed() => {}
                () = tokio::time::sleep_until(self.edge_reports.at(deadline)) => {}
                () = events.closed() => return,
                () = self.tasks.draining().cancelled() => return,
            }
        }
    }
}
