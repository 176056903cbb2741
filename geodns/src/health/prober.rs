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
    aggregate: HealthAggregate,
    table: watch::Sender<Arc<HealthTable>>,
}

/// A running [`ProbeTask`]. Dropping this stops it.
struct Running {
    port: u16,
    scheme: Option<ProbeScheme>,
    certified: Option<DomainName>,
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
        Ok(Self { settings, probes, fleet_state, saved, clock, start, last_task_id: 0, aggregate, table })
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
        // Any host: edges have all certificates of the fleet.
        let certified = fleet_state.certificates.keys().next().cloned();
        running.retain(|(edge, address), running| {
            let state = fleet_state.edges.get(edge);
            running.certified == certified
                && state.is_some_and(|state| {
                    (state.port, state.scheme) == (running.port, running.scheme) && state.addresses.contains(address)
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
                        probe: self.probes.of(edge.clone(), at, state.scheme, certified.as_ref()),
                        tracker: Tracker::new(self.settings, self.aggregate.is_up(edge, address)),
                        start: self.start,
                        reports: reports.clone(),
                    };
                    let stop = tasks.draining().child_token();
                    let first_delay = initial_delay(edge, address, self.settings.interval);
                    drop(tasks.spawn("probe", stop.clone().run_until_cancelled_owned(task.run(first_delay))));
                    let (port, scheme, certified) = (state.port, state.scheme, certified.clone());
                    Running { port, scheme, certified, task_id: self.last_task_id, _until_dropped: stop.drop_guard() }
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
mod tests {
    use std::num::NonZeroU32;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tokio::net::TcpListener;
    use verge_protocol::explanation::ProbeFailure;
    use verge_protocol::health::HEALTH_PATH;

    use super::*;

    /// An edge whose health a test controls.
    struct Edge {
        name: &'static str,
        port: u16,
        serves: Arc<AtomicBool>,
        asked: Arc<AtomicUsize>,
    }

    impl Edge {
        async fn start(name: &'static str, tasks: &Tasks) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let (serves, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
            let (state, count) = (Arc::clone(&serves), Arc::clone(&asked));
            let health = async move || {
                count.fetch_add(1, Ordering::SeqCst);
                let code = if state.load(Ordering::SeqCst) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (code, format!(r#"{{"edge":"{name}","generation":1,"applied":7,"pending":0}}"#))
            };
            let router = Router::new().route(HEALTH_PATH, get(health));
            drop(tasks.spawn("edge", async move { axum::serve(listener, router).await }));
            Self { name, port, serves, asked }
        }

        fn add_to(&self, fleet_state: &mut FleetState) {
            let state = serde_json::json!({ "addresses": ["127.0.0.1"], "port": self.port });
            Arc::make_mut(&mut fleet_state.edges)
                .insert(self.name.parse().unwrap(), serde_json::from_value(state).unwrap());
        }
    }

    fn config() -> HealthConfig {
        let two = NonZeroU32::MIN.saturating_add(1);
        let settings = ProbeSettings {
            interval: Duration::from_millis(40),
            timeout: Duration::from_secs(5),
            retry: Duration::from_millis(10),
            fall: two,
            rise: two,
        };
        HealthConfig { probe: settings, ..HealthConfig::default() }
    }

    async fn until(table: &watch::Receiver<Arc<HealthTable>>, what: impl Fn(&HealthTable) -> bool) {
        let wait = async {
            while !what(&table.borrow()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("timed out");
    }

    fn is(table: &HealthTable, edge: &str, what: impl Fn(&super::super::AddressHealth) -> bool) -> bool {
        table.addresses().any(|(name, _, health)| name.as_str() == edge && what(health))
    }

    #[tokio::test]
    async fn probes_follow_the_fleet_state() {
        let tasks = Tasks::default();
        let (a, b) = (Edge::start("a", &tasks).await, Edge::start("b", &tasks).await);
        let mut first = FleetState::default();
        a.add_to(&mut first);
        let fleet_state = watch::Sender::new(Arc::new(first.clone()));
        let saved = watch::Sender::new(Arc::default());
        let prober = Prober::new(config(), fleet_state.subscribe(), saved.clone(), Clock::system()).unwrap();
        let table = prober.table();
        assert!(is(&table.borrow(), "a", |health| !health.probed && health.condition.up));
        prober.run(&tasks);
        until(&table, |table| is(table, "a", |health| health.probed && health.position.is_some())).await;

        a.serves.store(false, Ordering::SeqCst);
        until(&table, |table| is(table, "a", |health| !health.condition.up)).await;
        assert!(is(&table.borrow(), "a", |health| health.failure.is_some()));
        assert_eq!(saved.borrow().addresses.len(), 1);

        let mut both = first.clone();
        b.add_to(&mut both);
        fleet_state.send_replace(Arc::new(both));
        until(&table, |table| is(table, "b", |health| health.probed && health.condition.up)).await;
        // The task of the first edge was not restarted, or the edge would be up.
        assert!(is(&table.borrow(), "a", |health| !health.condition.up));

        // The port of another edge: the probe reaches the wrong edge.
        let mut swapped = FleetState::default();
        Edge { name: "a", port: b.port, serves: Arc::default(), asked: Arc::default() }.add_to(&mut swapped);
        fleet_state.send_replace(Arc::new(swapped));
        let is_wrong_edge = |health: &super::super::AddressHealth| {
            health.failure == Some(ProbeFailure::WrongEdge { edge: "b".parse().unwrap() })
        };
        until(&table, |table| table.edges.len() == 1 && is(table, "a", is_wrong_edge)).await;

        fleet_state.send_replace(Arc::new(first));
        a.serves.store(true, Ordering::SeqCst);
        until(&table, |table| is(table, "a", |health| health.condition.up)).await;
        assert_eq!(saved.borrow().addresses, []);

        fleet_state.send_replace(Arc::default());
        until(&table, |table| table.edges.is_empty()).await;
        while tasks.running().contains_key("probe") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let asked = a.asked.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(a.asked.load(Ordering::SeqCst), asked);
        let _ = tasks.shutdown(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn receivers_are_not_notified_when_answers_stay_the_same() {
        let tasks = Tasks::default();
        let edge = Edge::start("a", &tasks).await;
        let mut only = FleetState::default();
        edge.add_to(&mut only);
        let fleet_state = watch::Sender::new(Arc::new(only));
        let prober =
            Prober::new(config(), fleet_state.subscribe(), watch::Sender::new(Arc::default()), Clock::system())
                .unwrap();
        let table = prober.table();
        prober.run(&tasks);
        until(&table, |table| is(table, "a", |health| health.latency.is_some())).await;
        assert!(!table.has_changed().unwrap());
        edge.serves.store(false, Ordering::SeqCst);
        until(&table, |table| is(table, "a", |health| health.failure.is_some())).await;
        assert!(table.has_changed().unwrap());
        let _ = tasks.shutdown(Duration::ZERO).await;
    }
}
