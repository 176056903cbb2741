//! Checks of a build before it is uploaded: the limits of the origin, and the size of the current release.

use verge_protocol::api::{ChannelHead, Limits};
use verge_protocol::{Build, ReleaseNumber};

use crate::output::human;

/// Releases with fewer files than this are not compared.
const MIN_FILES_TO_COMPARE: u64 = 20;

/// The build exceeds limits of the origin: one line for each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the build exceeds the limits of the origin")]
pub struct LimitsExceeded(pub Vec<String>);

/// The build has less than half as many files as the current release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the directory has {}, less than half of the {current} in {release}", human::count(*files, "file"))]
pub struct Shrunk {
    /// Files in the build.
    pub files: u64,
    /// Files in the current release of the channel.
    pub current: u64,
    /// That release.
    pub release: ReleaseNumber,
}

/// Checks the build against the limits of the origin.
pub(crate) fn check_limits(build: &Build, limits: &Limits) -> Result<(), LimitsExceeded> {
    let mut exceeded = Vec::new();
    let files = build.files.len() as u64;
    if files > limits.files {
        exceeded.push(format!("{} (limit: {})", human::count(files, "file"), human::number(limits.files)));
    }
    let bytes = build.bytes();
    if bytes > limits.build_bytes {
        exceeded.push(format!("{} in total (limit: {})", human::bytes(bytes), human::bytes(limits.build_bytes)));
    }
    for (path, content) in &build.files {
        if content.size() > limits.file_bytes {
            let (size, limit) = (human::bytes(content.size()), human::bytes(limits.file_bytes));
            exceeded.push(format!("{path}: {size} (limit: {limit})"));
        }
    }
    if exceeded.is_empty() { Ok(()) } else { Err(LimitsExceeded(exceeded)) }
}

/// Checks that the build has at least half as many files as the current release, if that has enough files to compare.
pub(super) fn check_not_shrunk(build: &Build, current: Option<&ChannelHead>) -> Result<(), Shrunk> {
    let files = build.files.len() as u64;
    match current {
        Some(ChannelHead { files: current, release, .. })
            if *current >= MIN_FILES_TO_COMPARE && files * 2 < *current =>
        {
            Err(Shrunk { files, current: *current, release: *release })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::{Content, Fallback, HtmlPaths, Seq};

    use super::*;

    fn build(files: u64) -> Build {
        let content = Content::cut(&"12345".into()).0;
        let files = (0..files).map(|at| (format!("{at}").parse().unwrap(), content.clone())).collect();
        Build {
            files,
            fallback: Fallback::NotFound,
            legacy_service_workers: Vec::new(),
            html: HtmlPaths::Auto,
            rules: verge_protocol::Rules::default(),
        }
    }

    #[test]
    fn each_exceeded_limit_is_named() {
        let limits = Limits { files: 2, file_bytes: 5, build_bytes: 10, pack_bytes: 1 };
        assert!(check_limits(&build(2), &limits).is_ok());
        let tight = Limits { file_bytes: 4, ..limits };
        assert_eq!(
            check_limits(&build(3), &tight).unwrap_err().0,
            [
                "3 files (limit: 2)",
                "15 B in total (limit: 10 B)",
                "0: 5 B (limit: 4 B)",
                "1: 5 B (limit: 4 B)",
                "2: 5 B (limit: 4 B)"
            ]
        );
    }

    #[test]
    fn build_with_less_than_half_of_twenty_or_more_files_is_shrunk() {
        let is_shrunk = |had, has| {
            let current = ChannelHead { release: ReleaseNumber(1), epoch: Seq(1), files: had };
            check_not_shrunk(&build(has), Some(&current)).is_err()
        };
        assert!(is_shrunk(20, 9));
        assert!(!is_shrunk(20, 10));
        assert!(is_shrunk(41, 20));
        assert!(!is_shrunk(19, 1));
        assert!(check_not_shrunk(&build(1), None).is_ok());
    }
}
