//! Lines that wait to be written. Adding one never waits for a disk: if there is no room, it is dropped and counted.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    bytes_max: usize,
    /// Once so many bytes wait, [`Self::wait`] ends.
    bytes_woken: usize,
    dropped: Counter,
    /// What is wrong with the log has been logged, and is not over.
    is_problem_logged: AtomicBool,
    log_full: fn(),
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    is_closed: bool,
}

impl Queue {
    /// For at most `bytes_max` bytes, with the counter of lines that are dropped.
    pub(super) fn new(bytes_max: usize, dropped: Counter) -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            bytes_max,
            bytes_woken: bytes_max / 16,
            dropped,
            is_problem_logged: AtomicBool::new(false),
            log_full,
        }
    }

    /// Adds a line, which ends with its line break, or drops it. The first that is dropped is logged here: the writer may hang.
    pub(super) fn push(&self, line: &str) {
        let mut waiting = self.lock();
        let before = waiting.lines.len();
        let after = before + line.len();
        if waiting.is_closed || after > self.bytes_max {
            let is_full = !waiting.is_closed;
            drop(waiting);
            self.drop_lines(1);
            if is_full && self.begin_problem() {
                (self.log_full)();
            }
            return;
        }
        waiting.lines.extend_from_slice(line.as_bytes());
        drop(waiting);
        if before < self.bytes_woken && after >= self.bytes_woken {
            self.changed.notify_one();
        }
    }

    /// Waits for `timeout`, unless it is closed; with `for_lines`, at most until it is time to write some.
    /// Returns whether it is closed.
    pub(super) fn wait(&self, timeout: Duration, for_lines: bool) -> bool {
        let is_idle = |waiting: &mut Waiting| {
            let is_much = for_lines && waiting.lines.len() >= self.bytes_woken;
            !(waiting.is_closed || is_much)
        };
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, is_idle);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    /// Moves all lines to `lines`, which is empty.
    pub(super) fn take(&self, lines: &mut Vec<u8>) {
        // After a burst, the memory is given back.
        lines.shrink_to(2 * self.bytes_woken);
        std::mem::swap(&mut self.lock().lines, lines);
    }

    /// Counts lines that are dropped.
    pub(super) fn drop_lines(&self, count: usize) {
        self.dropped.inc_by(count as u64);
    }

    /// Lines that were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Whether a problem has to be logged: none has been since the last was over.
    pub(super) fn begin_problem(&self) -> bool {
        // Read first, as it is for every line that is dropped.
        !self.is_problem_logged.load(Relaxed) && !self.is_problem_logged.swap(true, Relaxed)
    }

    /// Notes that the problem is over.
    pub(super) fn end_problem(&self) {
        self.is_problem_logged.store(false, Relaxed);
    }

    /// From now on lines are dropped; those that wait can be taken.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs that lines are dropped, in a thread of its own: standard error may hang like the access log.
fn log_full() {
    let log = || tracing::error!("the access log is written too slowly, or not at all: lines are dropped");
    let started = std::thread::Builder::new().name("access log full".to_owned()).spawn(log);
    // Without a thread there is the counter.
    drop(started);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_dropped_and_counted_until_others_are_taken() {
        let queue = Queue::new(8, Counter::default());
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            queue.push(line);
        }
        assert_eq!(queue.dropped(), 2);
        let mut lines = Vec::new();
        queue.take(&mut lines);
        assert_eq!(lines, b"one\ntwo\n");
        queue.push("five\n");
        lines.clear();
        queue.take(&mut lines);
        assert_eq!((lines.as_slice(), queue.dropped()), (&b"five\n"[..], 2));
    }

    #[test]
    fn wait_ends_when_there_is_much_to_write_or_the_queue_is_closed() {
        let queue = Queue::new(16, Counter::default());
        queue.push("a\n");
        assert!(!queue.wait(Duration::from_hours(1), true));
        assert!(!queue.wait(Duration::from_millis(1), false));
        queue.close();
        assert!(queue.wait(Duration::from_hours(1), false));
        queue.push("b\n");
        assert_eq!(queue.dropped(), 1);
    }

    #[test]
    fn first_line_that_is_dropped_since_the_last_problem_is_logged() {
        static LOGGED: AtomicU32 = AtomicU32::new(0);
        let log_full = || {
            LOGGED.fetch_add(1, Relaxed);
        };
        let queue = Queue { log_full, ..Queue::new(4, Counter::default()) };
        queue.push("one\n");
        assert_eq!(LOGGED.load(Relaxed), 0);
        for _ in 0..3 {
            queue.push("two\n");
            assert_eq!(LOGGED.load(Relaxed), 1);
        }
        queue.end_problem();
        queue.push("two\n");
        assert_eq!(LOGGED.load(Relaxed), 2);
        // At the end, lines may be dropped.
        queue.end_problem();
        queue.close();
        queue.push("two\n");
        assert_eq!(LOGGED.load(Relaxed), 2);
    }
}
