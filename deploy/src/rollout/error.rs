//! Why a channel did not move.

use verge_protocol::api::Release;
use verge_protocol::{ChannelName, SiteName};

use crate::client::{Client, ClientError};
use crate::output::human;

/// Why a channel did not move, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// Another push or rollback moved it first.
    #[error("another push came first: {0}")]
    Conflict(String),
    /// The request was sent, but the response of the origin was lost, and so were those to repeated requests.
    #[error("cannot tell whether {channel} was updated")]
    OutcomeUnknown {
        /// The channel.
        channel: ChannelName,
        /// What happened instead.
        source: ClientError,
    },
    /// The channel has not moved.
    #[error(transparent)]
    Client(ClientError),
}

impl RolloutError {
    /// Interprets the error of a request that moves a channel. `was_sent`: an earlier one may have been executed. Asks the origin
    /// what the channel points at after a conflict.
    pub(super) async fn new(
        error: ClientError,
        was_sent: bool,
        client: &Client,
        site: &SiteName,
        channel: &ChannelName,
    ) -> Self {
        match error {
            ClientError::Refused { body, .. } if body.code == "conflict" => {
                let releases = client.get::<Vec<Release>>(&format!("/v1/sites/{site}/releases")).await;
                let current = releases.ok().and_then(|releases| current_release(&releases, channel));
                Self::Conflict(current.unwrap_or(body.message))
            }
            // The origin says what became of it, or that blobs are missing, which it asks only of a channel that has not moved.
            ClientError::Refused { status: None, .. } => Self::Client(error),
            _ if matches!(error.code(), Some("channel_deleted" | "missing_blobs")) => Self::Client(error),
            _ if was_sent => Self::OutcomeUnknown { channel: channel.clone(), source: error },
            _ => Self::Client(error),
        }
    }
}

fn current_release(releases: &[Release], channel: &ChannelName) -> Option<String> {
    let release = releases.iter().find(|release| release.channels.contains(channel))?;
    let provenance = [&release.provenance.author, &release.provenance.message];
    let provenance: Vec<String> = provenance.into_iter().flatten().map(|text| human::line(text, 60)).collect();
    let suffix = if provenance.is_empty() { String::new() } else { format!(" ({})", provenance.join(": ")) };
    Some(format!("{channel} now points at {}{suffix}", release.number))
}

#[cfg(test)]
mod tests {
    use verge_protocol::api::Provenance;
    use verge_protocol::{Digest, ReleaseNumber, Timestamp};

    use super::*;

    #[test]
    fn conflict_names_the_current_release() {
        let release = |number, author: Option<&str>, channels: &[&str]| Release {
            number: ReleaseNumber(number),
            manifest: Digest::of(b"m"),
            files: 1,
            bytes: 1,
            created: Timestamp(0),
            provenance: Provenance { author: author.map(str::to_owned), ..Provenance::default() },
            channels: channels.iter().map(|channel| channel.parse().unwrap()).collect(),
            url: None,
        };
        let releases = [release(8, None, &["pr-1"]), release(7, Some("Ann"), &["live"])];
        assert_eq!(current_release(&releases, &ChannelName::live()).unwrap(), "live now points at v7 (Ann)");
        assert_eq!(current_release(&releases, &"pr-1".parse().unwrap()).unwrap(), "pr-1 now points at v8");
        assert_eq!(current_release(&releases, &"pr-2".parse().unwrap()), None);
    }
}
