//! Problems that need an operator, for the status, the health page and the metrics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verge_daemon::{Clock, error_chain};
use verge_protocol::api::{DomainStep, Problem};
use verge_protocol::report::CertificateLag;
use verge_protocol::{EdgeName, Seq};

use crate::api_tls::ApiTls;
use crate::certificates::Issuer;
use crate::certificates::Vault;
use crate::domains::Domains;
use crate::edge_reports::{EdgeReports, LastReport};
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
    certificates: Option<(Instant, Vec<Problem>)>,
}

/// What a check found, and when.
struct Check {
    at: Instant,
    problem: Option<Problem>,
}

/// How long unknown tokens are a problem after the last request with one. Edges and name servers repeat theirs every few seconds.
const UNKNOWN_TOKENS_SHOWN: Duration = Duration::from_mins(5);

/// What certificates there are, and what keeps others from being issued.
#[derive(Clone)]
pub(crate) struct CertificateSources {
    pub(crate) vault: Vault,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) domains: Domains,
}

/// Finds the problems. Clones share what they found.
#[derive(Clone)]
pub(crate) struct Problems {
    database: Database,
    blobs: Blobs,
    edge_reports: EdgeReports,
    clock: Clock,
    expiry_clock: ExpiryClock,
    certificates: CertificateSources,
    tls: ApiTls,
    metrics: Arc<Metrics>,
    checks: Arc<Mutex<Checks>>,
}

impl Problems {
    pub(crate) fn new(
        database: Database,
        blobs: Blobs,
        expiry_clock: ExpiryClock,
        certificates: CertificateSources,
        tls: ApiTls,
        metrics: Arc<Metrics>,
    ) -> Self {
        let ExpiryClock { clock, edge_reports, .. } = expiry_clock.clone();
        Self { database, blobs, edge_reports, clock, expiry_clock, certificates, tls, metrics, checks: Arc::default() }
    }

    /// The problems now, the gravest first. An error tells that not even reads work.
    pub(crate) async fn list(&self) -> Result<Vec<Problem>, StoreError> {
        let now = self.clock.now();
        let mut problems = self.storage().await?;
        problems.extend(self.certificates.vault.problem());
        problems.extend(self.tls.problem());
        problems.extend(self.certificates().await?);
        let live = self.edge_reports.live();
        problems.extend(live.iter().flat_map(|(edge, last)| tls_problems(edge, last)));
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

    /// The problems of certificates that are not issued.
    async fn certificates(&self) -> Result<Vec<Problem>, StoreError> {
        let mut checks = self.checks.lock().await;
        if let Some((at, problems)) = &checks.certificates
            && at.elapsed() < CERTIFICATE_CHECK_INTERVAL
        {
            return Ok(problems.clone());
        }
        let overdue = self.certificates.issuer.overdue().await?;
        let problems: Vec<Problem> =
            overdue.into_iter().chain(self.certificates.without_certificate().await?).collect();
        checks.certificates = Some((Instant::now(), problems.clone()));
        Ok(problems)
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

impl CertificateSources {
    /// The domains of sites that can have no certificate: what their last check has found says why, else the authority.
    async fn without_certificate(&self) -> Result<Option<Problem>, StoreError> {
        let uncertified = self.issuer.uncertified_domains().await?;
        let reason = |(domain, problem): (_, Option<String>)| {
            let findings = self.domains.findings(&domain);
            let found = findings.iter().find(|finding| finding.blocks.contains(&DomainStep::Certificate));
            Some((domain, found.map(ToString::to_string).or(problem)?))
        };
        let (domains, mut reasons): (Vec<_>, Vec<_>) = uncertified.into_iter().filter_map(reason).unzip();
        Ok((!domains.is_empty())
            .then(|| Problem::DomainsWithoutCertificate { domains, reason: reasons.swap_remove(0) }))
    }
}

/// What a live edge says about its certificates and its key.
fn tls_problems(edge: &EdgeName, last: &LastReport) -> impl Iterator<Item = Problem> {
    let lagging = last.claims.certificates.as_deref().unwrap_or_default();
    // Each renewal is like that for a moment. An edge lists those last (earlier versions do not): if the list has one, it omits no other.
    let failing: Vec<_> = lagging.iter().filter(|lag| lag.reason != CertificateLag::REQUESTING_KEY).collect();
    let omitted = if failing.len() == lagging.len() { last.claims.certificates_omitted } else { 0 };
    let certificates = failing.first().map(|first| Problem::EdgeCertificates {
        edge: edge.clone(),
        domains: failing.iter().map(|lag| lag.domain.clone()).collect(),
        omitted,
        reason: first.reason.clone(),
    });
    let reasons = last.claims.tls_problems.clone();
    let tls = (!reasons.is_empty()).then(|| Problem::EdgeTls { edge: edge.clone(), reasons });
    certificates.into_iter().chain(tls)
}

#[cfg(test)]
mod tests {
    use verge_protocol::Timestamp;
    use verge_protocol::report::EdgeReport;

    use super::*;

    /// The problems of one edge that reports this.
    fn problems(change: impl FnOnce(&mut EdgeReport)) -> Vec<String> {
        let reports = EdgeReports::default();
        let mut report = EdgeReport { certificates: Some(Vec::new()), ..EdgeReport::new("1-7".parse().unwrap(), "0") };
        change(&mut report);
        reports.record("fra-1".parse().unwrap(), report, None, Timestamp(0));
        let live = reports.live();
        live.iter().flat_map(|(edge, last)| tls_problems(edge, last)).map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn edge_that_lacks_certificates_or_cannot_use_its_key_is_a_problem() {
        assert!(problems(|_| {}).is_empty());
        assert!(problems(|report| report.certificates = None).is_empty(), "it has no TLS");
        let lag = |domain: &str| CertificateLag {
            domain: domain.parse().unwrap(),
            seq: Seq(3),
            reason: "malformed edge key".to_owned(),
        };
        let asking = CertificateLag { reason: CertificateLag::REQUESTING_KEY.to_owned(), ..lag("new.example") };
        assert!(problems(|report| report.certificates = Some(vec![asking.clone()])).is_empty());
        let lacking = problems(|report| report.certificates = Some(vec![asking.clone(), lag("sites.example")]));
        assert_eq!(
            lacking,
            ["edge fra-1 does not present the latest certificate of sites.example: malformed edge key"]
        );
        let all = |report: &mut EdgeReport| {
            report.certificates = Some([vec![asking.clone(); 1000], vec![lag("sites.example")]].concat());
            *report = report.clone().bounded();
        };
        assert_eq!(problems(all), lacking, "it is listed, and what is omitted is no problem");
        let many = problems(|report| {
            report.certificates = Some(vec![lag("a.example"), lag("b.example")]);
            report.certificates_omitted = 7;
            report.tls_problems = vec!["malformed edge key".to_owned(), "no chain.pem".to_owned()];
        });
        assert_eq!(
            many,
            [
                "edge fra-1 does not present the latest certificate of a.example, b.example, 9 in all; of the first one: \
                 malformed edge key",
                "TLS of edge fra-1: malformed edge key; no chain.pem",
            ]
        );
    }
}
