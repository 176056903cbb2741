//! The task that turns what is heard into what is told.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use verge_daemon::feed::Change;

use super::FollowCounts;
use super::rows::Rows;
use super::told::Told;

pub(super) struct Applier {
    pub(super) rows: Rows,
    pub(super) told: watch::Sender<Arc<Told>>,
    pub(super) to_save: watch::Sender<Rows>,
    pub(super) counts: FollowCounts,
}

impl Applier {
    /// Takes changes as they come, until none can come any more.
    pub(super) async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        while let Some(change) = changes.recv().await {
            let applied = self.rows.apply(change);
            for notice in applied.notices {
                self.counts.note(notice);
            }
            self.counts.count_unknown(&self.rows);
            let now = self.rows.told();
            // A position that moves alone is there for who looks, and wakes nobody.
            self.told.send_if_modified(|told| {
                *told = Arc::new(now.clone());
                applied.changed
            });
            self.to_save.send_if_modified(|rows| {
                *rows = self.rows.clone();
                applied.to_save
            });
            if applied.changed {
                let position = now.position.map(|position| position.to_string());
                tracing::info!(position, edges = now.edges.len(), domains = now.domains.len(), "told of a change");
            }
        }
    }
}
