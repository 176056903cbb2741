//! Errors and warnings about a zone file, each with its file and line.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// An error or a warning. Displayed as `<file>:<line>: <message>`, without the hint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Diagnostic {
    /// The file, as it was opened.
    pub(crate) file: Arc<Path>,
    /// The line, from 1; `None` for the file as a whole.
    pub(crate) line: Option<u32>,
    /// What is wrong, in lowercase and without a full stop.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<&'static str>,
}

/// Why a zone file cannot be served: all of its errors, or the first twenty that were found, in the order of their lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZoneError {
    /// At least one.
    pub(crate) errors: Vec<Diagnostic>,
    /// Whether there are more.
    pub(crate) has_more: bool,
}

/// At most `limit` diagnostics: a broken file of a million lines must not become a million messages.
#[derive(Debug)]
pub(super) struct DiagnosticList {
    kept: Vec<Diagnostic>,
    limit: usize,
    left_out: usize,
}

impl DiagnosticList {
    pub(super) fn up_to(limit: usize) -> Self {
        Self { kept: Vec::new(), limit, left_out: 0 }
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if self.kept.len() == self.limit {
            self.left_out += 1;
        } else {
            self.kept.push(diagnostic);
        }
    }

    /// In the order of lines. A last one counts those that were left out.
    pub(super) fn into_vec(mut self) -> Vec<Diagnostic> {
        self.kept.sort();
        if let (Some(last), more @ 1..) = (self.kept.last(), self.left_out) {
            let message = format!("{more} more warnings");
            self.kept.push(Diagnostic { file: last.file.clone(), line: None, message, hint: None });
        }
        self.kept
    }
}

/// The position of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// The index of the file, in the order in which files were opened.
    pub(super) file: u16,
    /// The line, from 1.
    pub(super) line: u32,
}

/// The files of a zone, and what has been found about them.
#[derive(Debug)]
pub(super) struct Diagnostics {
    pub(super) files: Vec<Arc<Path>>,
    errors: DiagnosticList,
    warnings: DiagnosticList,
}

impl Diagnostics {
    /// Further errors are often consequences of these.
    const MAX_ERRORS: usize = 20;
    const MAX_WARNINGS: usize = 100;

    pub(super) fn new(zone: &Path) -> Self {
        let (errors, warnings) = (DiagnosticList::up_to(Self::MAX_ERRORS), DiagnosticList::up_to(Self::MAX_WARNINGS));
        Self { files: vec![zone.into()], errors, warnings }
    }

    pub(super) fn error(&mut self, at: Position, message: impl Into<String>, hint: Option<&'static str>) {
        self.errors.push(diagnostic(&self.files, at, message.into(), hint));
    }

    /// Adds an error that belongs to no line.
    pub(super) fn zone_error(&mut self, message: impl Into<String>, hint: Option<&'static str>) {
        self.errors.push(Diagnostic { file: self.files[0].clone(), line: None, message: message.into(), hint });
    }

    pub(super) fn warn(&mut self, at: Position, message: impl Into<String>, hint: Option<&'static str>) {
        self.warnings.push(diagnostic(&self.files, at, message.into(), hint));
    }

    /// A position as messages show it.
    pub(super) fn location(&self, at: Position) -> String {
        format!("{}:{}", self.files[usize::from(at.file)].display(), at.line)
    }

    /// Whether an error was left out: it is no use to look for more.
    pub(super) fn is_full(&self) -> bool {
        self.errors.left_out > 0
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.kept.is_empty()
    }

    /// The files and the warnings, unless there are errors.
    pub(super) fn finish(self) -> Result<(Vec<Arc<Path>>, Vec<Diagnostic>), ZoneError> {
        if self.has_errors() {
            let (has_more, mut errors) = (self.is_full(), self.errors.kept);
            errors.sort();
            return Err(ZoneError { errors, has_more });
        }
        Ok((self.files, self.warnings.into_vec()))
    }
}

pub(super) fn diagnostic(files: &[Arc<Path>], at: Position, message: String, hint: Option<&'static str>) -> Diagnostic {
    Diagnostic { file: files[usize::from(at.file)].clone(), line: Some(at.line), message, hint }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.file.display(), self.message),
            None => write!(formatter, "{}: {}", self.file.display(), self.message),
        }
    }
}

/// One line for each error, and one below it for its hint.
impl fmt::Display for ZoneError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(formatter, "{newline}{error}")?;
            if let Some(hint) = error.hint {
                write!(formatter, "\n  hint: {hint}")?;
            }
        }
        if self.has_more { formatter.write_str("\nfurther errors are not shown") } else { Ok(()) }
    }
}

impl std::error::Error for ZoneError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnostics_beyond_the_limit_are_counted() {
        let mut list = DiagnosticList::up_to(2);
        for line in [3, 1, 2, 4] {
            let file = Path::new("zone").into();
            list.push(Diagnostic { file, line: Some(line), message: "wrong".into(), hint: None });
        }
        let texts: Vec<_> = list.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["zone:1: wrong", "zone:3: wrong", "zone: 2 more warnings"]);
    }
}
