//! `--canary`: a release on a few edges first.

use clap::Args;
use verge_protocol::canary::{CanaryPlan, CanaryShare};

use crate::project::CanarySettings;

/// Whether a release is tried on a few edges before it goes live everywhere.
#[derive(Debug, Args)]
pub struct CanaryArgs {
    /// Try the release on a few edges first, a number of them or a share such as 5%, and go live only if readers there get no more
    /// errors than elsewhere [default: `canary` in verge.toml, else no canary; without a value: 1]
    #[arg(long, value_name = "EDGES", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    canary: Option<CanaryShare>,
    /// How long they serve it alone [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=CanaryPlan::SECONDS_MAX))]
    canary_seconds: Option<u64>,
    /// Go live on all edges at once, whatever verge.toml says
    #[arg(long, conflicts_with_all = ["canary", "canary_seconds"])]
    no_canary: bool,
}

impl CanaryArgs {
    /// The canary, if there is to be one.
    pub fn plan(&self, settings: Option<CanarySettings>) -> Option<CanaryPlan> {
        if self.no_canary {
            return None;
        }
        let edges = self.canary.or(settings.map(|settings| settings.edges));
        let edges = edges.or_else(|| self.canary_seconds.map(|_| CanaryShare::Count(1)))?;
        let seconds = self.canary_seconds.or(settings.and_then(|settings| settings.seconds));
        Some(CanaryPlan { edges, seconds: seconds.unwrap_or(CanaryPlan::SECONDS) })
    }
}
