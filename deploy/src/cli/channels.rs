//! `verge channels` and `verge promote`.

use std::fmt;
use std::str::FromStr;

use clap::{Args, Subcommand};
use verge_protocol::ReleaseNumber;
use verge_protocol::name::NameError;

use super::arguments::{SiteArg, WaitArgs};
use crate::channel::ChannelArg;

/// `verge channels`.
#[derive(Debug, Subcommand)]
pub enum Channels {
    /// Delete a preview channel; its releases stay for a day
    Delete {
        /// The channel, such as pr-12, or the name of its branch
        channel: ChannelArg,
        /// The site.
        #[command(flatten)]
        site: SiteArg,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// `verge promote`.
#[derive(Debug, Args)]
pub struct Promote {
    /// The release: that of a channel, such as pr-12, or a number, such as v43
    #[arg(value_name = "CHANNEL|RELEASE")]
    pub source: PromoteSource,
    /// The channel to update
    #[arg(long, value_name = "CHANNEL", default_value = verge_protocol::ChannelName::LIVE)]
    pub to: ChannelArg,
    /// The site.
    #[command(flatten)]
    pub site: SiteArg,
    /// Whether it waits.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// What names a release to promote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromoteSource {
    /// Its number.
    Release(ReleaseNumber),
    /// A channel that points at it.
    Channel(ChannelArg),
}

impl FromStr for PromoteSource {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self::Release).or_else(|_| text.parse().map(Self::Channel))
    }
}

impl fmt::Display for PromoteSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(release) => release.fmt(formatter),
            Self::Channel(channel) => channel.fmt(formatter),
        }
    }
}
