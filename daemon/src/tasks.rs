//! Tracked, named tasks; nothing is spawned and forgotten.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one daemon. Clones share them.
///
/// Shutdown has two steps: [`Tasks::draining`] asks tasks to finish; those that have not finished at the deadline are dropped at their
/// last await point.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    draining: CancellationToken,
    killed: CancellationToken,
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

/// Tasks that were still running at the deadline: their number by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfinished(pub BTreeMap<&'static str, usize>);

impl fmt::Display for Unfinished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        write!(formatter, "aborted at the shutdown deadline: {}", names.join(", "))
    }
}

impl std::error::Error for Unfinished {}

impl Tasks {
    /// Runs `task` to its end or to the deadline of [`Tasks::shutdown`], where a task that is still running is reported by name.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let running = Running::enter(&self.running, name);
        let killed = self.killed.clone();
        #[expect(clippy::disallowed_methods, reason = "the only place that spawns")]
        tokio::spawn(self.tracker.track_future(async move {
            let _running = running;
            killed.run_until_cancelled_owned(task).await
        }))
    }

    /// Cancelled when shutdown starts.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Asks all tasks to finish and waits for them, at most for `deadline`; then aborts the rest.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), Unfinished> {
        self.draining.cancel();
        self.tracker.close();
        let in_time = tokio::time::timeout(deadline, self.tracker.wait()).await;
        if in_time.is_ok() {
            return Ok(());
        }
        let unfinished = self.running();
        self.killed.cancel();
        self.tracker.wait().await;
        Err(Unfinished(unfinished))
    }

    /// Aborts every task at its next await point, without waiting.
    pub fn abort(&self) {
        self.draining.cancel();
        self.killed.cancel();
    }

    /// The number of running tasks, by name.
    pub fn running(&self) -> BTreeMap<&'static str, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts a task while it lives, also if it panics.
struct Running {
    counts: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    name: &'static str,
}

impl Running {
    fn enter(counts: &Arc<Mutex<BTreeMap<&'static str, usize>>>, name: &'static str) -> Self {
        *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        Self { counts: Arc::clone(counts), name }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shutdown_waits_for_running_tasks() {
        let tasks = Tasks::default();
        let draining = tasks.draining().clone();
        let task = tasks.spawn("polite", async move {
            draining.cancelled().await;
            7
        });
        assert_eq!(tasks.shutdown(Duration::from_mins(1)).await, Ok(()));
        assert_eq!(task.await.unwrap(), Some(7));
        assert_eq!(tasks.running(), BTreeMap::new());
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_reports_aborted_tasks() {
        let tasks = Tasks::default();
        drop(tasks.spawn("deaf", std::future::pending::<()>()));
        drop(tasks.spawn("deaf", std::future::pending::<()>()));
        let unfinished = tasks.shutdown(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(unfinished.to_string(), "aborted at the shutdown deadline: 2 × deaf");
        assert_eq!(tasks.running(), BTreeMap::new());
    }
}
