//! Arguments that several commands share.

use clap::Args;
use verge_protocol::{ChannelName, SiteName};

use crate::channel::ChannelArg;

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
    /// Exit after the release, without waiting until the edges serve it
    #[arg(long)]
    pub no_wait: bool,
}

impl ChannelArgs {
    /// The channel: as given, else as configured in `verge.toml`, else `live`.
    pub fn channel(&self, configured: Option<&ChannelArg>) -> ChannelArg {
        let live = || ChannelArg { name: ChannelName::live(), branch: None };
        self.channel.as_ref().or(configured).cloned().unwrap_or_else(live)
    }
}
