//! Writes results and messages. Both writers are injected, so that tests read exactly what a person would.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use console::Style;
use indicatif::MultiProgress;
use serde::Serialize;

use super::clean::clean;
use super::human;
use crate::failure::Failure;

/// The longest line of an error, in characters. Longer than any path.
const LINE_MAX: usize = 2000;

/// How [`Output`] formats what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct OutputOptions {
    /// Print only results, warnings and errors.
    pub quiet: bool,
    /// Print the result as one line of JSON.
    pub json: bool,
    /// Before the result, print the progress of a rollout, one line of JSON for each event.
    pub json_events: bool,
    /// Use colors on stdout.
    pub color_results: bool,
    /// Use colors on stderr.
    pub color_messages: bool,
    /// Draw progress bars on stderr, which is a terminal.
    pub progress_bars: bool,
    /// The maximum width of a table, in columns; `None`: unlimited.
    pub width: Option<u16>,
}

/// Reads a secret from the input.
pub(super) type ReadSecret = Box<dyn FnMut() -> io::Result<String> + Send>;

/// Writes to stdout and stderr. Cheap to clone.
#[derive(Clone)]
pub struct Output(Arc<Inner>);

struct Inner {
    results: Mutex<Box<dyn Write + Send>>,
    messages: Mutex<Box<dyn Write + Send>>,
    answers: Mutex<Option<Box<dyn BufRead + Send>>>,
    secrets: Mutex<Option<ReadSecret>>,
    options: OutputOptions,
    bars: Option<MultiProgress>,
}

impl Output {
    /// Writes results to `results` (stdout) and messages to `messages` (stderr).
    pub fn new(
        results: impl Write + Send + 'static,
        messages: impl Write + Send + 'static,
        options: OutputOptions,
    ) -> Self {
        Self(Arc::new(Inner {
            results: Mutex::new(Box::new(results)),
            messages: Mutex::new(Box::new(messages)),
            answers: Mutex::default(),
            secrets: Mutex::default(),
            options,
            // Indicatif draws on stderr, and only if that is a terminal.
            bars: (options.progress_bars && !options.quiet).then(MultiProgress::new),
        }))
    }

    /// The options it was made with.
    pub fn options(&self) -> OutputOptions {
        self.0.options
    }

    /// Writes the result to stdout. A closed pipe (`verge … | head`) is not an error.
    pub fn result(&self, text: impl fmt::Display) -> io::Result<()> {
        let write = || {
            let mut results = lock(&self.0.results);
            writeln!(results, "{}", clean(&text.to_string()))?;
            results.flush()
        };
        match self.above_bars(write) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Writes an event to stdout, as one line of JSON, if events are wanted. A result that cannot be written is an error of its own.
    pub fn event(&self, event: &impl Serialize) {
        if self.0.options.json_events {
            let line = serde_json::to_string(event).expect("events can be serialized");
            let _ = self.result(line);
        }
    }

    /// Writes an informational message, unless `quiet`.
    pub fn info(&self, text: impl fmt::Display) {
        if !self.0.options.quiet {
            self.message(text);
        }
    }

    /// Writes what has changed in the files of a person, even if `quiet`.
    pub fn notice(&self, text: impl fmt::Display) {
        self.message(text);
    }

    /// Writes a message with a check mark, unless `quiet`.
    pub fn success(&self, text: impl fmt::Display) {
        self.info(format_args!("{} {text}", self.messages_style().green().apply_to("✓")));
    }

    /// Writes a warning, even if `quiet`.
    pub fn warn(&self, text: impl fmt::Display) {
        let label = self.messages_style().yellow().bold().apply_to("warning:");
        self.message(format_args!("{label} {text}"));
    }

    /// Writes what to do about a warning.
    pub fn hint(&self, text: impl fmt::Display) {
        let label = self.messages_style().cyan().bold().apply_to("hint:");
        self.message(format_args!("{label} {text}"));
    }

    /// Writes an error, its details and its hints. Text from a server may be among them, so each is sanitized to one line.
    pub fn error(&self, failure: &Failure) {
        let style = self.messages_style();
        let label = |text, style: Style| style.bold().apply_to(text).to_string();
        let line = |text: &str| human::line(text, LINE_MAX);
        let mut lines = vec![format!("{} {}", label("error:", style.clone().red()), line(&failure.message))];
        lines.extend(failure.details.iter().map(|detail| format!("  {}", line(detail))));
        let hint = label("hint:", style.cyan());
        lines.extend(failure.hints.iter().map(|text| format!("{hint} {}", line(text))));
        self.message(lines.join("\n"));
    }

    /// The base style of text on stdout.
    pub fn results_style(&self) -> Style {
        Style::new().force_styling(self.0.options.color_results)
    }

    /// The base style of text on stderr.
    pub fn messages_style(&self) -> Style {
        Style::new().force_styling(self.0.options.color_messages)
    }

    pub(super) fn bars(&self) -> Option<&MultiProgress> {
        self.0.bars.as_ref()
    }

    pub(super) fn answers(&self) -> &Mutex<Option<Box<dyn BufRead + Send>>> {
        &self.0.answers
    }

    pub(super) fn secrets(&self) -> &Mutex<Option<ReadSecret>> {
        &self.0.secrets
    }

    /// Writes to stderr. Errors are ignored: there is nowhere left to report them.
    fn message(&self, text: impl fmt::Display) {
        self.write_message(|messages| {
            let _ = writeln!(messages, "{}", clean(&text.to_string())).and_then(|()| messages.flush());
        });
    }

    pub(super) fn write_message(&self, write: impl FnOnce(&mut dyn Write)) {
        self.above_bars(|| write(&mut **lock(&self.0.messages)));
    }

    fn above_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
