//! A rollback: a channel points at a release that exists. Nothing is uploaded.

use verge_protocol::api::{MoveChannel, Release, Site};
use verge_protocol::{ChannelName, ReleaseNumber, SiteName};

use crate::client::{Client, ClientError};
use crate::follow::{FollowError, Followed, follow};
use crate::output::Output;

/// What is rolled back, and how far.
pub struct Rollback<'a> {
    /// Whom to ask.
    pub client: &'a Client,
    /// The site.
    pub site: &'a SiteName,
    /// The channel.
    pub channel: &'a ChannelName,
    /// The release it should point at; `None`: the one that the channel served before.
    pub to: Option<ReleaseNumber>,
    /// Whether to wait until every edge serves it.
    pub wait: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// What the channel pointed at before.
    pub from: ReleaseNumber,
    /// What it points at now, and where that is served.
    pub followed: Followed,
}

/// Why a rollback came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// The site has no such channel.
    #[error("{site} has no channel {channel}")]
    NoChannel {
        /// The site.
        site: SiteName,
        /// The channel.
        channel: ChannelName,
    },
    /// The site has no such release.
    #[error("{site} has no release {release}")]
    NoRelease {
        /// The site.
        site: SiteName,
        /// The release.
        release: ReleaseNumber,
    },
    /// There is nothing to go back to.
    #[error("{channel} of {site} has served nothing else before {release}")]
    NothingOlder {
        /// The site.
        site: SiteName,
        /// The channel.
        channel: ChannelName,
        /// The release that the channel points at.
        release: ReleaseNumber,
    },
    /// The origin could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The channel did not move.
    #[error(transparent)]
    Follow(FollowError),
}

impl Rollback<'_> {
    /// Rolls back, and says on `output` how it goes.
    pub async fn run(&self, output: &Output) -> Result<RolledBack, RollbackError> {
        let site = self.site.clone();
        let known: Site = self.client.get(&format!("/v1/sites/{site}")).await?;
        let releases: Vec<Release> = self.client.get(&format!("/v1/sites/{site}/releases")).await?;
        let numbers: Vec<ReleaseNumber> = releases.iter().map(|release| release.number).collect();
        let Some(current) = known.channels.iter().find(|known| known.name == *self.channel) else {
            return Err(RollbackError::NoChannel { site, channel: self.channel.clone() });
        };
        let release = match self.to {
            Some(release) if numbers.contains(&release) => release,
            Some(release) => return Err(RollbackError::NoRelease { site, release }),
            None => current.previous.ok_or(RollbackError::NothingOlder {
                site,
                channel: self.channel.clone(),
                release: current.release,
            })?,
        };
        let to = MoveChannel { release, expected: Some(current.epoch) };
        match self.go(&to, output).await {
            Ok(followed) => Ok(RolledBack { from: current.release, followed }),
            Err(error) => {
                Err(RollbackError::Follow(FollowError::of(error, self.client, self.site, self.channel).await))
            }
        }
    }

    async fn go(&self, to: &MoveChannel, output: &Output) -> Result<Followed, ClientError> {
        let events = self.client.move_channel(self.site, self.channel, to).await?;
        follow(events, self.wait, output).await
    }
}
