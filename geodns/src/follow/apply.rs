//! The task that turns what is heard into what is told.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use verge_daemon::feed::Change;

use super::FollowCounts;
use super::rows::Rows;
use super::saved::SavedRows;
use super::told::Told;

pub(super) struct Applier {
    pub(super) rows: Rows,
    pub(super) told: watch::Sender<Arc<Told>>,
    pub(super) to_save: watch::Sender<Arc<SavedRows>>,
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
            let rows = self.rows.told();
            self.told.send_if_modified(|told| {
                if applied.changed {
                    *told = Arc::new(rows.clone());
                } else {
                    Arc::make_mut(told).position = rows.position;
                }
                applied.changed
            });
            if applied.changed {
                let position = rows.position.map(|position| position.to_string());
                tracing::info!(position, edges = rows.edges.len(), domains = rows.domains.len(), "told of a change");
            }
            let saved = self.rows.saved();
            // A feed that is opened again often tells nothing new.
            self.to_save.send_if_modified(|before| {
                let differs = **before != saved;
                if differs {
                    *before = Arc::new(saved);
                }
                differs
            });
        }
    }
}
