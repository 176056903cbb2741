//! A rollback: a channel points at an existing release. Nothing is uploaded.

use verge_protocol::api::{MoveChannel, Release, Site};
use verge_protocol::{ChannelName, ReleaseNumber, SiteName};

use crate::client::{Client, ClientError};
use crate::output::Output;
use crate::rollout::{self, Rollout, RolloutError};

/// What is rolled back, and to which release.
pub struct Rollback<'a> {
    /// The origin.
    pub client: &'a Client,
    /// The site.
    pub site: &'a SiteName,
    /// The channel.
    pub channel: &'a ChannelName,
    /// The release; `None`: the previous release of the channel.
    pub to: Option<ReleaseNumber>,
    /// Whether to wait until every edge serves the release.
    pub wait: bool,
}

/// The result of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// The release that the channel pointed at before.
    pub from: ReleaseNumber,
    /// The release, and the edges that serve it.
    pub rollout: Rollout,
}

/// Why a rollback failed.
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
    /// The channel has no previous release.
    #[error("{channel} of {site} has no release before {release}")]
    NoPrevious {
        /// The site.
        site: SiteName,
        /// The channel.
        channel: ChannelName,
        /// The release that the channel points at.
        release: ReleaseNumber,
    },
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The channel did not move.
    #[error(transparent)]
    Rollout(RolloutError),
}

impl Rollback<'_> {
    /// Rolls back, and reports progress on `output`.
    pub async fn run(&self, output: &Output) -> Result<RolledBack, RollbackError> {
        let site = self.site.clone();
        let shown: Site = self.client.get(&format!("/v1/sites/{site}")).await?;
        let releases: Vec<Release> = self.client.get(&format!("/v1/sites/{site}/releases")).await?;
        let numbers: Vec<ReleaseNumber> = releases.iter().map(|release| release.number).collect();
        let Some(current) = shown.channels.iter().find(|channel| channel.name == *self.channel) else {
            return Err(RollbackError::NoChannel { site, channel: self.channel.clone() });
        };
        let release = match self.to {
            Some(release) if numbers.contains(&release) => release,
            Some(release) => return Err(RollbackError::NoRelease { site, release }),
            None => current.previous.ok_or(RollbackError::NoPrevious {
                site,
                channel: self.channel.clone(),
                release: current.release,
            })?,
        };
        let body = MoveChannel { release, expected: Some(current.epoch), idempotency_key: None };
        match self.move_channel(&body, output).await {
            Ok(rollout) => Ok(RolledBack { from: current.release, rollout }),
            Err(error) => {
                Err(RollbackError::Rollout(RolloutError::new(error, self.client, self.site, self.channel).await))
            }
        }
    }

    async fn move_channel(&self, body: &MoveChannel, output: &Output) -> Result<Rollout, ClientError> {
        let events = self.client.move_channel(self.site, self.channel, body).await?;
        rollout::track(events, self.wait, output).await
    }
}
