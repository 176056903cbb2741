//! Following the origin's feed, and the state that survives a restart.
//!
//! ```text
//! feed ──Change──► Rows ──► FleetState (watched) ──► answers, health
//!                   │
//!                   └──► state file ◄── SavedHealth ◄── health
//! ```
//!
//! A hundred thousand sites must fit into little memory, and each of their releases must cost next to nothing: the three share
//! their data, only what changes is copied, and a release alone is not written to disk.
//!
//! At startup the saved state is in use at once, whether or not an origin can be reached.

mod applier;
mod metrics;
mod rows;
mod saver;
mod state_file;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, watch};
use verge_daemon::feed::{LastSeen, Subscriber};
use verge_daemon::origins::{Origins, check_token_owner};
use verge_daemon::saved_state::Loaded;
use verge_daemon::{DataDir, Tasks};
use verge_protocol::NameServerName;
use verge_protocol::api::TokenOwner;

use self::applier::{Applier, report};
pub(crate) use self::metrics::FollowMetrics;
use self::rows::Rows;
use self::saver::Saver;
use crate::fleet_state::FleetState;
use crate::health::SavedHealth;

/// The dependencies of following.
pub(crate) struct Follower {
    /// The origins to follow.
    pub(crate) origins: Origins,
    /// The name of this name server, to compare with the owner of its token.
    pub(crate) name: NameServerName,
    /// Where the state is saved.
    pub(crate) data: Arc<DataDir>,
    /// When an origin was last seen.
    pub(crate) last_seen: LastSeen,
    /// What is counted.
    pub(crate) metrics: FollowMetrics,
}

/// A follower with its saved state, not following yet.
pub(crate) struct Booted {
    follower: Follower,
    rows: Rows,
    fleet_state: watch::Sender<Arc<FleetState>>,
    health: watch::Sender<Arc<SavedHealth>>,
}

impl Follower {
    /// Loads the saved state, without any request. If the file is missing, starts with no state.
    pub(crate) async fn boot(self) -> Booted {
        let data = Arc::clone(&self.data);
        let load = tokio::task::spawn_blocking(move || state_file::load(data.path()));
        let saved = load.await.unwrap_or_else(|error| {
            tracing::error!(%error, "loading the saved state crashed: starting without it");
            Loaded { records: Vec::new(), is_complete: false }
        });
        let (rows, health, events) = Rows::restore(saved);
        let health = watch::Sender::new(Arc::new(health));
        report(&self.metrics, &events, &rows);
        let fleet_state = watch::Sender::new(Arc::new(rows.state().clone()));
        Booted { follower: self, rows, fleet_state, health }
    }
}

impl Booted {
    /// The fleet state. Receivers are notified when edges, names or region restrictions may have changed; not of a release.
    pub(crate) fn fleet_state(&self) -> watch::Receiver<Arc<FleetState>> {
        self.fleet_state.subscribe()
    }

    /// The saved health. What is sent here is saved within ten seconds, unless the next process does not need it.
    pub(crate) fn saved_health(&self) -> watch::Sender<Arc<SavedHealth>> {
        self.health.clone()
    }

    /// Follows the origins until `tasks` drain; then saves what is not saved yet.
    pub(crate) fn run(self, tasks: &Tasks) {
        let Self { follower, rows, fleet_state, health } = self;
        let until_drained = |name, task: BoxFuture<'static, ()>| {
            drop(tasks.spawn(name, tasks.draining().clone().run_until_cancelled_owned(task)));
        };
        let connected = Arc::new(Notify::new());
        let owner = TokenOwner::NameServer(follower.name);
        until_drained(
            "token check",
            Box::pin(check_token_owner(follower.origins.clone(), owner, Arc::clone(&connected))),
        );
        let (changes, changes_received) = mpsc::channel(16);
        let subscriber = Subscriber {
            origins: follower.origins,
            checkpoint: rows.checkpoint(),
            last_seen: follower.last_seen,
            reconnected: Some(Arc::clone(&connected)),
            changes,
        };
        let to_save = watch::Sender::new(rows.clone());
        let saver = Saver::new(follower.data, to_save.subscribe(), health.subscribe(), follower.metrics.clone());
        drop(tasks.spawn("save", saver.run(tasks.draining().clone())));
        until_drained("feed", Box::pin(subscriber.run()));
        let applier = Applier { rows, fleet_state, to_save, metrics: follower.metrics };
        until_drained("applier", Box::pin(applier.run(changes_received)));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use axum::Router;
    use axum::extract::RawQuery;
    use axum::routing::get;
    use prometheus_client::metrics::counter::Counter;
    use tokio::net::TcpListener;
    use verge_daemon::Secret;
    use verge_protocol::feed::FeedEvent;
    use verge_protocol::state::Row;
    use verge_protocol::{Checkpoint, Seq};

    use super::*;

    async fn booted(data: &Path, origin: &str) -> Booted {
        let token = Secret::new("vrg_test");
        let origins = Origins::new(vec![origin.parse().unwrap()], None, &token, "test", Counter::default()).unwrap();
        let data = Arc::new(DataDir::open(data).unwrap());
        let name = "ns-1".parse().unwrap();
        Follower { origins, name, data, last_seen: LastSeen::never(), metrics: FollowMetrics::default() }.boot().await
    }

    /// An origin with one edge, and no changes after that.
    async fn origin(tasks: &Tasks) -> String {
        let feed = async |RawQuery(query): RawQuery| {
            let at: Checkpoint = "1-7-00c0ffee00c0ffee".parse().unwrap();
            let caught_up = FeedEvent::CaughtUp { complete: true };
            let value = serde_json::json!({ "addresses": ["192.0.2.1"] });
            let row = FeedEvent::Row(Row { key: "edge/fra-1".into(), seq: Seq(7), value: Some(value.into()) });
            let events = if query.is_some() { vec![caught_up] } else { vec![row, caught_up] };
            let text = |event: FeedEvent| {
                let (name, data) = event.to_parts();
                format!("event: {name}\nid: {at}\ndata: {data}\n\n")
            };
            ([("content-type", "text/event-stream")], events.into_iter().map(text).collect::<String>())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/changes", get(feed));
        drop(tasks.spawn("origin", async move { axum::serve(listener, router).await }));
        url
    }

    #[tokio::test]
    async fn saved_state_is_in_use_after_a_restart_without_an_origin() {
        let folder = tempfile::tempdir().unwrap();
        let (elsewhere, tasks) = (Tasks::default(), Tasks::default());
        let booted_once = booted(folder.path(), &origin(&elsewhere).await).await;
        let (mut state, health) = (booted_once.fleet_state(), booted_once.saved_health());
        assert_eq!(**state.borrow(), FleetState::default());
        booted_once.run(&tasks);
        tokio::time::timeout(Duration::from_secs(30), state.changed()).await.unwrap().unwrap();
        let before = Arc::clone(&state.borrow());
        assert_eq!((before.position, before.edges.len()), ("1-7".parse().ok(), 1));
        let threshold = SavedHealth { lag_threshold: before.position, ..SavedHealth::default() };
        health.send_replace(Arc::new(threshold.clone()));
        tasks.shutdown(Duration::from_secs(30)).await.unwrap();
        let _ = elsewhere.shutdown(Duration::ZERO).await;

        let (tasks, booted_again) = (Tasks::default(), booted(folder.path(), "http://127.0.0.1:1").await);
        let state = booted_again.fleet_state();
        assert_eq!(*state.borrow(), before);
        assert_eq!(**booted_again.saved_health().borrow(), threshold);
        booted_again.run(&tasks);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(*state.borrow(), before);
        assert!(!state.has_changed().unwrap());
        tasks.shutdown(Duration::from_secs(30)).await.unwrap();
    }
}
