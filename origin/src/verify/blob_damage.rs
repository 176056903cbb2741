//! Blobs that are missing or corrupt, and everything that needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, PoisonError};

use verge_protocol::{Digest, ReleaseNumber, SiteName};

use super::change::{Change, Repair};
use super::finding::{Finding, Severity};
use super::objects::{BlobStatus, Objects};

/// How many releases, and how many paths, a finding names.
const NAMED_MAX: usize = 5;

/// What needs each damaged blob. Shared by the threads that find out.
#[derive(Default)]
pub(super) struct BlobDamage {
    needs: Mutex<BTreeMap<Digest, Needs>>,
}

/// What needs a blob.
#[derive(Default)]
struct Needs {
    sites: BTreeSet<SiteName>,
    encodings_of: BTreeSet<Digest>,
    releases: BTreeMap<(SiteName, ReleaseNumber), Vec<String>>,
    /// Some of the paths that need it.
    paths: BTreeSet<String>,
    has_more_paths: bool,
}

impl BlobDamage {
    fn change(&self, digest: Digest, change: impl FnOnce(&mut Needs)) {
        change(self.needs.lock().unwrap_or_else(PoisonError::into_inner).entry(digest).or_default());
    }

    /// A site's pushes rely on the blob.
    pub(super) fn add_site(&self, digest: Digest, site: SiteName) {
        self.change(digest, |needs| needs.sites.extend([site]));
    }

    /// It is part of an encoding of this content, which the next push would use.
    pub(super) fn add_encoding(&self, digest: Digest, of: Digest) {
        self.change(digest, |needs| needs.encodings_of.extend([of]));
    }

    /// Releases need it for a file, or for their manifest. Each comes with the channels that serve it.
    pub(super) fn add_releases(
        &self,
        digest: Digest,
        releases: &[((SiteName, ReleaseNumber), Vec<String>)],
        path: &str,
    ) {
        self.change(digest, |needs| {
            needs.releases.extend(releases.iter().cloned());
            if needs.paths.len() < NAMED_MAX {
                needs.paths.insert(path.to_owned());
            } else {
                needs.has_more_paths |= !needs.paths.contains(path);
            }
        });
    }

    /// A finding for each blob that is still damaged.
    pub(super) fn findings(self, objects: &Objects) -> Vec<Finding> {
        let mut needs = self.needs.into_inner().unwrap_or_else(PoisonError::into_inner);
        for digest in objects.not_sound() {
            needs.entry(digest).or_default();
        }
        needs.into_iter().filter_map(|(digest, needs)| finding(digest, &needs, objects)).collect()
    }
}

fn finding(digest: Digest, needs: &Needs, objects: &Objects) -> Option<Finding> {
    let is_needed = !needs.releases.is_empty() || !needs.sites.is_empty() || !needs.encodings_of.is_empty();
    let status = objects.read_again(digest);
    let problem = match status {
        BlobStatus::Sound(_) => return None,
        BlobStatus::Missing if !is_needed => return None,
        BlobStatus::Missing => "missing".to_owned(),
        BlobStatus::Corrupt => "corrupt on disk".to_owned(),
        BlobStatus::Unreadable(code) => format!("cannot be read: {}", io::Error::from_raw_os_error(code)),
    };
    let (severity, cost) = cost(needs);
    let finding = Finding::new(severity, format_args!("blob {digest}"), problem, cost);
    let has_rows = !needs.sites.is_empty() || !needs.encodings_of.is_empty();
    let again = if is_needed { ": the next push of these files stores it again" } else { "" };
    Some(match status {
        BlobStatus::Unreadable(_) => {
            finding.advice(format!("check the disk, and the owner of {}", objects.blob_file(digest).display()))
        }
        BlobStatus::Corrupt => {
            finding.repair(Repair::new(Change::ForgetBlob(digest), format!("moves it to quarantine{again}")))
        }
        _ if has_rows => {
            finding.repair(Repair::new(Change::ForgetBlob(digest), format!("deletes the rows that promise it{again}")))
        }
        _ => finding.advice("the next push of these files stores it again"),
    })
}

fn cost(needs: &Needs) -> (Severity, String) {
    let sites = || list(needs.sites.iter().map(ToString::to_string), needs.sites.len());
    if needs.releases.is_empty() {
        return if !needs.sites.is_empty() {
            let sites = sites();
            (Severity::Operation, format!("no release needs it, but a push to {sites} would take it for stored"))
        } else if !needs.encodings_of.is_empty() {
            (
                Severity::Operation,
                "no release needs it, but a push would use the encoding that it is part of".to_owned(),
            )
        } else {
            (Severity::Harmless, "nothing needs it".to_owned())
        };
    }
    let mut releases: Vec<_> = needs.releases.iter().collect();
    releases.sort_by_key(|((site, number), channels)| (channels.is_empty(), site.clone(), std::cmp::Reverse(*number)));
    let names = releases.iter().map(|((site, number), channels)| match channels.as_slice() {
        [] => format!("{site} {number}"),
        channels => format!("{site} {number} ({})", channels.join(", ")),
    });
    let releases = list(names, needs.releases.len());
    let paths = list(needs.paths.iter().cloned(), needs.paths.len());
    let paths = if needs.has_more_paths { format!("{paths} and more") } else { paths };
    if needs.releases.values().any(|channels| !channels.is_empty()) {
        let cost = format!("needed by {releases}: {paths}; readers of edges that lack it get 503");
        (Severity::Readers, cost)
    } else {
        let cost = format!(
            "needed by {releases}, which no channel serves: {paths}; after a rollback edges that lack it answer 503"
        );
        (Severity::Operation, cost)
    }
}

/// The first names, and how many more there are.
fn list(names: impl Iterator<Item = String>, count: usize) -> String {
    let first: Vec<String> = names.take(NAMED_MAX).collect();
    let more = count.saturating_sub(first.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", first.join(", "))
}
