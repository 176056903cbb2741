//! Asking the person at the terminal.

use std::fmt;
use std::io::{self, BufRead};

use super::Output;
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
        let mut answers = lock(self.answers());
        let input = answers.as_mut()?;
        self.write_message(|messages| {
            let _ = write!(messages, "{question} [y/N] ").and_then(|()| messages.flush());
        });
        let mut line = String::new();
        let is_read = input.read_line(&mut line).is_ok();
        Some(is_read && ["y", "yes"].contains(&line.trim().to_ascii_lowercase().as_str()))
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
