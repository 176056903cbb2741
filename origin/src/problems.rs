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

use crate::api_tls::ApiTls;
use crate::certificates::Issuer;
use crate::certificates::Vault;
use crate::edge_reports::EdgeReports;
use crate::expiry_clock::{CLOCK_TOLERANCE, ExpiryClock};
use crate::metrics::Metrics;
use crate::store::{Blobs, Database, StoreError};

/// How long the result of the check of writes is reused: each check writes.
const WRITE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long the result of the check of rows is reused: each check reads every row.
const ROW_CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// How long the result of the check of certificates is reused: each check reads all of them.
const CERTIFICATE_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Interval of the checks for the metrics.
const METRICS_INTERVAL: Duration = Duration::from_secs(15);
/// How long a divergence is a problem after it was noticed, unless it has left orphans.
const DIVERGENCE_SHOWN: Duration = Duration::from_hours(24);

/// The last checks of storage.
#[derive(Default)]
struct Checks {
    writes: Option<Check>,
    rows: Option<Check>,
    certificates: Option<Check>,
}

/// What a check found, and when.
struct Check {
    at: Instant,
    problem: Option<Problem>,
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
    expiry_clock: ExpiryClock,
    vault: Vault,
    tls: ApiTls,
    issuer: Arc<Issuer>,
    metrics: Arc<Metrics>,
    checks: Arc<Mutex<Checks>>,
}

impl Problems {
    pub(crate) fn new(
        database: Database,
        blobs: Blobs,
        expiry_clock: ExpiryClock,
        vault: Vault,
        tls: ApiTls,
        issuer: Arc<Issuer>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let ExpiryClock { clock, edge_reports, .. } = expiry_clock.clone();
        Self { database, blobs, edge_reports, clock, expiry_clock, vault, tls, issuer, metrics, checks: Arc::default() }
    }

    /// The problems now, the gravest first. An error tells that not even reads work.
    pub(crate) async fn list(&self) -> Result<Vec<Problem>, StoreError> {
        let now = self.clock.now();
        let mut problems = self.storage().await?;
        problems.extend(self.vault.problem());
        problems.extend(self.tls.problem());
        problems.extend(self.certificates().await?);
        let orphans = self.orphans().await?;
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
        let live = self.edge_reports.live();
        problems.extend(live.iter().filter_map(|(edge, last)| {
            Some(Problem::EdgeNotSaving { edge: edge.clone(), reason: last.report.not_saving.clone()? })
        }));
        let ahead = self.expiry_clock.ahead();
        problems.extend(ahead.map(|ahead| Problem::ClockAhead { seconds: ahead.as_secs() }));
        problems.extend(live.into_iter().filter_map(|(edge, last)| {
            let ahead_seconds = last.clock_ahead_seconds()?;
            let differs = ahead_seconds.unsigned_abs() > CLOCK_TOLERANCE.as_secs();
            differs.then_some(Problem::ClockDiffers { edge, ahead_seconds })
        }));
        problems.extend(self.metrics.unknown_tokens(now, UNKNOWN_TOKENS_SHOWN));
        self.metrics.set_problems(&problems);
        let pending = self.edge_reports.pending_purges().len();
        self.metrics.pending_purges.set(i64::try_from(pending).unwrap_or(i64::MAX));
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
        let mut checks = self.checks.lock().await;
        let is_due =
            |check: &Option<Check>, interval| check.as_ref().is_none_or(|check| check.at.elapsed() >= interval);
        if is_due(&checks.writes, WRITE_CHECK_INTERVAL) {
            checks.writes = Some(Check { at: Instant::now(), problem: self.check_writes().await });
        }
        if is_due(&checks.rows, ROW_CHECK_INTERVAL) {
            checks.rows = Some(Check { at: Instant::now(), problem: self.check_rows().await? });
        }
        Ok([&checks.writes, &checks.rows].into_iter().flatten().filter_map(|check| check.problem.clone()).collect())
    }

    /// The problem of certificates.
    async fn certificates(&self) -> Result<Option<Problem>, StoreError> {
        let mut checks = self.checks.lock().await;
        let check = match &checks.certificates {
            Some(check) if check.at.elapsed() < CERTIFICATE_CHECK_INTERVAL => check,
            _ => checks.certificates.insert(Check { at: Instant::now(), problem: self.issuer.overdue().await? }),
        };
        Ok(check.problem.clone())
    }

    async fn check_writes(&self) -> Option<Problem> {
        let reason = |error: StoreError| {
            if error.is_storage_full() { "the disk is full".to_owned() } else { error_chain(&error) }
        };
        match self.database.check_write().await {
            Ok(()) => {
                let failed = self.blobs.check_write().await.err();
                failed.map(|error| Problem::PushesFail { reason: reason(error) })
            }
            Err(error) => Some(Problem::WritesFail { reason: reason(error) }),
        }
    }

    async fn check_rows(&self) -> Result<Option<Problem>, StoreError> {
        let damaged = self.database.rows(Seq(0)).await?.damaged;
        let keys: Vec<String> = damaged.into_iter().map(|row| row.key).collect();
        Ok((!keys.is_empty()).then_some(Problem::DamagedRows { keys }))
    }

    /// What edges serve that this origin does not know.
    async fn orphans(&self) -> Result<Option<Problem>, StoreError> {
        let (mut keys, mut edges) = (BTreeSet::new(), Vec::new());
        for (edge, last) in self.edge_reports.live() {
            if !last.report.orphans.is_empty() {
                keys.extend(last.report.orphans.iter().cloned());
                edges.push(edge);
            }
        }
        // An edge that has not caught up yet may name keys that were written again.
        let keys = self.database.without_row(keys).await?;
        Ok((!keys.is_empty()).then_some(Problem::Orphans { keys, edges }))
    }
}
