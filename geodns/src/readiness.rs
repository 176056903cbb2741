//! Whether this name server is ready, and what is wrong with it: `/healthz` and the gauge `verge_dns_problems` are both computed
//! here.

mod problem;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use tokio::time::Instant;
use verge_daemon::Tasks;
use verge_daemon::feed::LastSeen;
use verge_daemon::private_listener::Readiness;

pub(crate) use self::problem::{Problem, ProblemKind};
use crate::fleet::RegionSetId;
use crate::health::HealthTable;
use crate::snapshot::Snapshot;
use crate::watched_files::ZoneStatus;

/// The tasks without which answers are wrong or out of date.
const ESSENTIAL_TASKS: [&str; 6] = ["dns over udp", "dns over tcp: accepting", "feed", "applier", "health", "snapshot"];

/// The tasks without which answers stay right until the operator changes a file, or until a restart.
const BACKGROUND_TASKS: [&str; 2] = ["save", "zone files"];

/// How long origins may be silent. They send a heartbeat every five seconds, and restart within a few.
const ORIGIN_SILENCE: Duration = Duration::from_mins(1);

/// What readiness is computed from.
#[derive(Clone)]
pub(crate) struct ReadinessCheck {
    pub(crate) tasks: Tasks,
    pub(crate) snapshots: Arc<ArcSwap<Snapshot>>,
    pub(crate) zones: watch::Receiver<Vec<ZoneStatus>>,
    /// Why the location database cannot be loaded now.
    pub(crate) database_failure: watch::Receiver<Option<String>>,
    /// Why the last write of the state file failed.
    pub(crate) save_failure: Arc<ArcSwapOption<String>>,
    pub(crate) health: watch::Receiver<Arc<HealthTable>>,
    pub(crate) last_seen: LastSeen,
    /// When this name server started.
    pub(crate) started: Instant,
}

impl ReadinessCheck {
    /// Not ready if a problem prevents serving, with the first of these; degraded if there are others.
    pub(crate) fn readiness(&self) -> Readiness {
        let mut problems = self.problems();
        if problems.is_empty() {
            return Readiness::Ready;
        }
        match problems.iter().position(|problem| problem.kind.prevents_serving()) {
            Some(worst) => Readiness::NotReady(problems.swap_remove(worst).text),
            None => Readiness::Degraded(problems.into_iter().map(|problem| problem.text).collect()),
        }
    }

    /// All problems, worst first.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |kind, text| problems.push(Problem { kind, text });
        let running = self.tasks.running();
        for name in ESSENTIAL_TASKS.iter().filter(|name| !running.contains_key(*name)) {
            add(ProblemKind::EssentialTaskEnded, format!("the task `{name}` has ended"));
        }
        let snapshot = self.snapshots.load();
        if !snapshot.fleet_is_known {
            let text = "no origin has been reached yet: names that are not in a zone file get SERVFAIL";
            add(ProblemKind::FleetUnknown, text.to_owned());
        }
        for id in snapshot.zone_set.region_sets.iter().filter(|id| !snapshot.fleet.has_eligible_edge(**id)) {
            let sites = sites(&snapshot, *id);
            add(ProblemKind::NoEligibleEdge, format!("no edge is eligible for {sites}: their answers have no address"));
        }
        if self.health.borrow().isolated {
            let text = "no edge can be reached: health checks do not guide answers";
            add(ProblemKind::Isolated, text.to_owned());
        }
        let zones = self.zones.borrow();
        for ZoneStatus { zone, loaded, from_copy, load_failure, .. } in zones.iter() {
            if let Some(failure) = load_failure {
                let version = if *from_copy { "from the copy" } else { "as" };
                add(ProblemKind::ZoneOutdated, format!("serving zone {zone} {version} of {loaded}: {failure}"));
            }
        }
        if let Some(failure) = &*self.database_failure.borrow() {
            match snapshot.locator.database() {
                Some(_) => add(
                    ProblemKind::DatabaseOutdated,
                    format!("using an earlier version of the location database: {failure}"),
                ),
                None => add(ProblemKind::DatabaseMissing, format!("no location database: {failure}")),
            }
        }
        match self.last_seen.elapsed() {
            Some(ago) if ago > ORIGIN_SILENCE => {
                add(ProblemKind::OriginSilent, format!("origin last seen {} s ago", ago.as_secs()));
            }
            None if self.started.elapsed() > ORIGIN_SILENCE => {
                let ago = self.started.elapsed().as_secs();
                add(ProblemKind::OriginSilent, format!("no origin seen since the start {ago} s ago"));
            }
            Some(_) | None => {}
        }
        if let Some(failure) = &*self.save_failure.load() {
            add(ProblemKind::StateNotSaved, format!("the state is not being saved: {failure}"));
        }
        for ZoneStatus { zone, copy_failure, .. } in zones.iter() {
            if let Some(failure) = copy_failure {
                add(ProblemKind::ZoneNotCopied, format!("zone {zone} has no current copy: {failure}"));
            }
        }
        for name in BACKGROUND_TASKS.iter().filter(|name| !running.contains_key(*name)) {
            add(ProblemKind::BackgroundTaskEnded, format!("the task `{name}` has ended"));
        }
        problems
    }
}

/// The sites of a region set, in words.
fn sites(snapshot: &Snapshot, id: RegionSetId) -> String {
    let regions: Vec<_> = snapshot.fleet.regions(id).iter().map(ToString::to_string).collect();
    if regions.is_empty() { "sites".to_owned() } else { format!("sites restricted to {}", regions.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use verge_protocol::Timestamp;

    use super::*;
    use crate::fleet::{Fleet, Policy};
    use crate::test_support;

    /// A name server without a problem, and what changes its inputs.
    struct Harness {
        check: ReadinessCheck,
        zones: watch::Sender<Vec<ZoneStatus>>,
        database_failure: watch::Sender<Option<String>>,
        health: watch::Sender<Arc<HealthTable>>,
    }

    impl Harness {
        fn new() -> Self {
            let (zones, database_failure, health) =
                (watch::Sender::default(), watch::Sender::default(), watch::Sender::default());
            let check = ReadinessCheck {
                tasks: Tasks::default(),
                snapshots: Arc::new(ArcSwap::from_pointee(test_support::snapshot())),
                zones: zones.subscribe(),
                database_failure: database_failure.subscribe(),
                save_failure: Arc::default(),
                health: health.subscribe(),
                last_seen: LastSeen::never(),
                started: Instant::now(),
            };
            for name in ESSENTIAL_TASKS.into_iter().chain(BACKGROUND_TASKS) {
                drop(check.tasks.spawn(name, std::future::pending::<()>()));
            }
            Self { check, zones, database_failure, health }
        }

        fn change(&self, change: impl FnOnce(&mut Snapshot)) {
            let mut snapshot = Snapshot::clone(&self.check.snapshots.load());
            change(&mut snapshot);
            self.check.snapshots.store(Arc::new(snapshot));
        }

        #[track_caller]
        fn assert_degraded(&self, reasons: &[&str]) {
            let reasons = reasons.iter().map(ToString::to_string).collect();
            assert_eq!(self.check.readiness(), Readiness::Degraded(reasons));
        }

        #[track_caller]
        fn assert_not_ready(&self, reason: &str) {
            assert_eq!(self.check.readiness(), Readiness::NotReady(reason.to_owned()));
        }
    }

    fn status(from_copy: bool, load_failure: Option<&str>, copy_failure: Option<&str>) -> ZoneStatus {
        ZoneStatus {
            zone: "example.com".parse().unwrap(),
            loaded: Timestamp(0),
            from_copy,
            load_failure: load_failure.map(str::to_owned),
            copy_failure: copy_failure.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn every_problem_of_a_serving_name_server_is_a_reason() {
        let harness = Harness::new();
        harness.zones.send_replace(vec![status(false, None, None)]);
        assert_eq!(harness.check.readiness(), Readiness::Ready);
        harness.zones.send_replace(vec![
            status(true, Some("zone:1: wrong"), None),
            status(false, Some("zone:2: wrong"), Some("disk full")),
        ]);
        harness.database_failure.send_replace(Some("city.mmdb: no such file".to_owned()));
        harness.health.send_replace(Arc::new(HealthTable { isolated: true, ..HealthTable::default() }));
        harness.check.save_failure.store(Some(Arc::new("disk full".to_owned())));
        harness.assert_degraded(&[
            "no edge can be reached: health checks do not guide answers",
            "serving zone example.com from the copy of 1970-01-01T00:00:00Z: zone:1: wrong",
            "serving zone example.com as of 1970-01-01T00:00:00Z: zone:2: wrong",
            "no location database: city.mmdb: no such file",
            "the state is not being saved: disk full",
            "zone example.com has no current copy: disk full",
        ]);
    }

    #[tokio::test]
    async fn restriction_without_an_eligible_edge_is_a_reason_if_a_site_has_it() {
        let harness = Harness::new();
        let fleet = |region_sets: &[BTreeSet<_>]| Arc::new(Fleet::new(Vec::new(), region_sets, Policy::default()));
        harness.change(|snapshot| {
            snapshot.fleet = fleet(&[
                BTreeSet::new(),
                ["de".parse().unwrap(), "eu".parse().unwrap()].into(),
                ["unused".parse().unwrap()].into(),
            ]);
        });
        harness.assert_degraded(&[
            "no edge is eligible for sites: their answers have no address",
            "no edge is eligible for sites restricted to de, eu: their answers have no address",
        ]);
    }

    #[tokio::test]
    async fn ended_task_or_unknown_fleet_prevents_serving() {
        let harness = Harness::new();
        harness.health.send_replace(Arc::new(HealthTable { isolated: true, ..HealthTable::default() }));
        harness.change(|snapshot| snapshot.fleet_is_known = false);
        harness.assert_not_ready("no origin has been reached yet: names that are not in a zone file get SERVFAIL");
        harness.check.tasks.shutdown(Duration::ZERO).await.unwrap_err();
        harness.assert_not_ready("the task `dns over udp` has ended");
        let ended = harness.check.problems().into_iter().filter(|problem| problem.text.ends_with("has ended"));
        assert_eq!(ended.count(), ESSENTIAL_TASKS.len() + BACKGROUND_TASKS.len());
    }

    #[tokio::test(start_paused = true)]
    async fn silent_origin_is_a_reason_after_a_minute() {
        let harness = Harness::new();
        tokio::time::advance(ORIGIN_SILENCE).await;
        assert_eq!(harness.check.readiness(), Readiness::Ready);
        tokio::time::advance(Duration::from_secs(1)).await;
        harness.assert_degraded(&["no origin seen since the start 61 s ago"]);
        harness.check.last_seen.record();
        tokio::time::advance(ORIGIN_SILENCE).await;
        assert_eq!(harness.check.readiness(), Readiness::Ready);
        tokio::time::advance(Duration::from_mins(4)).await;
        harness.assert_degraded(&["origin last seen 300 s ago"]);
    }
}
