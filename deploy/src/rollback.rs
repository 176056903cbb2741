//! A rollback: a channel points at an existing release. Nothing is uploaded.

use verge_protocol::api::{Release, Site};
use verge_protocol::{ChannelName, ReleaseNumber, SiteName};

use crate::client::{Client, ClientError};
use crate::output::Output;
use crate::rollout::{Attempt, Rollout, RolloutError, Wait};
use crate::upload::RetryPolicy;

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
    /// Who rolls back.
    pub author: Option<String>,
    /// What is waited for after the move.
    pub wait: Wait,
    /// How requests are retried.
    pub retry: RetryPolicy,
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
    /// The channel has no previous release, or the origin no longer knows it.
    #[error("no release of {site} is known that {channel} pointed at before {release}")]
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
    Rollout(#[from] RolloutError),
}

impl Rollback<'_> {
    /// Rolls back, and reports progress on `output`.
    pub async fn run(&self, output: &Output) -> Result<RolledBack, RollbackError> {
        let site = self.site.clone();
        let attempt = Attempt::new(self.client, self.site, self.channel, self.wait, self.retry, output);
        let path = format!("/v1/sites/{site}");
        let shown: Site = self.retry.run_first(output, async || self.client.get(&path).await).await?;
        let releases: Vec<Release> = attempt.get(&format!("/v1/sites/{site}/releases")).await?;
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
        let rollout = attempt.move_channel(release, Some(current.epoch), self.author.clone()).await?;
        Ok(RolledBack { from: current.release, rollout })
    }
}
