//! Asking the person at the terminal.

use std::fmt;
use std::io::BufRead;

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
}
