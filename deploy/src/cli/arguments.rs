//! Arguments that several commands share.

use clap::Args;
use verge_protocol::{ChannelName, SiteName};

use crate::channel::ChannelArg;
use crate::rollout::Wait;

/// `--site`.
#[derive(Debug, Args)]
pub struct SiteArg {
    /// The site [default: `site` in verge.toml, else the name in package.json]
    #[arg(long, value_name = "NAME")]
    pub site: Option<SiteName>,
}

/// The channel that a command updates, and whether it waits for the edges.
#[derive(Debug, Args)]
pub struct ChannelArgs {
    /// The channel to update: `live`, a preview such as `pr-12`, or the name of a branch [default: `channel` in verge.toml, else live]
    #[arg(long, value_name = "NAME")]
    pub channel: Option<ChannelArg>,
    /// Whether it waits.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Whether a command waits for the edges.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Wait until the edges serve the release: all (those that are away fail nothing), a share of them such as 90%, or strict (those
    /// that are away fail it too) [default: all]
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    wait: Option<Wait>,
    /// Exit when the channel points at the release, without waiting until the edges serve it
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

impl WaitArgs {
    /// What is waited for.
    pub fn choice(&self) -> Wait {
        if self.no_wait { Wait::No } else { self.wait.unwrap_or_default() }
    }
}

impl ChannelArgs {
    /// The channel: as given, else as configured in `verge.toml`, else `live`.
    pub fn channel(&self, configured: Option<&ChannelArg>) -> ChannelArg {
        let live = || ChannelArg { name: ChannelName::live(), branch: None };
        self.channel.as_ref().or(configured).cloned().unwrap_or_else(live)
    }
}

/// How a machine that joins reaches the origin.
#[derive(Debug, Clone, Default, Args)]
pub struct JoinArgs {
    /// The origin's URL for the machine that joins, unless it is the one used here; may be given several times
    #[arg(long, value_name = "URL")]
    pub join_url: Vec<String>,
}
