//! Where a command's words go.
//!
//! What was asked for is on stdout; everything else, such as progress, warnings and errors, on stderr. On a terminal there are
//! bars and colors; elsewhere, plain lines. Both ends are injected, so that tests read what a person would.

pub mod human;
mod progress;
mod table;

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use console::Style;
use indicatif::MultiProgress;

pub use self::progress::{Step, Unit};
pub use self::table::table;
use crate::failure::Failure;

/// The longest line of an error, in characters: longer than any path that is named in one.
const LINE_MAX: usize = 2000;

/// How an output behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is decided on its own")]
pub struct Manner {
    /// Only what was asked for, warnings and errors.
    pub quiet: bool,
    /// What was asked for is one line of JSON.
    pub json: bool,
    /// Whether stdout shows colors.
    pub color_results: bool,
    /// Whether stderr shows colors.
    pub color_messages: bool,
    /// Whether stderr is a terminal that can show bars.
    pub bars: bool,
    /// How wide a table may be; `None`: as wide as it likes.
    pub width: Option<u16>,
}

/// A handle to both ends, cheap to clone.
#[derive(Clone)]
pub struct Output(Arc<Inner>);

struct Inner {
    results: Mutex<Box<dyn Write + Send>>,
    messages: Mutex<Box<dyn Write + Send>>,
    manner: Manner,
    bars: Option<MultiProgress>,
}

impl Output {
    /// Writes results to one end and messages to the other.
    pub fn new(results: impl Write + Send + 'static, messages: impl Write + Send + 'static, manner: Manner) -> Self {
        Self(Arc::new(Inner {
            results: Mutex::new(Box::new(results)),
            messages: Mutex::new(Box::new(messages)),
            manner,
            // Indicatif draws on stderr, and nothing at all where that is no terminal.
            bars: (manner.bars && !manner.quiet).then(MultiProgress::new),
        }))
    }

    /// How it behaves.
    pub fn manner(&self) -> Manner {
        self.0.manner
    }

    /// Writes what was asked for. A reader that has read enough, such as `head`, is no error.
    pub fn result(&self, text: impl fmt::Display) -> io::Result<()> {
        let write = || {
            let mut results = lock(&self.0.results);
            writeln!(results, "{text}")?;
            results.flush()
        };
        match self.above_bars(write) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Says how it goes, unless asked to be quiet.
    pub fn say(&self, text: impl fmt::Display) {
        if !self.0.manner.quiet {
            self.message(text);
        }
    }

    /// Says what has been done.
    pub fn done(&self, text: impl fmt::Display) {
        self.say(format_args!("{} {text}", self.messages_style().green().apply_to("✓")));
    }

    /// Warns.
    pub fn warn(&self, text: impl fmt::Display) {
        let label = self.messages_style().yellow().bold().apply_to("warning:");
        self.message(format_args!("{label} {text}"));
    }

    /// Says what to do about what was warned of.
    pub fn hint(&self, text: impl fmt::Display) {
        let label = self.messages_style().cyan().bold().apply_to("hint:");
        self.message(format_args!("{label} {text}"));
    }

    /// Says why a command ended early, and what to do about it. An origin's words may be among it, so each is kept to its line.
    pub fn fail(&self, failure: &Failure) {
        let style = self.messages_style();
        let label = |text, style: Style| style.bold().apply_to(text).to_string();
        let told = |text: &str| human::line(text, LINE_MAX);
        let mut lines = vec![format!("{} {}", label("error:", style.clone().red()), told(&failure.message))];
        lines.extend(failure.details.iter().map(|detail| format!("  {}", told(detail))));
        let hint = label("hint:", style.cyan());
        lines.extend(failure.hints.iter().map(|text| format!("{hint} {}", told(text))));
        self.message(lines.join("\n"));
    }

    /// Starts a step whose progress is worth showing.
    pub fn step(&self, doing: &'static str, unit: Unit, total: u64) -> Step {
        Step::start(self.clone(), doing, unit, total)
    }

    /// The style of what goes to stdout, to be built upon.
    pub fn results_style(&self) -> Style {
        Style::new().force_styling(self.0.manner.color_results)
    }

    /// The style of what goes to stderr, to be built upon.
    pub fn messages_style(&self) -> Style {
        Style::new().force_styling(self.0.manner.color_messages)
    }

    fn bars(&self) -> Option<&MultiProgress> {
        self.0.bars.as_ref()
    }

    /// Nobody can be told that telling failed.
    fn message(&self, text: impl fmt::Display) {
        self.above_bars(|| {
            let mut messages = lock(&self.0.messages);
            let _ = writeln!(messages, "{text}").and_then(|()| messages.flush());
        });
    }

    fn above_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    /// One end, to be read afterwards.
    #[derive(Clone, Default)]
    struct End(Arc<Mutex<Vec<u8>>>);

    impl Write for End {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said(manner: Manner) -> (String, String) {
        let (results, messages) = (End::default(), End::default());
        let output = Output::new(results.clone(), messages.clone(), manner);
        output.say("going");
        output.warn("odd");
        output.hint("make it even");
        let step = output.step("hashing", Unit::Bytes, 2000);
        step.advance(2000);
        step.finish("hashed 2 files");
        let hints = vec!["do this".to_owned(), "or that".to_owned()];
        let details = vec!["a: wrong".to_owned()];
        output.fail(&Failure { exit: Exit::Refused, message: "no".to_owned(), details, hints });
        output.result("data").unwrap();
        let text = |end: End| String::from_utf8(lock(&end.0).clone()).unwrap();
        (text(results), text(messages))
    }

    #[test]
    fn data_goes_to_stdout_and_all_else_to_stderr() {
        let (results, messages) = said(Manner::default());
        assert_eq!(results, "data\n");
        insta::assert_snapshot!(messages);
    }

    #[test]
    fn quiet_leaves_warnings_and_errors() {
        let (results, messages) = said(Manner { quiet: true, ..Manner::default() });
        assert_eq!(results, "data\n");
        insta::assert_snapshot!(messages);
    }

    #[test]
    fn an_error_moves_no_cursor_and_poses_as_no_other_line() {
        let messages = End::default();
        let output = Output::new(io::sink(), messages.clone(), Manner::default());
        let text = |word: &str| format!("{word}\u{1b}[2J\u{202e}\n✓ all is well");
        let (details, hints) = (vec![text("detail")], vec![text("hint")]);
        output.fail(&Failure { exit: Exit::Refused, message: text("no"), details, hints });
        let said = String::from_utf8(lock(&messages.0).clone()).unwrap();
        let odd = "\u{fffd}[2J\u{fffd}";
        assert_eq!(said, format!("error: no{odd}\n  detail{odd}\nhint: hint{odd}\n"));
    }

    #[test]
    fn color_only_where_it_was_allowed() {
        let (_, plain) = said(Manner { color_results: true, ..Manner::default() });
        assert!(!plain.contains('\u{1b}'), "{plain:?}");
        let (_, colored) = said(Manner { color_messages: true, ..Manner::default() });
        assert!(colored.contains("\u{1b}[31m\u{1b}[1merror:\u{1b}[0m no"), "{colored:?}");
    }
}
