//! What is said about a zone file, and where.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A remark on a zone file. Its text is `<file>:<line>: <what>`, without the hint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Notice {
    /// The file, as it was opened.
    pub(crate) file: Arc<Path>,
    /// The line, from 1; `None` is the file as a whole.
    pub(crate) line: Option<u32>,
    /// A sentence without its end.
    pub(crate) text: String,
    /// What to do about it.
    pub(crate) hint: Option<&'static str>,
}

/// The faults of a zone file, in the order of their lines: all of them, or the first twenty that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZoneError {
    /// At least one.
    pub(crate) faults: Vec<Notice>,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// Notices up to a number: a wrong file of a million lines must not become a million notices.
#[derive(Debug)]
pub(super) struct Notices {
    kept: Vec<Notice>,
    limit: usize,
    left_out: usize,
}

impl Notices {
    pub(super) fn up_to(limit: usize) -> Self {
        Self { kept: Vec::new(), limit, left_out: 0 }
    }

    pub(super) fn push(&mut self, notice: Notice) {
        if self.kept.len() == self.limit {
            self.left_out += 1;
        } else {
            self.kept.push(notice);
        }
    }

    /// Whether one was left out: more are not worth finding.
    pub(super) fn is_full(&self) -> bool {
        self.left_out > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// In the order of lines; a last one tells of those left out.
    pub(super) fn into_vec(mut self) -> Vec<Notice> {
        self.kept.sort();
        if let (Some(last), more @ 1..) = (self.kept.last(), self.left_out) {
            let text = format!("{more} more like these");
            self.kept.push(Notice { file: last.file.clone(), line: None, text, hint: None });
        }
        self.kept
    }

    /// In the order of lines, and whether there are more; `None` if there are none.
    pub(super) fn into_faults(mut self) -> Option<(Vec<Notice>, bool)> {
        self.kept.sort();
        let more = self.is_full();
        (!self.kept.is_empty()).then_some((self.kept, more))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.file.display(), self.text),
            None => write!(formatter, "{}: {}", self.file.display(), self.text),
        }
    }
}

/// One line for each fault, each hint on a line below.
impl fmt::Display for ZoneError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(formatter, "{newline}{fault}")?;
            if let Some(hint) = fault.hint {
                write!(formatter, "\n  hint: {hint}")?;
            }
        }
        if self.more { formatter.write_str("\nthere are more; these were found first") } else { Ok(()) }
    }
}

impl std::error::Error for ZoneError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(line: u32) -> Notice {
        Notice { file: Path::new("zone").into(), line: Some(line), text: "wrong".into(), hint: None }
    }

    #[test]
    fn those_past_the_limit_are_only_counted() {
        let mut notices = Notices::up_to(2);
        for line in [3, 1, 2, 4] {
            notices.push(notice(line));
        }
        let texts: Vec<_> = notices.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["zone:1: wrong", "zone:3: wrong", "zone: 2 more like these"]);
    }
}
