//! The tasks that probe, one for each address, and the one that puts together what they find.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;
use verge_daemon::{Clock, Tasks};

use super::board::Board;
use super::config::HealthConfig;
use super::pace::Pace;
use super::probe::Probes;
use super::table::HealthTable;
use super::tracker::Tracker;
use super::visitor::{self, Place, Report, Visitor};
use crate::follow::{Remembered, Told};

/// Probes the edges that it is told of, also those that the operator has forced up or down, so that it can be seen how they are.
pub(crate) struct Prober {
    pace: Pace,
    probes: Probes,
    told: watch::Receiver<Arc<Told>>,
    remembered: watch::Sender<Arc<Remembered>>,
    clock: Clock,
    start: Instant,
    /// Of the task that was started last.
    turn: u64,
    board: Board,
    table: watch::Sender<Arc<HealthTable>>,
}

/// An address that is being probed, until this is dropped.
struct Running {
    port: u16,
    turn: u64,
    _until_dropped: DropGuard,
}

impl Prober {
    /// A prober that starts from what is remembered and told by now. An error if `config` asks for TLS that cannot be had.
    pub(crate) fn new(
        config: HealthConfig,
        told: watch::Receiver<Arc<Told>>,
        remembered: watch::Sender<Arc<Remembered>>,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let (pace, at) = (config.pace, clock.now());
        let board = Board::new(pace, config.lag_after, &remembered.borrow(), &told.borrow(), at);
        let table = watch::Sender::new(Arc::new(board.table(Duration::ZERO)));
        let (probes, start) = (Probes::new(config)?, Instant::now());
        Ok(Self { pace, probes, told, remembered, clock, start, turn: 0, board, table })
    }

    /// How the edges are. Receivers are woken when answers change by it; what they read is the latest in any case.
    pub(crate) fn table(&self) -> watch::Receiver<Arc<HealthTable>> {
        self.table.subscribe()
    }

    /// Probes until `tasks` drain.
    pub(crate) fn run(self, tasks: &Tasks) {
        let draining = tasks.draining().clone();
        drop(tasks.spawn("health", draining.run_until_cancelled_owned(self.follow(tasks.clone()))));
    }

    async fn follow(mut self, tasks: Tasks) {
        let (reports, mut heard) = mpsc::channel(16);
        let mut running = BTreeMap::new();
        self.probe(&mut running, &tasks, &reports);
        loop {
            tokio::select! {
                changed = self.told.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.probe(&mut running, &tasks, &reports);
                }
                report = heard.recv() => {
                    let Some(Report { place, turn, outcome }) = report else { return };
                    // The last word of a task that was stopped is of no interest.
                    if running.get(&place).is_some_and(|running| running.turn == turn) {
                        self.board.hear(&place.0, place.1, outcome, self.start.elapsed(), self.clock.now());
                    }
                }
            }
            self.publish();
        }
    }

    /// Starts and stops probing, so that what is told is what is probed; what goes on is not disturbed.
    fn probe(&mut self, running: &mut BTreeMap<Place, Running>, tasks: &Tasks, reports: &mpsc::Sender<Report>) {
        let told = Arc::clone(&self.told.borrow_and_update());
        self.board.follow(&told, self.clock.now());
        running.retain(|(edge, address), running| {
            let state = told.edges.get(edge);
            state.is_some_and(|state| state.port == running.port && state.addresses.contains(address))
        });
        for (edge, state) in told.edges.iter() {
            for &address in &state.addresses {
                let at = SocketAddr::new(address, state.port);
                running.entry((edge.clone(), address)).or_insert_with(|| {
                    self.turn += 1;
                    let visitor = Visitor {
                        place: (edge.clone(), address),
                        turn: self.turn,
                        probe: self.probes.of(edge.clone(), at),
                        tracker: Tracker::new(self.pace, self.board.is_up(edge, address)),
                        start: self.start,
                        reports: reports.clone(),
                    };
                    let stop = tasks.draining().child_token();
                    let first = visitor::offset(edge, address, self.pace.interval);
                    drop(tasks.spawn("probe", stop.clone().run_until_cancelled_owned(visitor.run(first))));
                    Running { port: state.port, turn: self.turn, _until_dropped: stop.drop_guard() }
                });
            }
        }
    }

    fn publish(&mut self) {
        let now = self.start.elapsed();
        let table = Arc::new(self.board.table(now));
        self.table.send_if_modified(|shown| {
            table.announce(shown);
            let alike = table.answers_like(shown);
            *shown = Arc::clone(&table);
            !alike
        });
        let remembered = self.board.remembered(now);
        self.remembered.send_if_modified(|before| {
            let differs = **before != remembered;
            if differs {
                *before = Arc::new(remembered);
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
    use verge_protocol::health::HEALTH_PATH;

    use super::*;

    /// An edge that can be told how to be.
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

        fn told(&self, told: &mut Told) {
            let state = serde_json::json!({ "addresses": ["127.0.0.1"], "port": self.port });
            Arc::make_mut(&mut told.edges).insert(self.name.parse().unwrap(), serde_json::from_value(state).unwrap());
        }
    }

    fn config() -> HealthConfig {
        let two = NonZeroU32::MIN.saturating_add(1);
        let pace = Pace {
            interval: Duration::from_millis(40),
            timeout: Duration::from_secs(5),
            retry: Duration::from_millis(10),
            down_after: two,
            up_after: two,
        };
        HealthConfig { pace, ..HealthConfig::default() }
    }

    async fn until(table: &watch::Receiver<Arc<HealthTable>>, what: impl Fn(&HealthTable) -> bool) {
        let wait = async {
            while !what(&table.borrow()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes to that");
    }

    fn is(table: &HealthTable, edge: &str, what: impl Fn(&super::super::AddressHealth) -> bool) -> bool {
        table.addresses().any(|(name, _, health)| name.as_str() == edge && what(health))
    }

    #[tokio::test]
    async fn edges_are_probed_as_they_are_told_of() {
        let tasks = Tasks::default();
        let (a, b) = (Edge::start("a", &tasks).await, Edge::start("b", &tasks).await);
        let mut first = Told::default();
        a.told(&mut first);
        let told = watch::Sender::new(Arc::new(first.clone()));
        let remembered = watch::Sender::new(Arc::default());
        let prober = Prober::new(config(), told.subscribe(), remembered.clone(), Clock::system()).unwrap();
        let table = prober.table();
        assert!(is(&table.borrow(), "a", |health| !health.probed && health.condition.up));
        prober.run(&tasks);
        until(&table, |table| is(table, "a", |health| health.probed && health.position.is_some())).await;

        a.serves.store(false, Ordering::SeqCst);
        until(&table, |table| is(table, "a", |health| !health.condition.up)).await;
        assert!(is(&table.borrow(), "a", |health| health.failure.is_some()));
        assert_eq!(remembered.borrow().addresses.len(), 1);

        let mut both = first.clone();
        b.told(&mut both);
        told.send_replace(Arc::new(both));
        until(&table, |table| is(table, "b", |health| health.probed && health.condition.up)).await;
        // The one that was there was not begun anew, or it would be up.
        assert!(is(&table.borrow(), "a", |health| !health.condition.up));

        // Another edge's port: it is asked there, and is not who it should be.
        let mut swapped = Told::default();
        Edge { name: "a", port: b.port, serves: Arc::default(), asked: Arc::default() }.told(&mut swapped);
        told.send_replace(Arc::new(swapped));
        let misplaced = |health: &super::super::AddressHealth| {
            health.failure.as_ref().is_some_and(|failure| failure.to_string() == "is edge b, not a")
        };
        until(&table, |table| table.edges.len() == 1 && is(table, "a", misplaced)).await;

        told.send_replace(Arc::new(first));
        a.serves.store(true, Ordering::SeqCst);
        until(&table, |table| is(table, "a", |health| health.condition.up)).await;
        assert_eq!(remembered.borrow().addresses, []);

        told.send_replace(Arc::default());
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
    async fn nobody_is_woken_when_answers_stay_as_they_are() {
        let tasks = Tasks::default();
        let edge = Edge::start("a", &tasks).await;
        let mut only = Told::default();
        edge.told(&mut only);
        let told = watch::Sender::new(Arc::new(only));
        let prober =
            Prober::new(config(), told.subscribe(), watch::Sender::new(Arc::default()), Clock::system()).unwrap();
        let table = prober.table();
        prober.run(&tasks);
        until(&table, |table| is(table, "a", |health| health.took.is_some())).await;
        assert!(!table.has_changed().unwrap());
        edge.serves.store(false, Ordering::SeqCst);
        until(&table, |table| is(table, "a", |health| health.failure.is_some())).await;
        assert!(table.has_changed().unwrap());
        let _ = tasks.shutdown(Duration::ZERO).await;
    }
}
