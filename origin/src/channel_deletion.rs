//! Deleting channels: by request, and when their time has ended.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use verge_daemon::{Clock, error_chain};
use verge_protocol::host::HostLabel;
use verge_protocol::state::ChannelState;
use verge_protocol::{ReleaseNumber, Seq};

use crate::channel_locks::ChannelLocks;
use crate::expiry_clock::ExpiryClock;
use crate::feed::Feed;
use crate::store::{Database, Deletion, DeletionCause, StoreError};

/// Deletes channels. Clones share everything.
#[derive(Clone)]
pub(crate) struct ChannelDeletion {
    pub(crate) database: Database,
    pub(crate) feed: Feed,
    pub(crate) channel_locks: ChannelLocks,
    pub(crate) clock: Clock,
    pub(crate) expiry_clock: ExpiryClock,
}

/// Why a channel was not deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeletionError {
    #[error("channel `live` cannot be deleted")]
    Live,
    #[error("site `{}` has no channel {}", .0.site, .0.channel)]
    Unknown(HostLabel),
    #[error("another push or rollback came first: {label} is at {release}")]
    Conflict { label: HostLabel, release: ReleaseNumber },
    #[error("another push or rollback of {0} is in progress")]
    Busy(HostLabel),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ChannelDeletion {
    /// Deletes a channel that is at the epoch `expected`. Edges answer its host with 404 once they have applied it. A later push creates
    /// the channel anew, and inherits nothing from the releases before.
    pub(crate) async fn delete(
        &self,
        label: HostLabel,
        expected: Seq,
        cause: DeletionCause,
    ) -> Result<(), DeletionError> {
        if label.channel.is_live() {
            return Err(DeletionError::Live);
        }
        let guard = self.channel_locks.try_lock(&label, None).map_err(|_| DeletionError::Busy(label.clone()))?;
        let (database, now) = (self.database.clone(), self.clock.now());
        let deletion =
            self.feed.write(async move { database.delete_channel(guard.label(), expected, &cause, now).await }).await?;
        match deletion {
            Deletion::Done(position) => {
                tracing::info!(channel = %label, %position, "channel deleted");
                Ok(())
            }
            Deletion::Moved(Some(ChannelState { release, .. })) => Err(DeletionError::Conflict { label, release }),
            Deletion::Moved(None) => Err(DeletionError::Unknown(label)),
        }
    }

    /// Deletes channels whose time has ended, checking each `interval`, until `draining`.
    ///
    /// The time is that of the [`ExpiryClock`] at the check, compared with the origin's time at the channel's last move: a clock that is
    /// set back delays deletions, and none is made while the clock shows an earlier time than the channel's end.
    pub(crate) async fn delete_ended_periodically(self, interval: Duration, draining: CancellationToken) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let rounds = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.delete_ended().await {
                    tracing::error!(error = error_chain(&error), "failed to delete channels whose time has ended");
                }
            }
        };
        draining.run_until_cancelled(rounds).await;
    }

    async fn delete_ended(&self) -> Result<(), StoreError> {
        let Some(now) = self.expiry_clock.now() else { return Ok(()) };
        for (label, end) in self.database.ended_channels(now).await? {
            match self.delete(label.clone(), end.epoch, DeletionCause::Expired).await {
                // Pushed or deleted meanwhile, or about to be: the next check sees what has become of it.
                Ok(()) | Err(DeletionError::Conflict { .. } | DeletionError::Unknown(_) | DeletionError::Busy(_)) => {}
                Err(DeletionError::Store(error)) => return Err(error),
                Err(error @ DeletionError::Live) => {
                    tracing::error!(channel = %label, error = error_chain(&error), "a channel that cannot end has an end");
                }
            }
        }
        Ok(())
    }
}
