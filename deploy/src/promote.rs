//! A promotion: a channel, usually `live`, is moved to a release that another one points at. Nothing is uploaded.

use verge_protocol::api::{Release, Site};
use verge_protocol::{ChannelName, ReleaseNumber, SiteName};

use crate::cli::PromoteSource;
use crate::client::{Client, ClientError};
use crate::output::Output;
use crate::rollout::{Attempt, Rollout, RolloutError, Wait};
use crate::upload::RetryPolicy;

/// What is promoted, and where to.
pub struct Promotion<'a> {
    /// The origin.
    pub client: &'a Client,
    /// The site.
    pub site: &'a SiteName,
    /// The release.
    pub source: &'a PromoteSource,
    /// The channel that is moved to it; created if it does not exist.
    pub to: &'a ChannelName,
    /// Who promotes.
    pub author: Option<String>,
    /// What is waited for after the move.
    pub wait: Wait,
    /// How requests are retried.
    pub retry: RetryPolicy,
}

/// The result of a promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promoted {
    /// The release that the channel pointed at before; `None`: it did not exist.
    pub from: Option<ReleaseNumber>,
    /// The release, and the edges that serve it.
    pub rollout: Rollout,
}

/// Why a promotion failed.
#[derive(Debug, thiserror::Error)]
pub enum PromotionError {
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
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The channel did not move.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
}

impl Promotion<'_> {
    /// Promotes, and reports progress on `output`. If another push or rollback moves the channel meanwhile, it is a conflict.
    pub async fn run(&self, output: &Output) -> Result<Promoted, PromotionError> {
        let attempt = Attempt::new(self.client, self.site, self.to, self.wait, self.retry, output);
        let path = format!("/v1/sites/{}", self.site);
        let shown: Site = self.retry.run_first(output, async || self.client.get(&path).await).await?;
        let release = self.release(&shown, &attempt).await?;
        let current = shown.channels.iter().find(|channel| channel.name == *self.to);
        let rollout = attempt.move_channel(release, current.map(|channel| channel.epoch), self.author.clone()).await?;
        Ok(Promoted { from: current.map(|channel| channel.release), rollout })
    }

    async fn release(&self, shown: &Site, attempt: &Attempt<'_>) -> Result<ReleaseNumber, PromotionError> {
        let site = self.site.clone();
        match self.source {
            PromoteSource::Channel(source) => {
                let channel = shown.channels.iter().find(|channel| channel.name == source.name);
                channel
                    .map(|channel| channel.release)
                    .ok_or_else(|| PromotionError::NoChannel { site, channel: source.name.clone() })
            }
            PromoteSource::Release(release) => {
                let releases: Vec<Release> = attempt.get(&format!("/v1/sites/{site}/releases")).await?;
                let is_known = releases.iter().any(|known| known.number == *release);
                is_known.then_some(*release).ok_or(PromotionError::NoRelease { site, release: *release })
            }
        }
    }
}
