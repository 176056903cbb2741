//! Following the origin: which edges, sites and domains there are, as this name server was last told.
//!
//! ```text
//! feed ──Change──► Rows ──► Told (swapped) ──► answers, health
//!                   │
//!                   └──► Saved (disk) ◄── Remembered ◄── health
//! ```
//!
//! A hundred thousand sites are to fit into little memory, and each of their releases is to cost next to nothing: what the three
//! have in common is there once, what has not changed is not copied, and a release is no reason to write.
//!
//! What is on disk is answered from at once when the daemon starts, whether an origin can be reached or not.

mod apply;
mod channel;
mod counts;
mod rows;
mod save;
mod saved;
mod told;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use verge_daemon::feed::{LastSeen, Subscriber};
use verge_daemon::origins::Origins;
use verge_daemon::{DataDir, Tasks};

use self::apply::Applier;
pub(crate) use self::counts::FollowCounts;
use self::rows::Rows;
use self::save::Saver;
pub(crate) use self::saved::{Remembered, RememberedAddress};
pub(crate) use self::told::Told;

/// What following works on.
pub(crate) struct Follower {
    /// Whom to follow.
    pub(crate) origins: Origins,
    /// Where the state is kept.
    pub(crate) folder: Arc<DataDir>,
    /// Told of every sign of life of an origin.
    pub(crate) last_seen: LastSeen,
    /// What is counted.
    pub(crate) counts: FollowCounts,
}

/// A name server that knows what it last knew, but does not follow yet.
pub(crate) struct Booted {
    follower: Follower,
    rows: Rows,
    told: watch::Sender<Arc<Told>>,
    remembered: watch::Sender<Arc<Remembered>>,
}

impl Follower {
    /// Takes what the folder holds. Asks nobody. Whatever is wrong with the file, the daemon starts, at worst from nothing.
    pub(crate) async fn boot(self) -> Booted {
        let folder = Arc::clone(&self.folder);
        let load = tokio::task::spawn_blocking(move || saved::load(folder.path()));
        let mut saved = load.await.unwrap_or_else(|error| {
            tracing::error!(%error, "reading the saved state crashed: starting over");
            saved::Saved::default()
        });
        let remembered = watch::Sender::new(Arc::new(std::mem::take(&mut saved.health)));
        let mut rows = Rows::default();
        for notice in rows.restore(saved) {
            self.counts.note(notice);
        }
        self.counts.count_unknown(&rows);
        let told = watch::Sender::new(Arc::new(rows.told().clone()));
        Booted { follower: self, rows, told, remembered }
    }
}

impl Booted {
    /// What is told, as it goes on. Receivers are woken when edges, fences or names may differ from before; not by a release.
    pub(crate) fn told(&self) -> watch::Receiver<Arc<Told>> {
        self.told.subscribe()
    }

    /// What is remembered of the edges' health. What is sent here is saved within ten seconds, if the next process needs it.
    pub(crate) fn remembered(&self) -> watch::Sender<Arc<Remembered>> {
        self.remembered.clone()
    }

    /// Follows the origins until `tasks` drain; then saves what is not saved yet.
    pub(crate) fn run(self, tasks: &Tasks) {
        let Self { follower, rows, told, remembered } = self;
        let until_drained = |name, task: BoxFuture<'static, ()>| {
            drop(tasks.spawn(name, tasks.draining().clone().run_until_cancelled_owned(task)));
        };
        let (changes, changes_received) = mpsc::channel(16);
        let listener = Subscriber {
            origins: follower.origins,
            position: rows.told().position,
            last_seen: follower.last_seen,
            reconnected: None,
            changes,
        };
        let to_save = watch::Sender::new(rows.clone());
        let saver = Saver::new(follower.folder, to_save.subscribe(), remembered.subscribe(), follower.counts.clone());
        drop(tasks.spawn("save", saver.run(tasks.draining().clone())));
        until_drained("feed", Box::pin(listener.run()));
        let applier = Applier { rows, told, to_save, counts: follower.counts };
        until_drained("follow", Box::pin(applier.run(changes_received)));
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
    use verge_protocol::{Position, Seq};

    use super::*;

    async fn booted(folder: &Path, origin: &str) -> Booted {
        let token = Secret::new("vrg_test");
        let origins = Origins::new(vec![origin.parse().unwrap()], token, "test", Counter::default()).unwrap();
        let folder = Arc::new(DataDir::open(folder).unwrap());
        Follower { origins, folder, last_seen: LastSeen::never(), counts: FollowCounts::default() }.boot().await
    }

    /// An origin that tells of one edge, and of nothing new after that.
    async fn origin(tasks: &Tasks) -> String {
        let feed = async |RawQuery(query): RawQuery| {
            let at = FeedEvent::CaughtUp("1-7".parse::<Position>().unwrap());
            let value = serde_json::json!({ "addresses": ["192.0.2.1"] });
            let row = FeedEvent::Row(Row { key: "edge/fra-1".into(), seq: Seq(7), value: Some(value.into()) });
            let events = if query.is_some() { vec![at] } else { vec![row, at] };
            let text = |event: FeedEvent| {
                let (name, data) = event.to_parts();
                format!("event: {name}\ndata: {data}\n\n")
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
    async fn what_was_told_is_known_after_a_restart_without_an_origin() {
        let folder = tempfile::tempdir().unwrap();
        let (elsewhere, tasks) = (Tasks::default(), Tasks::default());
        let booted_once = booted(folder.path(), &origin(&elsewhere).await).await;
        let (mut told, remembered) = (booted_once.told(), booted_once.remembered());
        assert_eq!(**told.borrow(), Told::default());
        booted_once.run(&tasks);
        tokio::time::timeout(Duration::from_secs(30), told.changed()).await.unwrap().unwrap();
        let before = Arc::clone(&told.borrow());
        assert_eq!((before.position, before.edges.len()), ("1-7".parse().ok(), 1));
        let bar = Remembered { bar: before.position, addresses: Vec::new() };
        remembered.send_replace(Arc::new(bar.clone()));
        tasks.shutdown(Duration::from_secs(30)).await.unwrap();
        let _ = elsewhere.shutdown(Duration::ZERO).await;

        let (tasks, booted_again) = (Tasks::default(), booted(folder.path(), "http://127.0.0.1:1").await);
        let told = booted_again.told();
        assert_eq!(*told.borrow(), before);
        assert_eq!(**booted_again.remembered().borrow(), bar);
        booted_again.run(&tasks);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(*told.borrow(), before);
        assert!(!told.has_changed().unwrap());
        tasks.shutdown(Duration::from_secs(30)).await.unwrap();
    }
}
