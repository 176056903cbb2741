//! Faults and warnings while a zone file becomes a zone.

use std::path::Path;
use std::sync::Arc;

use super::notice::{Notice, Notices, ZoneError};

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// The file, in the order in which they were opened.
    pub(super) file: u16,
    /// The line, from 1.
    pub(super) line: u32,
}

/// The files that were opened, and what is to be said about them.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) files: Vec<Arc<Path>>,
    faults: Notices,
    warnings: Notices,
}

impl Report {
    /// After so many faults the rest is rarely worth reading.
    const FAULTS: usize = 20;
    const WARNINGS: usize = 100;

    pub(super) fn new(zone: &Path) -> Self {
        let (faults, warnings) = (Notices::up_to(Self::FAULTS), Notices::up_to(Self::WARNINGS));
        Self { files: vec![zone.into()], faults, warnings }
    }

    pub(super) fn fault(&mut self, at: Position, text: impl Into<String>, hint: Option<&'static str>) {
        let notice = notice(&self.files, at, text.into(), hint);
        self.faults.push(notice);
    }

    /// A fault of the zone as a whole.
    pub(super) fn fault_of_zone(&mut self, text: impl Into<String>, hint: Option<&'static str>) {
        self.faults.push(Notice { file: self.files[0].clone(), line: None, text: text.into(), hint });
    }

    pub(super) fn warn(&mut self, at: Position, text: impl Into<String>, hint: Option<&'static str>) {
        let notice = notice(&self.files, at, text.into(), hint);
        self.warnings.push(notice);
    }

    /// A position as messages show it.
    pub(super) fn place(&self, at: Position) -> String {
        format!("{}:{}", self.files[usize::from(at.file)].display(), at.line)
    }

    pub(super) fn is_full(&self) -> bool {
        self.faults.is_full()
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The files and the warnings, unless there are faults.
    pub(super) fn finish(self) -> Result<(Vec<Arc<Path>>, Vec<Notice>), ZoneError> {
        match self.faults.into_faults() {
            Some((faults, more)) => Err(ZoneError { faults, more }),
            None => Ok((self.files, self.warnings.into_vec())),
        }
    }
}

pub(super) fn notice(files: &[Arc<Path>], at: Position, text: String, hint: Option<&'static str>) -> Notice {
    Notice { file: files[usize::from(at.file)].clone(), line: Some(at.line), text, hint }
}
