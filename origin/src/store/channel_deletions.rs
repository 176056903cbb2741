//! Deletions of channels.

use verge_protocol::host::HostLabel;
use verge_protocol::state::{ChannelState, Key, RolloutState};
use verge_protocol::{Position, Seq, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::{channel_lifetimes, channels, column_values, state};

/// Why a channel is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeletionCause {
    /// Its time has ended.
    Expired,
    /// A request, with its author if it names one.
    Request(Option<String>),
}

/// The outcome of [`Database::delete_channel`].
pub(crate) enum Deletion {
    /// The channel is deleted.
    Done(Position),
    /// Nothing was written: the channel is not at the expected epoch, but here.
    Moved(Option<ChannelState>),
}

impl Database {
    /// Deletes a channel that is at the epoch `expected`, in one transaction: its row becomes a tombstone. Its moves stay, as history. The
    /// channel must be locked: a rollout in the state is one that was abandoned, and is deleted too.
    pub(crate) async fn delete_channel(
        &self,
        label: &HostLabel,
        expected: Seq,
        cause: &DeletionCause,
        now: Timestamp,
    ) -> Result<Deletion, StoreError> {
        let HostLabel { site, channel } = label;
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let current = channels::current(&mut transaction, site, channel).await?;
        if current.as_ref().map(|state| state.epoch) != Some(expected) {
            transaction.rollback().await?;
            return Ok(Deletion::Moved(current));
        }
        // Before the row of the channel: edges need not prepare what is not coming.
        state::set(&mut transaction, &Key::Rollout(site.clone(), channel.clone()), None::<&RolloutState>).await?;
        let author = match cause {
            DeletionCause::Expired => None,
            DeletionCause::Request(author) => author.as_deref(),
        };
        let position = database::advance(&mut transaction).await?;
        state::delete(&mut transaction, &Key::Channel(site.clone(), channel.clone()), position.seq).await?;
        channel_lifetimes::forget(&mut transaction, site, channel).await?;
        sqlx::query("insert into channel_deletion (site, channel, seq, deleted, author, expired) values ($1, $2, $3, $4, $5, $6)")
            .bind(site.as_str())
            .bind(channel.as_str())
            .bind(column_values::signed(position.seq.0))
            .bind(column_values::signed(now.0))
            .bind(author)
            .bind(i64::from(*cause == DeletionCause::Expired))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Deletion::Done(position))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::new_rollout;
    use super::*;
    use crate::store::{MoveTarget, NewMove, NewRollout};

    #[tokio::test]
    async fn abandoned_rollout_is_deleted_with_its_channel() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp(1000);
        let database = Database::open(&directory.path().join("origin.db"), now).await.unwrap();
        let label: HostLabel = "pr-1--demo".parse().unwrap();
        database.create_site(&label.site, now).await.unwrap();
        let new = new_rollout(&label, "0a1a", "one");
        let (_, rollout) = database.begin_rollout(&new, now).await.unwrap().unwrap();
        let target = MoveTarget::Existing(rollout.release, rollout.manifest);
        let new = NewMove { label: label.clone(), rollout };
        let epoch = database.move_channel(&new, now, |_, _| Vec::new()).await.unwrap().unwrap().1.epoch;
        let again = NewRollout { expected: Some(epoch), target, ..new_rollout(&label, "0a1b", "") };
        database.begin_rollout(&again, now).await.unwrap().unwrap();
        assert_eq!(database.rollouts().await.unwrap().len(), 1);

        let deletion = database.delete_channel(&label, epoch, &DeletionCause::Expired, now).await.unwrap();
        assert!(matches!(deletion, Deletion::Done(_)));
        assert_eq!(database.rollouts().await.unwrap(), []);
        assert_eq!(database.channel(&label.site, &label.channel).await.unwrap(), None);
        database.close().await;
    }
}
