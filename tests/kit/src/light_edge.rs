//! An edge that serves nothing, so that a test or a measurement can have hundreds.

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

/// An edge without a disk and readers. It subscribes to the change feed as an edge does and reports what it has applied, but fetches, stores and
/// serves nothing. It reports a release as prepared, and a certificate as presented, as soon as it reads of it.
pub struct LightEdge {
    name: EdgeName,
    origins: Origins,
    position: Option<Position>,
    preparations: BTreeMap<String, Preparation>,
}

impl LightEdge {
    /// An edge that follows this origin.
    pub fn new(name: EdgeName, origin: OriginUrl, token: &Secret) -> Self {
        let origins = Origins::new(vec![origin], None, token, "light-edge", Counter::default()).unwrap();
        Self { name, origins, position: None, preparations: BTreeMap::new() }
    }

    /// Applies changes, and reports after each and every [`REPORT_SECONDS`].
    pub async fn run(mut self, tasks: Tasks) {
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
            certificates: Some(Vec::new()),
            ..EdgeReport::new(position, "light")
        };
        let request = self.origins.post(&self.origins.urls()[0], "v1/edges/report").json(&report);
        let _ = self.origins.send(request).await;
    }
}
