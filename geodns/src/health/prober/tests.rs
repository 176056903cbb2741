//! Tests of the prober against edges on the loopback.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use verge_protocol::Timestamp;
use verge_protocol::explanation::ProbeFailure;
use verge_protocol::health::HEALTH_PATH;

use super::*;
use crate::fleet_state::Certificate;

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

/// An edge that closes the connection of each probe when the test adds a permit. Returns its port and the number of probes.
async fn start_failing_edge(permits: Arc<Semaphore>, tasks: &Tasks) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let serve = async move {
        loop {
            let _connection = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            permits.acquire().await.unwrap().forget();
        }
    };
    drop(tasks.spawn("edge", serve));
    (port, asked)
}

/// The state with one more certificate, which is for this domain.
fn with_certificate(state: &FleetState, domain: &str, not_after: Timestamp) -> FleetState {
    let mut state = state.clone();
    let names = [domain.parse().unwrap()].into();
    let certificate = Certificate { names, not_before: Timestamp(0), not_after, confirmed: true };
    Arc::make_mut(&mut state.certificates).insert(domain.parse().unwrap(), certificate);
    state
}

/// The state with the edge `a`.
fn with_edge(mut state: FleetState, port: u16, scheme: &str) -> FleetState {
    let edge = serde_json::json!({ "addresses": ["127.0.0.1"], "port": port, "scheme": scheme });
    Arc::make_mut(&mut state.edges).insert("a".parse().unwrap(), serde_json::from_value(edge).unwrap());
    state
}

#[tokio::test]
async fn new_certificate_does_not_make_probes_forget_the_failures_counted() {
    const FOREVER: Timestamp = Timestamp(u64::MAX);
    for scheme in ["http", "https"] {
        let tasks = Tasks::default();
        let permits = Arc::new(Semaphore::new(0));
        let (port, asked) = start_failing_edge(Arc::clone(&permits), &tasks).await;
        let state = with_edge(with_certificate(&FleetState::default(), "m.example", FOREVER), port, scheme);
        let fleet_state = watch::Sender::new(Arc::new(state.clone()));
        let mut config = config();
        (config.probe.fall, config.probe.timeout) = (NonZeroU32::new(3).unwrap(), Duration::from_mins(10));
        let saved = watch::Sender::new(Arc::default());
        let prober = Prober::new(config, fleet_state.subscribe(), saved, Clock::system()).unwrap();
        let table = prober.table();
        prober.run(&tasks);
        permits.add_permits(2);
        until(&table, |_| asked.load(Ordering::SeqCst) == 3).await;

        let other = Edge::start("b", &tasks).await;
        let mut state = with_certificate(&state, "a.example", FOREVER);
        other.add_to(&mut state);
        fleet_state.send_replace(Arc::new(state));
        until(&table, |table| is(table, "b", |health| health.probed)).await;
        assert!(is(&table.borrow(), "a", |health| health.condition.up));
        permits.add_permits(1);
        until(&table, |table| is(table, "a", |health| !health.condition.up)).await;
        let _ = tasks.shutdown(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn probes_request_another_host_once_the_certificate_of_theirs_has_expired() {
    let tasks = Tasks::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (requested, mut hellos) = watch::channel(Vec::new());
    // The first message of TLS has the host in clear.
    let serve = async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut hello = vec![0; 4096];
            let length = connection.read(&mut hello).await.unwrap();
            hello.truncate(length);
            requested.send_replace(hello);
        }
    };
    drop(tasks.spawn("edge", serve));
    let state = with_certificate(&FleetState::default(), "a.example", Timestamp(1000));
    let state = with_edge(with_certificate(&state, "b.example", Timestamp(2000)), port, "https");
    let fleet_state = watch::Sender::new(Arc::new(state));
    let clock = Clock::manual(Timestamp(999));
    let prober =
        Prober::new(config(), fleet_state.subscribe(), watch::Sender::new(Arc::default()), clock.clone()).unwrap();
    prober.run(&tasks);
    for host in [b"a.example", b"b.example"] {
        let has_host = |hello: &Vec<u8>| hello.windows(host.len()).any(|text| text == host);
        let requested = tokio::time::timeout(Duration::from_secs(30), hellos.wait_for(has_host)).await;
        drop(requested.expect("the host is not requested").unwrap());
        clock.advance(Duration::from_millis(1));
    }
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
        Prober::new(config(), fleet_state.subscribe(), watch::Sender::new(Arc::default()), Clock::system()).unwrap();
    let table = prober.table();
    prober.run(&tasks);
    until(&table, |table| is(table, "a", |health| health.latency.is_some())).await;
    assert!(!table.has_changed().unwrap());
    edge.serves.store(false, Ordering::SeqCst);
    until(&table, |table| is(table, "a", |health| health.failure.is_some())).await;
    assert!(table.has_changed().unwrap());
    let _ = tasks.shutdown(Duration::ZERO).await;
}
