//! A request that moves a channel, repeated until its outcome is known.
//!
//! Repeating is safe with any origin. A current one recognizes the idempotency key, and answers with the progress or the outcome of
//! the first request. An older one ignores the key; but each request names the epoch from which the channel is to move, and once one
//! was executed the epoch has moved on, so that the others are refused as conflicts. After such a conflict the caller looks whether the
//! channel points at what was asked for.

use futures_util::Stream;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use verge_protocol::api::{MoveChannel, Progress, Release, Site};
use verge_protocol::{ChannelName, IdempotencyKey, ReleaseNumber, Seq, SiteName};

use super::error::RolloutError;
use super::outcome::{Released, Rollout};
use super::tracker::{SUPERSEDED, Tracker};
use super::wait::Wait;
use crate::client::{Client, ClientError};
use crate::output::{Output, human};
use crate::upload::RetryPolicy;

/// An attempt to move a channel, over as many requests as it takes.
pub struct Attempt<'a> {
    client: &'a Client,
    site: &'a SiteName,
    channel: &'a ChannelName,
    wait: Wait,
    retry: RetryPolicy,
    output: &'a Output,
    key: IdempotencyKey,
    /// Whether a request was sent whose outcome is unknown.
    was_sent: bool,
}

impl<'a> Attempt<'a> {
    /// An attempt with a new key. Requests are repeated as `retry` says, with two attempts more: it is worth waiting for the outcome.
    pub fn new(
        client: &'a Client,
        site: &'a SiteName,
        channel: &'a ChannelName,
        wait: Wait,
        retry: RetryPolicy,
        output: &'a Output,
    ) -> Self {
        let key = format!("{:032x}", rand::random::<u128>()).parse().expect("hex digits are a valid key");
        let retry = RetryPolicy { max_attempts: retry.max_attempts.saturating_add(2), ..retry };
        Self { client, site, channel, wait, retry, output, key, was_sent: false }
    }

    /// The key to send with the request.
    pub fn key(&self) -> IdempotencyKey {
        self.key.clone()
    }

    /// Sends the request, again if its response is lost, and follows the rollout.
    pub async fn run<E>(&mut self, request: impl AsyncFnMut() -> Result<E, ClientError>) -> Result<Rollout, ClientError>
    where
        E: Stream<Item = Result<Progress, ClientError>> + Unpin,
    {
        let tracker = Tracker::new(self.wait, self.output);
        self.follow(tracker, request).await
    }

    /// Moves the channel from the epoch `expected` (`None`: it does not exist) to an existing release, and follows the rollout.
    pub async fn move_channel(
        mut self,
        release: ReleaseNumber,
        expected: Option<Seq>,
        author: Option<String>,
    ) -> Result<Rollout, RolloutError> {
        let (client, site, channel) = (self.client, self.site, self.channel);
        let body = MoveChannel { release, expected, idempotency_key: Some(self.key()), author };
        let outcome = self.run(async || client.move_channel(site, channel, &body).await).await;
        let error = match outcome {
            Ok(rollout) => return Ok(rollout),
            Err(error) => error,
        };
        if self.may_have_succeeded(&error)
            && let Some((_, released)) = self.find_current(release).await.map_err(|error| self.lost(error))?
        {
            return self.follow_lost(released).await;
        }
        Err(self.failed(error).await)
    }

    /// Whether `error` may be due to the success of an earlier request of this attempt, to an origin that does not know its key.
    pub fn may_have_succeeded(&self, error: &ClientError) -> bool {
        self.was_sent && error.code() == Some("conflict")
    }

    /// The error of a request of this attempt, in terms of the channel.
    pub async fn failed(&self, error: ClientError) -> RolloutError {
        RolloutError::new(error, self.was_sent, self.client, self.site, self.channel).await
    }

    /// The error of a request that was to tell, or to change, what became of the others.
    pub fn lost(&self, error: ClientError) -> RolloutError {
        if self.was_sent {
            RolloutError::OutcomeUnknown { channel: self.channel.clone(), source: error }
        } else {
            RolloutError::Client(error)
        }
    }

    /// The release `number`, if the channel points at it.
    pub async fn find_current(&self, number: ReleaseNumber) -> Result<Option<(Release, Released)>, ClientError> {
        let site: Site = self.get(&format!("/v1/sites/{}", self.site)).await?;
        let mut channels = site.channels.into_iter();
        let Some(channel) = channels.find(|channel| channel.name == *self.channel && channel.release == number) else {
            return Ok(None);
        };
        let releases: Vec<Release> = self.get(&format!("/v1/sites/{}/releases", self.site)).await?;
        let Some(release) = releases.into_iter().find(|release| release.number == number) else { return Ok(None) };
        let (manifest, warnings) = (release.manifest, Vec::new());
        Ok(Some((release, Released { release: number, manifest, epoch: channel.epoch, url: channel.url, warnings })))
    }

    /// Reads what the origin has at a path of its API, again if it cannot be reached.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.retry.run(self.output, ClientError::is_transient, async || self.client.get(path).await).await
    }

    /// Waits until the edges serve a release that the channel points at already. An older origin cannot tell: then nothing is known of
    /// the edges.
    pub async fn follow_current(mut self, released: Released) -> Result<Rollout, RolloutError> {
        if self.wait == Wait::No {
            return Ok(Rollout::new(released, self.wait, None));
        }
        let (client, site, channel) = (self.client, self.site, self.channel);
        let tracker = Tracker::new(self.wait, self.output).only(released.release);
        let outcome = self.follow(tracker, async || client.rollout(site, channel).await).await;
        match outcome {
            Ok(rollout) => Ok(rollout),
            Err(ClientError::Refused { body, .. }) if body.code == SUPERSEDED => {
                Err(RolloutError::Conflict(body.message))
            }
            Err(error) if matches!(error.code(), Some("unknown_channel" | "unknown_site")) => {
                Err(RolloutError::Client(error))
            }
            Err(ClientError::Refused {
                status: Some(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED), ..
            }) => Ok(Rollout::new(released, self.wait, None)),
            Err(error) => {
                let rollout = Rollout::new(released, self.wait, None);
                Ok(Rollout { interruption: Some(error.to_string()), ..rollout })
            }
        }
    }

    /// The same for a release of this attempt, whose progress was lost.
    pub async fn follow_lost(self, released: Released) -> Result<Rollout, RolloutError> {
        let mut rollout = self.follow_current(released).await?;
        if rollout.wait != Wait::No && !rollout.edges_are_known && rollout.interruption.is_none() {
            rollout.interruption = Some("the response of the origin was lost".to_owned());
        }
        Ok(rollout)
    }

    async fn follow<E>(
        &mut self,
        mut tracker: Tracker<'_>,
        mut request: impl AsyncFnMut() -> Result<E, ClientError>,
    ) -> Result<Rollout, ClientError>
    where
        E: Stream<Item = Result<Progress, ClientError>> + Unpin,
    {
        let mut failed = 0;
        loop {
            let outcome = match request().await {
                Ok(events) => tracker.follow(events).await,
                Err(error) => Err(error),
            };
            let error = match outcome {
                Ok(rollout) => return Ok(rollout),
                Err(error) => error,
            };
            if tracker.has_advanced() {
                failed = 0;
            }
            failed += 1;
            if !self.may_repeat(&error) || failed >= self.retry.max_attempts {
                return tracker.interrupted(reason(&error)).ok_or(error);
            }
            if failed == 1 {
                let reason = human::line(&error.to_string(), 300);
                self.output.info(format_args!("  {reason}; retrying"));
            }
            self.retry.pause(failed).await;
        }
    }

    /// Whether the same request may learn more than `error` tells.
    fn may_repeat(&mut self, error: &ClientError) -> bool {
        match error {
            // Nothing was executed.
            ClientError::Unreachable { .. }
            | ClientError::Refused { status: Some(StatusCode::SERVICE_UNAVAILABLE), .. } => true,
            // A proxy, or an unreadable event, does not tell what the origin did.
            ClientError::ConnectionLost { .. }
            | ClientError::Stalled { .. }
            | ClientError::Gateway { .. }
            | ClientError::UnexpectedResponse { .. } => {
                self.was_sent = true;
                true
            }
            // To an origin that does not know the key, the first request is another push.
            ClientError::Refused { status: Some(_), body } => self.was_sent && body.code == "channel_busy",
            ClientError::Untrusted { .. } | ClientError::Refused { status: None, .. } => false,
        }
    }
}

/// The message of an error, for a sentence on the edges.
fn reason(error: &ClientError) -> String {
    match error {
        ClientError::Refused { body, .. } => body.message.clone(),
        error => error.to_string(),
    }
}
