//! What is rolled out, and what a report says of it.

use verge_protocol::canary::CanaryPlan;
use verge_protocol::host::HostLabel;
use verge_protocol::report::{EdgeReport, Lag};
use verge_protocol::{Digest, ReleaseNumber};

/// What is rolled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The channel.
    pub label: HostLabel,
    /// The release.
    pub release: ReleaseNumber,
    /// Its manifest.
    pub manifest: Digest,
    /// How a few edges serve it first.
    pub canary: Option<CanaryPlan>,
    /// Whether a few edges may serve it already, since the origin was restarted during the canary.
    pub has_canary_edges: bool,
}

impl Target {
    /// The lag of the channel, if the report lists one.
    pub(super) fn lag<'report>(&self, report: &'report EdgeReport) -> Option<&'report Lag> {
        report.lagging.iter().find(|lag| self.is_of_channel(lag))
    }

    /// Whether the edge lags with another channel.
    pub(super) fn lags_elsewhere(&self, report: &EdgeReport) -> bool {
        report.lagging.iter().any(|lag| !self.is_of_channel(lag))
    }

    fn is_of_channel(&self, lag: &Lag) -> bool {
        lag.site == self.label.site && lag.channel == self.label.channel
    }
}
