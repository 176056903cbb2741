//! The prober: one task per address, and one that aggregates their reports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;
use verge_daemon::{Clock, Tasks};
use verge_protocol::DomainName;
use verge_protocol::fleet::ProbeScheme;

use super::aggregate::HealthAggregate;
use super::certified_host::CertifiedHost;
use super::config::HealthConfig;
use super::probe::ProbeFactory;
use super::probe_settings::ProbeSettings;
use super::probe_task::{ProbeReport, ProbeTarget, ProbeTask, initial_delay};
use super::saved::SavedHealth;
use super::table::HealthTable;
use super::tracker::Tracker;
use crate::fleet_state::FleetState;

/// Probes the edges of the fleet state, including those that the operator has forced up or down, so that their health is known.
pub(crate) struct Prober {
    settings: ProbeSettings,
    probes: ProbeFactory,
    fleet_state: watch::Receiver<Arc<FleetState>>,
    saved: watch::Sender<Arc<SavedHealth>>,
    clock: Clock,
    start: Instant,
    /// The id of the last task started.
    last_task_id: u64,
    /// What probes over TLS request.
    certified: Option<CertifiedHost>,
    aggregate: HealthAggregate,
    table: watch::Sender<Arc<HealthTable>>,
}

/// A running [`ProbeTask`]. Dropping this stops it.
struct Running {
    port: u16,
    scheme: Option<ProbeScheme>,
    host: Option<DomainName>,
    task_id: u64,
    _until_dropped: DropGuard,
}

impl Prober {
    /// Starts from the current fleet state and the saved health. Fails if `config` requires TLS that cannot be set up.
    pub(crate) fn new(
        config: HealthConfig,
        fleet_state: watch::Receiver<Arc<FleetState>>,
        saved: watch::Sender<Arc<SavedHealth>>,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let (settings, at) = (config.probe, clock.now());
        let aggregate = HealthAggregate::new(settings, config.lag_after, &saved.borrow(), &fleet_state.borrow(), at);
        let table = watch::Sender::new(Arc::new(aggregate.table(Duration::ZERO)));
        let (probes, start) = (ProbeFactory::new(config)?, Instant::now());
        Ok(Self {
            settings,
            probes,
            fleet_state,
            saved,
            clock,
            start,
            last_task_id: 0,
            certified: None,
            aggregate,
            table,
        })
    }

    /// The health of the edges. Receivers are notified only of changes that affect answers, but always read the latest value.
    pub(crate) fn table(&self) -> watch::Receiver<Arc<HealthTable>> {
        self.table.subscribe()
    }

    /// Probes until `tasks` drain.
    pub(crate) fn run(self, tasks: &Tasks) {
        let draining = tasks.draining().clone();
        drop(tasks.spawn("health", draining.run_until_cancelled_owned(self.process_reports(tasks.clone()))));
    }

    async fn process_reports(mut self, tasks: Tasks) {
        let (sender, mut reports) = mpsc::channel(16);
        let mut running = BTreeMap::new();
        self.update_tasks(&mut running, &tasks, &sender);
        loop {
            tokio::select! {
                changed = self.fleet_state.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.update_tasks(&mut running, &tasks, &sender);
                }
                report = reports.recv() => {
                    let Some(ProbeReport { target, task_id, outcome }) = report else { return };
                    // Ignores the last report of a task that was stopped.
                    if running.get(&target).is_some_and(|running| running.task_id == task_id) {
                        let (edge, address) = target;
                        self.aggregate.record(&edge, address, outcome, self.start.elapsed(), self.clock.now());
                    }
                    if self.certified.as_ref().is_some_and(|certified| certified.has_expired_at(self.clock.now())) {
                        self.update_tasks(&mut running, &tasks, &sender);
                    }
                }
            }
            self.publish();
        }
    }

    /// Starts and stops tasks to match the fleet state. Tasks of which nothing has changed keep running.
    fn update_tasks(
        &mut self,
        running: &mut BTreeMap<ProbeTarget, Running>,
        tasks: &Tasks,
        reports: &mpsc::Sender<ProbeReport>,
    ) {
        let fleet_state = Arc::clone(&self.fleet_state.borrow_and_update());
        self.aggregate.set_edges(&fleet_state, self.clock.now());
        self.certified = CertifiedHost::choose(&fleet_state.certificates, self.certified.as_ref(), self.clock.now());
        let certified = self.certified.as_ref().map(|certified| &certified.host);
        running.retain(|(edge, address), running| {
            fleet_state.edges.get(edge).is_some_and(|state| {
                (state.port, state.scheme) == (running.port, running.scheme)
                    && self.probes.host(state.scheme, certified) == running.host.as_ref()
                    && state.addresses.contains(address)
            })
        });
        for (edge, state) in fleet_state.edges.iter() {
            for &address in &state.addresses {
                let at = SocketAddr::new(address, state.port);
                running.entry((edge.clone(), address)).or_insert_with(|| {
                    self.last_task_id += 1;
                    let task = ProbeTask {
                        target: (edge.clone(), address),
                        task_id: self.last_task_id,
                        probe: self.probes.of(edge.clone(), at, state.scheme, certified),
                        tracker: Tracker::new(self.settings, self.aggregate.is_up(edge, address)),
                        start: self.start,
                        reports: reports.clone(),
                    };
                    let stop = tasks.draining().child_token();
                    let first_delay = initial_delay(edge, address, self.settings.interval);
                    drop(tasks.spawn("probe", stop.clone().run_until_cancelled_owned(task.run(first_delay))));
                    let (port, scheme) = (state.port, state.scheme);
                    let host = self.probes.host(scheme, certified).cloned();
                    Running { port, scheme, host, task_id: self.last_task_id, _until_dropped: stop.drop_guard() }
                });
            }
        }
    }

    fn publish(&mut self) {
        let now = self.start.elapsed();
        let table = Arc::new(self.aggregate.table(now));
        self.table.send_if_modified(|current| {
            table.log_changes(current);
            let unchanged = table.answers_equal(current);
            *current = Arc::clone(&table);
            !unchanged
        });
        let saved = self.aggregate.saved(now);
        self.saved.send_if_modified(|before| {
            let differs = **before != saved;
            if differs {
                *before = Arc::new(saved);
            }
            differs
        });
    }
}

#[cfg(test)]
mod tests;
