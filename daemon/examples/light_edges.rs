//! Light edges, for measurements of an origin: each subscribes to the change feed as an edge does and reports what it has applied, but
//! fetches, stores and serves nothing. It reports a release as prepared as soon as it reads of it.
//!
//! `light_edges ORIGIN_URL FILE` runs until it is killed. The file has a name and a token in each line.
#![expect(clippy::unwrap_used, reason = "a panic is how a measurement reports an error")]

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::time::Instant;
use verge_daemon::feed::{Change, LastSeen, Subscriber};
use verge_daemon::origins::{OriginUrl, Origins};
use verge_daemon::{Secret, Tasks};
use verge_protocol::report::{EdgeReport, Preparation, REPORT_SECONDS};
use verge_protocol::state::{Key, RolloutState, Row};
use verge_protocol::{EdgeName, Position};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = OriginUrl::insecure(&arguments.next().unwrap()).unwrap();
    let file = arguments.next().unwrap();
    let tasks = Tasks::default();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let (name, token) = line.split_once(' ').unwrap();
        let origins =
            Origins::new(vec![url.clone()], None, &Secret::new(token), "light-edge", Counter::default()).unwrap();
        drop(tasks.spawn("light edge", LightEdge::new(name.parse().unwrap(), origins).run(tasks.clone())));
    }
    std::future::pending::<()>().await;
}

/// An edge without a disk and readers.
struct LightEdge {
    name: EdgeName,
    origins: Origins,
    position: Option<Position>,
    preparations: BTreeMap<String, Preparation>,
}

impl LightEdge {
    fn new(name: EdgeName, origins: Origins) -> Self {
        Self { name, origins, position: None, preparations: BTreeMap::new() }
    }

    /// Applies changes, and reports after each and every [`REPORT_SECONDS`].
    async fn run(mut self, tasks: Tasks) {
        let (changes, mut received) = mpsc::channel(16);
        let origins = self.origins.clone();
        let last_seen = LastSeen::never();
        drop(
            tasks.spawn("feed", Subscriber { origins, checkpoint: None, last_seen, reconnected: None, changes }.run()),
        );
        let mut report_at = Instant::now();
        loop {
            tokio::select! {
                change = received.recv() => {
                    let Some(change) = change else { return };
                    self.apply(change);
                    while let Ok(change) = received.try_recv() {
                        self.apply(change);
                    }
                }
                () = tokio::time::sleep_until(report_at) => {}
            }
            if let Some(position) = self.position {
                self.report(position).await;
            }
            report_at = Instant::now() + Duration::from_secs(REPORT_SECONDS);
        }
    }

    fn apply(&mut self, change: Change) {
        let (at, rows) = match change {
            Change::Snapshot { at, rows, .. } => {
                self.preparations.clear();
                (at, rows)
            }
            Change::Rows(at, rows) => (at, rows),
        };
        for row in rows {
            self.apply_row(row);
        }
        self.position = Some(at.position);
    }

    fn apply_row(&mut self, row: Row) {
        let Ok(Key::Rollout(site, channel)) = row.key.parse() else { return };
        let Some(value) = row.value else {
            self.preparations.remove(&row.key);
            return;
        };
        let RolloutState { manifest, .. } = value.read().unwrap();
        let preparation = Preparation { site, channel, manifest, done: 0, total: 0, prepared: true, problem: None };
        self.preparations.insert(row.key, preparation);
    }

    /// Sends a report. A failure is noticed by the measurement: the edge does not confirm.
    async fn report(&self, position: Position) {
        let report = EdgeReport {
            edge: Some(self.name.clone()),
            preparations: Some(self.preparations.values().cloned().collect()),
            ..EdgeReport::new(position, "light")
        };
        let request = self.origins.post(&self.origins.urls()[0], "v1/edges/report").json(&report);
        let _ = self.origins.send(request).await;
    }
}
