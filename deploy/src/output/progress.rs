//! Progress of a long step: a bar on a terminal, elsewhere a line every few seconds and one at the end.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::human;
use super::printer::{Output, lock};

/// How often a step without a bar prints its progress. Short enough for CI systems that stop silent jobs.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(10);

impl Output {
    /// Starts a step; `label` is its name while it runs.
    pub fn step(&self, label: &'static str, unit: Unit, total: u64) -> Step {
        Step::start(self.clone(), label, unit, total)
    }
}

/// What a step counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Files.
    Files,
}

/// A running step. Cheap to clone. Dropping the last clone removes its bar.
#[derive(Clone)]
pub struct Step(Arc<Inner>);

struct Inner {
    output: Output,
    label: &'static str,
    unit: Unit,
    done: AtomicU64,
    total: AtomicU64,
    bar: Option<ProgressBar>,
    last_report: Mutex<Instant>,
}

impl Step {
    fn start(output: Output, label: &'static str, unit: Unit, total: u64) -> Self {
        let bar = output.bars().map(|bars| {
            let bar = bars.add(ProgressBar::new(total).with_style(style(unit, &output)));
            bar.set_prefix(label);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let last_report = Mutex::new(Instant::now());
        let (done, total) = (AtomicU64::new(0), AtomicU64::new(total));
        Self(Arc::new(Inner { output, label, unit, done, total, bar, last_report }))
    }

    /// Adds to what is done.
    pub fn advance(&self, by: u64) {
        let done = self.0.done.fetch_add(by, Ordering::Relaxed) + by;
        self.show(done);
    }

    /// Sets what is done, which may be less than before.
    pub fn set_done(&self, done: u64) {
        self.0.done.store(done, Ordering::Relaxed);
        self.show(done);
    }

    /// What is done.
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Sets the total.
    pub fn set_total(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
        if let Some(bar) = &self.0.bar {
            bar.set_length(total);
        }
    }

    /// Ends the step and prints `text` with a check mark.
    pub fn finish(&self, text: impl fmt::Display) {
        self.clear();
        self.0.output.success(text);
    }

    /// Ends the step without a message.
    pub fn clear(&self) {
        if let Some(bar) = &self.0.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&self, done: u64) {
        if let Some(bar) = &self.0.bar {
            return bar.set_position(done);
        }
        let mut last_report = lock(&self.0.last_report);
        if last_report.elapsed() >= REPORT_INTERVAL {
            *last_report = Instant::now();
            let total = self.0.total.load(Ordering::Relaxed);
            let so_far = match self.0.unit {
                Unit::Bytes => format!("{} of {}", human::bytes(done), human::bytes(total)),
                Unit::Files => format!("{} of {}", human::number(done), human::count(total, "file")),
            };
            self.0.output.info(format_args!("  {}: {so_far}", self.0.label));
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
        Unit::Files => "{human_pos:>9} of {human_len}  {wide_msg}",
    };
    let template = if output.options().color_messages {
        format!("{{prefix:>10.bold}} {{bar:32.green/dim}} {counted}")
    } else {
        format!("{{prefix:>10}} {{bar:32}} {counted}")
    };
    let style = ProgressStyle::with_template(&template).expect("the template is valid");
    style.progress_chars("━╸─")
}
