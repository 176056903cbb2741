//! A step whose progress is shown: a bar on a terminal, elsewhere a line now and then, and one when it is done.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::{Output, human, lock};

/// How often a step without a bar says how far it is: often enough that no pipeline takes it for dead.
const EVERY: Duration = Duration::from_secs(10);

/// What a step counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Files.
    Files,
    /// Edges.
    Edges,
}

/// A step under way, cheap to clone. Dropped unfinished, it leaves nothing behind.
#[derive(Clone)]
pub struct Step(Arc<Inner>);

struct Inner {
    output: Output,
    doing: &'static str,
    unit: Unit,
    done: AtomicU64,
    total: AtomicU64,
    bar: Option<ProgressBar>,
    said: Mutex<Instant>,
}

impl Step {
    pub(super) fn start(output: Output, doing: &'static str, unit: Unit, total: u64) -> Self {
        let bar = output.bars().map(|bars| {
            let bar = bars.add(ProgressBar::new(total).with_style(style(unit, &output)));
            bar.set_prefix(doing);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let said = Mutex::new(Instant::now());
        Self(Arc::new(Inner { output, doing, unit, done: AtomicU64::new(0), total: AtomicU64::new(total), bar, said }))
    }

    /// So much more is done.
    pub fn advance(&self, by: u64) {
        let done = self.0.done.fetch_add(by, Ordering::Relaxed) + by;
        self.show(done);
    }

    /// So much is done, which may be less than before.
    pub fn set_done(&self, done: u64) {
        self.0.done.store(done, Ordering::Relaxed);
        self.show(done);
    }

    /// So much is to be done.
    pub fn set_total(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
        if let Some(bar) = &self.0.bar {
            bar.set_length(total);
        }
    }

    /// What stands behind the bar.
    pub fn note(&self, text: impl fmt::Display) {
        if let Some(bar) = &self.0.bar {
            bar.set_message(text.to_string());
        }
    }

    /// It is done: `text` says what came of it.
    pub fn finish(&self, text: impl fmt::Display) {
        self.clear();
        self.0.output.done(text);
    }

    /// It is over, and there is nothing to say.
    pub fn clear(&self) {
        if let Some(bar) = &self.0.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&self, done: u64) {
        if let Some(bar) = &self.0.bar {
            return bar.set_position(done);
        }
        let mut said = lock(&self.0.said);
        if said.elapsed() >= EVERY {
            *said = Instant::now();
            let total = self.0.total.load(Ordering::Relaxed);
            let so_far = match self.0.unit {
                Unit::Bytes => format!("{} of {}", human::bytes(done), human::bytes(total)),
                Unit::Files => format!("{} of {}", human::number(done), human::count(total, "file")),
                Unit::Edges => format!("{} of {}", human::number(done), human::count(total, "edge")),
            };
            self.0.output.say(format_args!("  {}: {so_far}", self.0.doing));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(unit: Unit, output: &Output) -> ProgressStyle {
    let counted = match unit {
        Unit::Bytes => "{decimal_bytes:>9} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {wide_msg}",
        Unit::Files | Unit::Edges => "{human_pos:>9} of {human_len}  {wide_msg}",
    };
    let template = if output.manner().color_messages {
        format!("{{prefix:>10.bold}} {{bar:32.green/dim}} {counted}")
    } else {
        format!("{{prefix:>10}} {{bar:32}} {counted}")
    };
    let style = ProgressStyle::with_template(&template).expect("the template is known to be sound");
    style.progress_chars("━╸─")
}
