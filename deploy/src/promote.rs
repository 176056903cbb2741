//! A promotion: a channel, usually `live`, is moved to a release that another one points at. Nothing is uploaded.

use verge_protocol::api::{MoveChannel, Release, Site};
use verge_protocol::{ChannelName, ReleaseNumber, SiteName};

use crate::cli::PromoteSource;
use crate::client::{Client, ClientError};
use crate::output::Output;
use crate::rollout::{self, Rollout, RolloutError};

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
    /// Whether to wait until every edge serves the release.
    pub wait: bool,
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
    Rollout(RolloutError),
}

impl Promotion<'_> {
    /// Promotes, and reports progress on `output`. If another push or rollback moves the channel meanwhile, it is a conflict.
    pub async fn run(&self, output: &Output) -> Result<Promoted, PromotionError> {
        let shown: Site = self.client.get(&format!("/v1/sites/{}", self.site)).await?;
        let release = self.release(&shown).await?;
        let current = shown.channels.iter().find(|channel| channel.name == *self.to);
        let expected = current.map(|channel| channel.epoch);
        let body = MoveChannel { release, expected, idempotency_key: None };
        match self.move_channel(&body, output).await {
            Ok(rollout) => Ok(Promoted { from: current.map(|channel| channel.release), rollout }),
            Err(error) => Err(PromotionError::Rollout(RolloutError::new(error, self.client, self.site, self.to).await)),
        }
    }

    async fn release(&self, shown: &Site) -> Result<ReleaseNumber, PromotionError> {
        let site = self.site.clone();
        match self.source {
            PromoteSource::Channel(source) => {
                let channel = shown.channels.iter().find(|channel| channel.name == source.name);
                channel
                    .map(|channel| channel.release)
                    .ok_or_else(|| PromotionError::NoChannel { site, channel: source.name.clone() })
            }
            PromoteSource::Release(release) => {
                let releases: Vec<Release> = self.client.get(&format!("/v1/sites/{site}/releases")).await?;
                let is_known = releases.iter().any(|known| known.number == *release);
                is_known.then_some(*release).ok_or(PromotionError::NoRelease { site, release: *release })
            }
        }
    }

    async fn move_channel(&self, body: &MoveChannel, output: &Output) -> Result<Rollout, ClientError> {
        let events = self.client.move_channel(self.site, self.to, body).await?;
        rollout::track(events, self.wait, output).await
    }
}
