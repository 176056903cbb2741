//! The thread that writes lines.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::output::Output;
use super::queue::Queue;

/// How long a line waits to be written at most, and how often the path of the file is checked.
const INTERVAL: Duration = Duration::from_millis(500);

/// A problem is over when nothing has gone wrong for so long.
const CALM: Duration = Duration::from_secs(10);

/// How long the last lines may take to be written at shutdown.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The running thread.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    /// Ends with the thread.
    running: oneshot::Receiver<()>,
}

impl Writer {
    /// Starts the thread. It ends when the queue is closed.
    pub(super) fn start(queue: Arc<Queue>, output: Output) -> io::Result<Self> {
        let (ends_with_thread, running) = oneshot::channel();
        let mut lines =
            Lines { queue: Arc::clone(&queue), output, batch: Vec::new(), written: 0, problem: Problem::default() };
        std::thread::Builder::new().name("access log".to_owned()).spawn(move || {
            lines.run();
            drop::<oneshot::Sender<()>>(ends_with_thread);
        })?;
        Ok(Self { queue, running })
    }

    /// Has the lines that wait written, and ends the thread. A disk that does not respond is not waited for.
    pub(crate) async fn finish(self) {
        self.queue.close();
        if tokio::time::timeout(FINISH_TIMEOUT, self.running).await.is_err() {
            tracing::error!("the last lines of the access log could not be written in time");
        }
    }
}

struct Lines {
    queue: Arc<Queue>,
    output: Output,
    /// Lines that were taken from the queue.
    batch: Vec<u8>,
    /// Bytes of the batch that are written.
    written: usize,
    problem: Problem,
}

impl Lines {
    fn run(&mut self) {
        let mut has_failed = false;
        loop {
            // After a failure more lines are no reason to try again.
            let is_closed = self.queue.wait(INTERVAL, !has_failed);
            let outcome = self.write();
            has_failed = outcome.is_err();
            if let Some(change) = self.problem.update(outcome.err(), self.queue.dropped(), Instant::now()) {
                self.log(&change);
            }
            if is_closed {
                return self.give_up();
            }
        }
    }

    /// Logs a change. The queue may have logged before that lines are dropped.
    fn log(&self, change: &Change) {
        let is_to_log = match change {
            Change::Over { .. } => {
                self.queue.end_problem();
                true
            }
            Change::TooSlow => self.queue.begin_problem(),
            Change::Failed(_) => {
                self.queue.begin_problem();
                true
            }
        };
        if is_to_log {
            change.log(&self.output);
        }
    }

    /// Writes all lines. After an error the next call goes on where it has stopped.
    fn write(&mut self) -> io::Result<()> {
        let followed = self.output.follow_path();
        if let Ok(true) = followed {
            self.skip_rest_of_line();
        }
        self.write_batch()?;
        self.queue.take(&mut self.batch);
        self.write_batch()?;
        followed.map(|_| ())
    }

    fn write_batch(&mut self) -> io::Result<()> {
        while self.written < self.batch.len() {
            self.written += self.output.write(&self.batch[self.written..])?;
        }
        self.batch.clear();
        self.written = 0;
        Ok(())
    }

    /// The beginning of a line is in another file.
    fn skip_rest_of_line(&mut self) {
        let is_within_line = self.written > 0 && self.batch[self.written - 1] != b'\n';
        if is_within_line {
            let rest = &self.batch[self.written..];
            self.written += rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
            self.queue.drop_lines(1);
        }
    }

    /// Counts the lines that are left.
    fn give_up(&mut self) {
        let mut lost = count(&self.batch[self.written..]);
        self.batch.clear();
        self.queue.take(&mut self.batch);
        lost += count(&self.batch);
        if lost > 0 {
            self.queue.drop_lines(lost);
            tracing::error!(lines = lost, "the last lines of the access log could not be written");
        }
    }
}

fn count(lines: &[u8]) -> usize {
    // What follows the last line break is empty.
    lines.split(|byte| *byte == b'\n').count() - 1
}

/// What is wrong with the log, over time.
#[derive(Default)]
struct Problem {
    /// When something last went wrong, while that is a problem.
    last_seen: Option<Instant>,
    /// Lines that were dropped when it was last looked at, and when the problem began.
    dropped: u64,
    dropped_before: u64,
}

/// What there is to say about the log.
#[derive(Debug)]
enum Change {
    Failed(io::Error),
    TooSlow,
    Over { dropped_lines: u64 },
}

impl Problem {
    /// `dropped` are the lines that were dropped since the start.
    fn update(&mut self, error: Option<io::Error>, dropped: u64, now: Instant) -> Option<Change> {
        let before = std::mem::replace(&mut self.dropped, dropped);
        let change = match (error, dropped > before) {
            (Some(error), _) => Change::Failed(error),
            (None, true) => Change::TooSlow,
            (None, false) => {
                self.last_seen.take_if(|last_seen| now.duration_since(*last_seen) >= CALM)?;
                return Some(Change::Over { dropped_lines: dropped - self.dropped_before });
            }
        };
        if self.last_seen.replace(now).is_some() {
            return None;
        }
        self.dropped_before = before;
        Some(change)
    }
}

impl Change {
    fn log(&self, log: &Output) {
        match self {
            Self::Failed(error) => {
                tracing::error!(%log, %error, "failed to write the access log: lines are dropped if this lasts");
            }
            Self::TooSlow => tracing::error!(%log, "the access log is written too slowly: lines are dropped"),
            Self::Over { dropped_lines } => tracing::info!(%log, dropped_lines, "the access log is written again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use prometheus_client::metrics::counter::Counter;
    use verge_test_kit::on_small_disk;

    use super::*;
    use crate::config::LogDestination;

    fn lines(path: &Path) -> Lines {
        let queue = Arc::new(Queue::new(64 << 10, Counter::default()));
        let output = Output::open(&LogDestination::File(path.to_owned())).unwrap();
        Lines { queue, output, batch: Vec::new(), written: 0, problem: Problem::default() }
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn file_is_created_for_owner_and_group_and_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        for line in ["one\n", "two\n"] {
            let mut log = lines(&path);
            log.queue.push(line);
            log.write().unwrap();
        }
        assert_eq!(read(&path), "one\ntwo\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    }

    #[test]
    fn file_that_was_moved_or_deleted_is_created_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let mut log = lines(&path);
        let mut write = |line| {
            log.queue.push(line);
            log.write()
        };
        write("one\n").unwrap();
        std::fs::rename(&path, directory.path().join("access.log.1")).unwrap();
        write("two\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        write("three\n").unwrap();
        assert_eq!((read(&directory.path().join("access.log.1")), read(&path)), ("one\n".into(), "three\n".into()));
        // What cannot be opened is a problem, but no reason to lose lines.
        let moved = directory.path().join("access.log.2");
        std::fs::rename(&path, &moved).unwrap();
        std::fs::create_dir(&path).unwrap();
        write("four\n").unwrap_err();
        assert_eq!(read(&moved), "three\nfour\n");
        std::fs::remove_dir(&path).unwrap();
        write("five\n").unwrap();
        assert_eq!(read(&path), "five\n");
    }

    #[test]
    fn named_pipe_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(Output::open(&LogDestination::File(path)).is_err());
    }

    /// Lines of 100 bytes.
    fn push(log: &Lines, number: usize) {
        log.queue.push(&format!("{number:0>99}\n"));
    }

    #[test]
    fn full_disk_breaks_no_line_and_what_waits_is_written_once_there_is_room() {
        let name = "access_log::writer::tests::full_disk_breaks_no_line_and_what_waits_is_written_once_there_is_room";
        on_small_disk(name, 64 << 10, |root| {
            let path = root.join("access.log");
            let mut log = lines(&path);
            let filler = root.join("filler");
            std::fs::write(&filler, vec![1; 32 << 10]).unwrap();
            for number in 0..600 {
                push(&log, number);
            }
            log.write().unwrap_err();
            // The queue has room for 655 lines.
            for number in 600..1300 {
                push(&log, number);
            }
            assert_eq!(log.queue.dropped(), 45);
            log.write().unwrap_err();
            std::fs::remove_file(&filler).unwrap();
            // Another file is begun with a whole line.
            std::fs::rename(&path, root.join("access.log.1")).unwrap();
            let _ = log.write();
            let first = read(&root.join("access.log.1"));
            let whole_lines = first.lines().filter(|line| line.len() == 99).count();
            assert_eq!(whole_lines, first.lines().count() - 1, "the last one is cut");
            std::fs::remove_file(root.join("access.log.1")).unwrap();
            let expected = whole_lines + 1;
            let next = read(&path).lines().next().unwrap().parse::<usize>().unwrap();
            assert_eq!((next, log.queue.dropped()), (expected, 46));
            let _ = log.write();
            std::fs::remove_file(&path).unwrap();
            log.write().unwrap();
        });
    }

    #[test]
    fn lines_that_cannot_be_written_at_the_end_are_counted() {
        let mut log = lines(Path::new("/dev/full"));
        for number in 0..7 {
            push(&log, number);
        }
        log.write().unwrap_err();
        push(&log, 7);
        log.give_up();
        assert_eq!(log.queue.dropped(), 8);
    }

    #[test]
    fn problem_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let (mut problem, start) = (Problem::default(), Instant::now());
        let mut update = |second: u64, has_failed: bool, dropped| {
            let error = has_failed.then(|| io::Error::from(io::ErrorKind::StorageFull));
            problem.update(error, dropped, start + Duration::from_secs(second))
        };
        assert!(update(0, false, 0).is_none());
        assert!(matches!(update(1, true, 0), Some(Change::Failed(_))));
        // On and off is one problem.
        for (second, has_failed, dropped) in [(2, true, 5), (3, false, 5), (9, false, 5), (12, true, 5), (13, false, 7)]
        {
            assert!(update(second, has_failed, dropped).is_none(), "{second}");
        }
        assert!(update(22, false, 7).is_none());
        assert!(matches!(update(23, false, 7), Some(Change::Over { dropped_lines: 7 })));
        assert!(update(40, false, 7).is_none());
        assert!(matches!(update(41, false, 9), Some(Change::TooSlow)));
        assert!(matches!(update(51, false, 9), Some(Change::Over { dropped_lines: 2 })));
    }

    #[tokio::test]
    async fn finish_writes_what_waits() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let queue = Arc::new(Queue::new(64 << 10, Counter::default()));
        let output = Output::open(&LogDestination::File(path.clone())).unwrap();
        let writer = Writer::start(Arc::clone(&queue), output).unwrap();
        queue.push("one\n");
        writer.finish().await;
        assert_eq!(read(&path), "one\n");
    }

    /// A pipe that is read by nobody.
    #[test]
    fn queue_logs_lines_that_are_dropped_while_the_writer_hangs() {
        let (reader, pipe) = io::pipe().unwrap();
        let queue = Arc::new(Queue::new(64 << 10, Counter::default()));
        let output = Output::of_file(std::os::fd::OwnedFd::from(pipe).into());
        let writer = Writer::start(Arc::clone(&queue), output).unwrap();
        while queue.dropped() == 0 {
            queue.push(&format!("{:0>999}\n", 1));
        }
        assert!(!queue.begin_problem(), "it has been logged");
        // What is written fails, and the thread ends.
        drop(reader);
        queue.close();
        writer.running.blocking_recv().unwrap_err();
    }
}
