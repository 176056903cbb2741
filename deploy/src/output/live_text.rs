//! Lines that are redrawn in place on a terminal; elsewhere a line for each change, and one every few seconds.

use std::sync::Mutex;

use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::clean::clean;
use super::printer::{Output, lock};
use super::progress::REPORT_INTERVAL;

/// Lines of the terminal that are left for what was printed before.
const LINES_ABOVE: u16 = 6;

/// The most lines that are used of a tall terminal, and of one whose height is unknown.
const LINES_MAX: u16 = 20;

/// Text that changes. Dropping it removes it from the terminal.
pub struct LiveText {
    output: Output,
    bar: Option<ProgressBar>,
    last_line: Mutex<Instant>,
}

impl Output {
    /// Starts a text that changes; empty at first.
    pub fn live_text(&self) -> LiveText {
        let style = ProgressStyle::with_template("{msg}").expect("the template is valid");
        let bar = self.bars().map(|bars| bars.add(ProgressBar::no_length().with_style(style)));
        LiveText { output: self.clone(), bar, last_line: Mutex::new(Instant::now()) }
    }
}

impl LiveText {
    /// Shows `lines`, of the number that it is given, in place of the last ones. Without a terminal: prints the changes, or if there
    /// are none and none were printed for some seconds, the first of `lines`.
    pub fn show(&self, lines: impl FnOnce(usize) -> Vec<String>, changes: &[String]) {
        let Some(bar) = &self.bar else { return self.print(lines, changes) };
        let (height, width) = Term::stderr().size_checked().unwrap_or((LINES_MAX + LINES_ABOVE, u16::MAX));
        let lines = lines(usize::from(height.saturating_sub(LINES_ABOVE).clamp(1, LINES_MAX)));
        let fit = |line: &String| console::truncate_str(&clean(line), usize::from(width), "…").into_owned();
        bar.set_message(lines.iter().map(fit).collect::<Vec<_>>().join("\n"));
    }

    fn print(&self, lines: impl FnOnce(usize) -> Vec<String>, changes: &[String]) {
        let mut last_line = lock(&self.last_line);
        if changes.is_empty() {
            if last_line.elapsed() < REPORT_INTERVAL {
                return;
            }
            lines(0).first().into_iter().for_each(|line| self.output.info(format_args!("  {line}")));
        }
        for change in changes {
            self.output.info(format_args!("  {change}"));
        }
        *last_line = Instant::now();
    }
}

impl Drop for LiveText {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
