//! Problems that need an operator, for the status, the health page and the metrics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verge_daemon::{Clock, error_chain};
use verge_protocol::Seq;
use verge_protocol::api::Problem;

use crate::edge_reports::EdgeReports;
use crate::metrics::Metrics;
use crate::store::{Blobs, Database, StoreError};

/// How long what storage was found to be is believed: each check writes, and reads all rows.
const STORAGE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is checked for the metrics while nobody asks.
const METRICS_INTERVAL: Duration = Duration::from_secs(15);
/// How long a divergence is a problem after it was noticed, unless it has left orphans.
const DIVERGENCE_SHOWN: Duration = Duration::from_hours(24);

/// What a check of storage found, and when.
struct StorageCheck {
    at: Instant,
    problems: Vec<Problem>,
}

/// How long unknown tokens are a problem after the last request with one. Edges and name servers repeat theirs every few seconds.
const UNKNOWN_TOKENS_SHOWN: Duration = Duration::from_mins(5);

/// Finds the problems. Clones share what they found.
#[derive(Clone)]
pub(crate) struct Problems {
    database: Database,
    blobs: Blobs,
    edge_reports: EdgeReports,
    clock: Clock,
    metrics: Arc<Metrics>,
    storage: Arc<Mutex<Option<StorageCheck>>>,
}

impl Problems {
    pub(crate) fn new(
        database: Database,
        blobs: Blobs,
        edge_reports: EdgeReports,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { database, blobs, edge_reports, clock, metrics, storage: Arc::default() }
    }

    /// The problems now, the gravest first. An error tells that not even reads work.
    pub(crate) async fn list(&self) -> Result<Vec<Problem>, StoreError> {
        let now = self.clock.now();
        let mut problems = self.storage().await?;
        let orphans = self.orphans();
        if let Some(row) = self.database.last_divergence().await? {
            let is_recent = row.noticed.age(now) < DIVERGENCE_SHOWN;
            if is_recent || orphans.is_some() {
                problems.push(Problem::Diverged {
                    noticed: row.noticed,
                    subscriber: row.subscriber,
                    seen: row.seen.position,
                    had: row.had,
                });
            }
        }
        problems.extend(orphans);
        let live = self.edge_reports.live(now);
        let not_saving = live
            .into_iter()
            .filter_map(|(edge, report)| Some(Problem::EdgeNotSaving { edge, reason: report.not_saving? }));
        problems.extend(not_saving);
        problems.extend(self.metrics.unknown_tokens(now, UNKNOWN_TOKENS_SHOWN));
        self.metrics.set_problems(&problems);
        Ok(problems)
    }

    /// Keeps the metrics up to date until `draining` is cancelled.
    pub(crate) async fn keep_metrics(self, draining: CancellationToken) {
        loop {
            if let Err(error) = self.list().await {
                tracing::error!(error = error_chain(&error), "failed to look for problems");
            }
            tokio::select! {
                () = tokio::time::sleep(METRICS_INTERVAL) => {}
                () = draining.cancelled() => return,
            }
        }
    }

    /// The problems of the database and of blob storage.
    async fn storage(&self) -> Result<Vec<Problem>, StoreError> {
        let mut last = self.storage.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.at.elapsed() < STORAGE_CHECK_INTERVAL) {
            return Ok(last.problems.clone());
        }
        let mut problems = Vec::new();
        let damaged = self.database.rows(Seq(0)).await?.damaged;
        let reason = |error: StoreError| {
            if error.is_storage_full() { "the disk is full".to_owned() } else { error_chain(&error) }
        };
        if let Err(error) = self.database.check_write().await {
            problems.push(Problem::WritesFail { reason: reason(error) });
        } else if let Err(error) = self.blobs.check_write().await {
            problems.push(Problem::PushesFail { reason: reason(error) });
        }
        if !damaged.is_empty() {
            problems.push(Problem::DamagedRows { keys: damaged.into_iter().map(|row| row.key).collect() });
        }
        *last = Some(StorageCheck { at: Instant::now(), problems: problems.clone() });
        Ok(problems)
    }

    /// What edges serve that this origin does not know.
    fn orphans(&self) -> Option<Problem> {
        let mut keys = BTreeSet::new();
        let mut edges = Vec::new();
        for (edge, report) in self.edge_reports.live(self.clock.now()) {
            if !report.orphans.is_empty() {
                keys.extend(report.orphans);
                edges.push(edge);
            }
        }
        (!keys.is_empty()).then(|| Problem::Orphans { keys: keys.into_iter().collect(), edges })
    }
}
