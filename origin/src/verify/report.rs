//! What verification found, as text or JSON.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::finding::{Finding, Outcome, Severity};
use super::objects::Volume;

/// All findings, and how much was read.
pub(super) struct Report {
    pub(super) directory: String,
    pub(super) findings: Vec<Finding>,
    pub(super) objects: Volume,
    pub(super) quarantine: Volume,
    pub(super) unfinished: Volume,
    pub(super) releases: u64,
    pub(super) rows: u64,
    /// What came of deleting unfinished files, if that was tried.
    pub(super) deleted: Option<Result<u64, String>>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line<'a> {
    Finding(&'a Finding),
    Summary {
        objects: u64,
        bytes: u64,
        releases: u64,
        rows: u64,
        findings: usize,
        repaired: usize,
        quarantined_files: u64,
        quarantined_bytes: u64,
        unfinished_files: u64,
        unfinished_bytes: u64,
    },
}

impl Report {
    fn repaired(&self) -> usize {
        let is_repaired = |finding: &&Finding| matches!(finding.outcome, Some(Outcome::Repaired | Outcome::Healed));
        self.findings.iter().filter(is_repaired).count()
    }

    /// One JSON object for each finding, then one with the numbers, each on a line.
    pub(super) fn json(&self) -> String {
        let summary = Line::Summary {
            objects: self.objects.files,
            bytes: self.objects.bytes,
            releases: self.releases,
            rows: self.rows,
            findings: self.findings.len(),
            repaired: self.repaired(),
            quarantined_files: self.quarantine.files,
            quarantined_bytes: self.quarantine.bytes,
            unfinished_files: self.unfinished.files,
            unfinished_bytes: self.unfinished.bytes,
        };
        let lines = self.findings.iter().map(Line::Finding).chain([summary]);
        lines.map(|line| serde_json::to_string(&line).expect("plain data serializes") + "\n").collect()
    }
}

/// The findings by severity, then the numbers.
impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for severity in Severity::ALL {
            let mut findings = self.findings.iter().filter(|finding| finding.severity == severity).peekable();
            if findings.peek().is_some() {
                writeln!(formatter, "{severity}:")?;
                findings.try_for_each(|finding| writeln!(formatter, "  {finding}"))?;
                writeln!(formatter)?;
            }
        }
        if self.quarantine.files > 0 {
            writeln!(formatter, "quarantine: {}", volume(self.quarantine))?;
        }
        match &self.deleted {
            _ if self.unfinished.files == 0 => {}
            None => {
                let healed = "the origin deletes them when it starts, and so does --repair";
                writeln!(formatter, "left unfinished: {}; {healed}", volume(self.unfinished))?;
            }
            Some(Ok(files)) => writeln!(formatter, "deleted {files} unfinished files")?,
            Some(Err(reason)) => writeln!(formatter, "unfinished files were not deleted: {reason}")?,
        }
        let (objects, bytes) = (self.objects.files, size(self.objects.bytes));
        write!(
            formatter,
            "{}: read {objects} objects ({bytes}), {} releases and {} rows: ",
            self.directory, self.releases, self.rows
        )?;
        match (self.findings.len(), self.repaired()) {
            (0, _) => writeln!(formatter, "all is sound"),
            (1, 0) => writeln!(formatter, "1 finding"),
            (count, 0) => writeln!(formatter, "{count} findings"),
            (count, repaired) => writeln!(formatter, "{count} findings, {repaired} of them repaired: verify again"),
        }
    }
}

fn volume(volume: Volume) -> String {
    format!("{} files ({})", volume.files, size(volume.bytes))
}

fn size(bytes: u64) -> String {
    let mut text = String::new();
    let mut value = bytes;
    let mut rest = 0;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1024 || unit == "TiB" {
            let _ = if unit == "B" {
                write!(text, "{value} B")
            } else {
                write!(text, "{value}.{} {unit}", rest * 10 / 1024)
            };
            break;
        }
        rest = value % 1024;
        value /= 1024;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal_in_the_largest_unit() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"), (5 << 40, "5.0 TiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
