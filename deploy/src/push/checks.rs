//! What an origin's answer to a build says against pushing it.

use verge_protocol::Build;
use verge_protocol::api::{ChannelHead, Limits};

use super::PushError;
use crate::output::human;

/// A release with fewer files than this says nothing about how many the next should have.
const TELLING: u64 = 20;

/// Whether the origin takes as much; what is too much is named.
pub(super) fn fits(build: &Build, limits: &Limits) -> Result<(), Vec<String>> {
    let mut excess = Vec::new();
    let files = build.files.len() as u64;
    if files > limits.files {
        excess.push(format!("{} of at most {}", human::count(files, "file"), human::number(limits.files)));
    }
    let bytes = build.bytes();
    if bytes > limits.build_bytes {
        excess.push(format!("{} in all of at most {}", human::bytes(bytes), human::bytes(limits.build_bytes)));
    }
    for (path, content) in &build.files {
        if content.size() > limits.file_bytes {
            let (size, most) = (human::bytes(content.size()), human::bytes(limits.file_bytes));
            excess.push(format!("{path}: {size} of at most {most}"));
        }
    }
    if excess.is_empty() { Ok(()) } else { Err(excess) }
}

/// Whether the build has at least half the files of a release that had enough of them to tell.
pub(super) fn is_no_collapse(build: &Build, current: Option<&ChannelHead>) -> Result<(), PushError> {
    let has = build.files.len() as u64;
    match current {
        Some(ChannelHead { files: had, release, .. }) if *had >= TELLING && has * 2 < *had => {
            Err(PushError::Shrunk { has, had: *had, release: *release })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::{Content, Fallback, ReleaseNumber, Seq};

    use super::*;

    fn build(files: u64) -> Build {
        let content = Content::cut(&"12345".into()).0;
        let files = (0..files).map(|at| (format!("{at}").parse().unwrap(), content.clone())).collect();
        Build { files, fallback: Fallback::NotFound }
    }

    #[test]
    fn every_limit_that_is_passed_is_named() {
        let limits = Limits { files: 2, file_bytes: 5, build_bytes: 10, pack_bytes: 1 };
        assert_eq!(fits(&build(2), &limits), Ok(()));
        let tight = Limits { file_bytes: 4, ..limits };
        assert_eq!(
            fits(&build(3), &tight).unwrap_err(),
            [
                "3 files of at most 2",
                "15 B in all of at most 10 B",
                "0: 5 B of at most 4 B",
                "1: 5 B of at most 4 B",
                "2: 5 B of at most 4 B"
            ]
        );
    }

    #[test]
    fn less_than_half_of_twenty_or_more_is_a_collapse() {
        let falls = |had, has| {
            let current = ChannelHead { release: ReleaseNumber(1), epoch: Seq(1), files: had };
            is_no_collapse(&build(has), Some(&current)).is_err()
        };
        assert!(falls(20, 9));
        assert!(!falls(20, 10));
        assert!(falls(41, 20));
        assert!(!falls(19, 1));
        assert!(is_no_collapse(&build(1), None).is_ok());
    }
}
