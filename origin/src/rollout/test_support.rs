//! Reports of edges about the release of a rollout to `demo`.

use std::time::Duration;

use verge_protocol::canary::ResponseCounts;
use verge_protocol::report::{CanaryCounts, EdgeReport, Lag, Preparation};
use verge_protocol::{Digest, EdgeName, ReleaseNumber, Seq};

use super::target::Target;

const MANIFEST: &[u8] = b"manifest";

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn name(name: &str) -> EdgeName {
    name.parse().unwrap()
}

/// The release that the reports are about.
pub(super) fn target() -> Target {
    Target {
        label: "demo".parse().unwrap(),
        release: ReleaseNumber(2),
        manifest: Digest::of(MANIFEST),
        canary: None,
        has_canary_edges: false,
    }
}

/// A report at position 1-`seq`, with a preparation of (done, total, prepared).
pub(super) fn report(seq: u64, preparation: Option<(u64, u64, bool)>) -> EdgeReport {
    let preparation = preparation.map(|(done, total, prepared)| Preparation {
        site: "demo".parse().unwrap(),
        channel: "live".parse().unwrap(),
        manifest: Digest::of(MANIFEST),
        done,
        total,
        prepared,
        problem: None,
    });
    let preparations = Some(preparation.into_iter().collect());
    EdgeReport { preparations, ..EdgeReport::new(format!("1-{seq}").parse().unwrap(), "0") }
}

/// The report, with a lag of the channel `live` of a site.
pub(super) fn with_lag(mut report: EdgeReport, site: &str, reason: &str) -> EdgeReport {
    let (site, channel) = (site.parse().unwrap(), "live".parse().unwrap());
    report.lagging.push(Lag { site, channel, seq: Seq(7), reason: reason.to_owned() });
    report
}

/// A report of an edge that is prepared, at which `not_found` of `responses` of the release, or of the one before it, were not found.
pub(super) fn counted(is_canary: bool, responses: u64, not_found: u64) -> EdgeReport {
    let manifest = Digest::of(if is_canary { MANIFEST } else { b"before" });
    let (site, channel) = ("demo".parse().unwrap(), "live".parse().unwrap());
    let counts = ResponseCounts { responses, not_found, ..ResponseCounts::default() };
    let canaries = vec![CanaryCounts { site, channel, manifest, counts }];
    EdgeReport { canaries, ..report(6, Some((9, 9, true))) }
}
