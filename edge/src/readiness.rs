//! Whether this edge is ready, and what is wrong with it: `/healthz`, the gauge `verge_edge_problems`, and parts of the health page.

use verge_daemon::private_listener::Readiness;
use verge_protocol::report::{CertificateLag, Lag, PurgeLag};

use crate::status::{Availability, ServingStatus};
use crate::store::Store;

/// The kinds of problems. Each is a value of the label `kind`, and has its row in docs/OPERATING.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    /// No site is ready to be served.
    NothingToServe,
    /// The process has just started, and does not know yet what it should serve.
    CatchingUp,
    /// Blobs of live releases are not on disk: readers need an origin for them.
    BlobsMissing,
    /// Channels serve an older release than the origin says, none, or one that is not on disk yet.
    Lagging,
    /// Sites have a purge that is not done yet.
    Purging,
    /// No origin was seen for a minute: releases may be out of date.
    OriginSilent,
    /// The state is not being saved: a restart would serve older releases.
    StateNotSaved,
    /// Blobs or manifests cannot be written to disk.
    DiskFailed,
    /// Keys are in force that the origin, restored from an older copy or replaced, does not know.
    Orphans,
    /// The key of this edge cannot be used: it gets no private keys of certificates.
    EdgeKey,
    /// Files of a certificate of the operator's own cannot be used as they are.
    CertificateFile,
    /// Certificates of the fleet are not presented as of their latest write.
    CertificatesLagging,
    /// A certificate that is presented should have been renewed.
    CertificateExpiring,
}

impl ProblemKind {
    /// All kinds, worst first.
    pub(crate) const ALL: [Self; 13] = [
        Self::NothingToServe,
        Self::CatchingUp,
        Self::BlobsMissing,
        Self::Lagging,
        Self::Purging,
        Self::OriginSilent,
        Self::StateNotSaved,
        Self::DiskFailed,
        Self::Orphans,
        Self::EdgeKey,
        Self::CertificateFile,
        Self::CertificatesLagging,
        Self::CertificateExpiring,
    ];

    /// The name of the kind in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NothingToServe => "nothing_to_serve",
            Self::CatchingUp => "catching_up",
            Self::BlobsMissing => "blobs_missing",
            Self::Lagging => "lagging",
            Self::Purging => "purging",
            Self::OriginSilent => "origin_silent",
            Self::StateNotSaved => "state_not_saved",
            Self::DiskFailed => "disk_failed",
            Self::Orphans => "orphans",
            Self::EdgeKey => "edge_key",
            Self::CertificateFile => "certificate_file",
            Self::CertificatesLagging => "certificates_lagging",
            Self::CertificateExpiring => "certificate_expiring",
        }
    }
}

/// Something that an operator should know, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    pub(crate) text: String,
}

/// What readiness is computed from.
#[derive(Clone)]
pub(crate) struct ReadinessCheck {
    pub(crate) status: ServingStatus,
    pub(crate) store: Store,
}

impl ReadinessCheck {
    /// Not ready if readers must not be sent here; degraded if there are other problems.
    pub(crate) fn readiness(&self) -> Readiness {
        let mut problems = self.problems();
        let is_unavailable =
            |problem: &Problem| matches!(problem.kind, ProblemKind::NothingToServe | ProblemKind::CatchingUp);
        match problems.iter().position(is_unavailable) {
            Some(index) => Readiness::NotReady(problems.swap_remove(index).text),
            None if problems.is_empty() => Readiness::Ready,
            None => Readiness::Degraded(problems.into_iter().map(|problem| problem.text).collect()),
        }
    }

    /// All problems, worst first.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |kind, text| problems.push(Problem { kind, text });
        let applied = self.status.applied.borrow();
        match self.status.availability() {
            Availability::Available => {}
            Availability::CatchingUp => {
                add(ProblemKind::CatchingUp, "catching up with the origin after the start".to_owned());
            }
            Availability::Empty => add(ProblemKind::NothingToServe, "no site is ready to be served yet".to_owned()),
        }
        let is_silent = self.status.is_origin_silent();
        let missing = self.status.missing_blobs.get();
        if missing > 0 {
            let effect = if is_silent { "readers of these files get 503" } else { "they are fetched from the origin" };
            add(ProblemKind::BlobsMissing, format!("{missing} blobs of live releases are not on disk: {effect}"));
        }
        if !applied.lagging.is_empty() {
            add(ProblemKind::Lagging, describe_lag(&applied.lagging));
        }
        if let Some(PurgeLag { site, seq, reason, .. }) = applied.purging.first() {
            let sites = applied.purging.len();
            add(
                ProblemKind::Purging,
                format!("{sites} sites have a purge that is not done, {site} that of write {seq}: {reason}"),
            );
        }
        if is_silent {
            let text = match self.status.last_seen.elapsed() {
                Some(ago) => format!("origin last seen {} s ago", ago.as_secs()),
                None => format!("no origin seen since the start {} s ago", self.status.last_seen.silence().as_secs()),
            };
            add(ProblemKind::OriginSilent, text);
        }
        if let Some(reason) = &applied.not_saving {
            add(ProblemKind::StateNotSaved, format!("the state is not being saved: {reason}"));
        }
        if let Some(reason) = self.store.write_failure() {
            add(ProblemKind::DiskFailed, format!("files cannot be written to disk: {reason}"));
        }
        if let Some(first) = applied.orphans.first() {
            let keys = applied.orphans.len();
            add(ProblemKind::Orphans, format!("{keys} keys are served that the origin does not know, such as {first}"));
        }
        if let Some(problem) = self.status.tls.key_problem() {
            add(ProblemKind::EdgeKey, format!("this edge gets no private keys of certificates: {problem}"));
        }
        for problem in self.status.tls.file_problems() {
            add(ProblemKind::CertificateFile, problem);
        }
        let lagging = self.status.tls.lagging();
        if let Some(CertificateLag { domain, reason, .. }) = lagging.first() {
            let text = match lagging.len() {
                1 => format!("the certificate of {domain} is not presented yet: {reason}"),
                more => format!("{more} certificates are not presented yet, such as that of {domain}: {reason}"),
            };
            add(ProblemKind::CertificatesLagging, text);
        }
        if let Some((name, end)) = self.status.tls.expiring().into_iter().min_by_key(|(_, end)| *end) {
            let text = match self.status.tls.expiring().len() {
                1 => format!("the certificate of {name} should have been renewed: it is valid until {end}"),
                more => format!("{more} certificates should have been renewed: that of {name} is valid until {end}"),
            };
            add(ProblemKind::CertificateExpiring, text);
        }
        problems
    }
}

/// How many lagging channels a text names.
const LAGS_NAMED: usize = 5;

fn describe_lag(lagging: &[Lag]) -> String {
    let named = lagging.iter().take(LAGS_NAMED);
    let named = named.map(|lag| format!("{} of {} at write {}: {}", lag.channel, lag.site, lag.seq, lag.reason));
    let more = match lagging.len().saturating_sub(LAGS_NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let named = named.collect::<Vec<_>>().join("; ");
    format!("{} channels serve an older release, none, or one that is not on disk yet; {named}{more}", lagging.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;
    use verge_daemon::{Clock, Tasks};
    use verge_protocol::Seq;

    use super::*;
    use crate::status::AppliedState;
    use crate::store::BlockingStore;
    use crate::test_support::serving_status;
    use crate::tls::TlsStatus;

    #[tokio::test(start_paused = true)]
    async fn every_problem_of_a_serving_edge_is_a_reason() {
        let directory = tempfile::tempdir().unwrap();
        let applied = watch::Sender::new(AppliedState::default());
        let status = serving_status(&applied);
        let store = Store::new(BlockingStore::open_for_test(directory.path(), 1000), Tasks::default());
        let check = ReadinessCheck { status, store };
        assert_eq!(check.readiness(), Readiness::NotReady("no site is ready to be served yet".to_owned()));
        applied.send_modify(|applied| applied.served = 1);
        assert_eq!(check.readiness(), Readiness::NotReady("catching up with the origin after the start".to_owned()));
        applied.send_modify(|applied| applied.has_caught_up = true);
        assert_eq!(check.readiness(), Readiness::Ready);

        let (site, channel) = ("demo".parse().unwrap(), "live".parse().unwrap());
        applied.send_modify(|applied| {
            applied.lagging = vec![Lag { site, channel, seq: Seq(2), reason: "fetching the manifest".to_owned() }];
            let reason = "checking what is on disk".to_owned();
            applied.purging = vec![PurgeLag { site: "demo".parse().unwrap(), seq: Seq(3), running: true, reason }];
            applied.not_saving = Some("no space".to_owned());
            applied.orphans = vec!["site/a".to_owned(), "site/b".to_owned()];
        });
        check.status.missing_blobs.set(3);
        let expected = [
            "3 blobs of live releases are not on disk: they are fetched from the origin",
            "1 channels serve an older release, none, or one that is not on disk yet; live of demo at write 2: fetching the manifest",
            "1 sites have a purge that is not done, demo that of write 3: checking what is on disk",
            "the state is not being saved: no space",
            "2 keys are served that the origin does not know, such as site/a",
        ];
        assert_eq!(check.readiness(), Readiness::Degraded(expected.map(str::to_owned).to_vec()));
        tokio::time::advance(Duration::from_secs(61)).await;
        let Readiness::Degraded(reasons) = check.readiness() else { panic!() };
        assert_eq!(reasons[0], "3 blobs of live releases are not on disk: readers of these files get 503");
        assert_eq!(reasons[3], "no origin seen since the start 61 s ago");
        check.status.last_seen.record();
        assert_eq!(check.problems().len(), 5);
    }

    #[tokio::test]
    async fn edge_with_a_key_that_it_cannot_use_is_degraded_although_it_lacks_no_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let applied = AppliedState { served: 1, has_caught_up: true, ..AppliedState::default() };
        let mut status = serving_status(&watch::Sender::new(applied));
        let tls = TlsStatus::with_key_problem("edge.key: malformed edge key", Clock::system());
        assert!(tls.lagging().is_empty());
        status.tls = tls;
        let store = Store::new(BlockingStore::open_for_test(directory.path(), 1000), Tasks::default());
        let expected = "this edge gets no private keys of certificates: edge.key: malformed edge key";
        let readiness = ReadinessCheck { status, store }.readiness();
        assert_eq!(readiness, Readiness::Degraded(vec![expected.to_owned()]));
    }

    #[test]
    fn every_kind_is_documented() {
        let documentation = include_str!("../../docs/OPERATING.md");
        let section = documentation.split("### Health of an edge").nth(1).unwrap();
        let section = section.split("\n### ").next().unwrap();
        for kind in ProblemKind::ALL {
            assert!(section.contains(&format!("| `{}` |", kind.name())), "{}", kind.name());
        }
    }
}
