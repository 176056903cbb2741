//! Arguments that several commands share.

use clap::Args;
use verge_protocol::{ChannelName, SiteName};

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
    /// The channel to update: `live`, or a preview such as `pr-12`
    #[arg(long, value_name = "NAME", default_value = ChannelName::LIVE)]
    pub channel: ChannelName,
    /// Exit after the release, without waiting until the edges serve it
    #[arg(long)]
    pub no_wait: bool,
}
