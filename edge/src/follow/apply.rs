//! The task that turns what is heard and what is fetched into the table that is served.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use verge_daemon::Clock;
use verge_daemon::feed::Change;

use super::channels::{Channels, Notice};
use super::manifests::{Manifests, Outcome};
use super::save::Save;
use crate::metrics::Metrics;
use crate::status::Applied;
use crate::table::Table;

/// How often to look at the clock although nothing was told.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

pub(super) struct Applier {
    pub(super) channels: Channels,
    pub(super) manifests: Manifests,
    pub(super) table: Arc<ArcSwap<Table>>,
    pub(super) applied: watch::Sender<Applied>,
    pub(super) saves: watch::Sender<Option<Save>>,
    /// Told each time the table was swapped.
    pub(super) swapped: watch::Sender<()>,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
}

impl Applier {
    /// Takes changes and manifests as they come, until no change can come any more.
    pub(super) async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        self.settle();
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => self.notice(change),
                    None => return,
                },
                outcome = self.manifests.next() => match outcome {
                    Outcome::Held(resources) => self.channels.hold(resources),
                    Outcome::Failed(id, reason) => self.channels.fail(id, reason),
                },
                // What is inherited expires without a word from anybody.
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            self.settle();
        }
    }

    fn notice(&mut self, change: Change) {
        for notice in self.channels.apply(change) {
            match notice {
                Notice::Unknown(key) => tracing::warn!(key, "a key of a kind that this version does not know: skipped"),
                Notice::Refused(key, reason) => {
                    self.metrics.refused_rows.inc();
                    tracing::error!(key, reason, "a row cannot be followed: serving what was there before");
                }
            }
        }
    }

    fn settle(&mut self) {
        let now = self.clock.now();
        self.channels.prune(now);
        if self.channels.settle() {
            self.table.store(Arc::new(self.channels.table(|site| self.metrics.site(site))));
            self.swapped.send_replace(());
        }
        self.manifests.want(self.channels.needed(now), &self.channels.wanted(now));
        let applied = self.channels.applied();
        if *self.applied.borrow() != applied {
            tracing::info!(
                position = applied.position.map(|position| position.to_string()),
                lagging = applied.lagging.len(),
                "applied"
            );
            self.saves.send_replace(Some(Save { saved: self.channels.saved(), applied: applied.clone() }));
            self.applied.send_replace(applied);
        }
    }
}
