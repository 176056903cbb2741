//! Asking the person at the terminal.

use std::fmt;
use std::io::{self, BufRead};

use super::Output;
use super::clean::clean;
use super::printer::lock;

impl Output {
    /// Lets questions be answered from `input`. Both it and the stream of messages must be terminals.
    #[must_use]
    pub fn with_answers(self, input: impl BufRead + Send + 'static) -> Self {
        *lock(self.answers()) = Some(Box::new(input));
        self
    }

    /// Asks a question, even if `quiet`, and waits for a line. `Some(true)` if that is `y` or `yes`; `None` if input is not a terminal.
    /// Blocks.
    pub fn confirm(&self, question: impl fmt::Display) -> Option<bool> {
        let line = self.ask(format_args!("{question} [y/N] "))?;
        Some(["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()))
    }

    /// The same for what does no harm: an empty line is a yes.
    pub fn confirm_unless_no(&self, question: impl fmt::Display) -> Option<bool> {
        let line = self.ask(format_args!("{question} [Y/n] "))?;
        Some(!line.is_empty() && ["", "y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()))
    }

    /// The line that is typed; empty at the end of the input.
    fn ask(&self, question: impl fmt::Display) -> Option<String> {
        let mut answers = lock(self.answers());
        let input = answers.as_mut()?;
        self.write_message(|messages| {
            let _ = write!(messages, "{}", clean(&question.to_string())).and_then(|()| messages.flush());
        });
        let mut line = String::new();
        Some(input.read_line(&mut line).map_or_else(|_| String::new(), |_| line))
    }

    /// Lets [`Self::read_secret`] read with `read`: from a terminal a line that is not shown, else all of the input.
    #[must_use]
    pub fn with_secrets(self, read: impl FnMut() -> io::Result<String> + Send + 'static) -> Self {
        *lock(self.secrets()) = Some(Box::new(read));
        self
    }

    /// Reads a secret; asks for it with `prompt` if input is a terminal. Without input it is empty. Blocks.
    pub fn read_secret(&self, prompt: &str) -> io::Result<String> {
        if lock(self.answers()).is_some() {
            self.write_message(|messages| {
                let _ = write!(messages, "{prompt}").and_then(|()| messages.flush());
            });
        }
        lock(self.secrets()).as_mut().map_or_else(|| Ok(String::new()), |read| read())
    }
}
