//! Rollouts: releases on their way to a channel. Each is a row of the state while it lasts.

use std::collections::BTreeSet;

use verge_daemon::error_chain;
use verge_protocol::canary::{Canary, CanaryPlan};
use verge_protocol::host::HostLabel;
use verge_protocol::state::{ChannelState, Key, ParsedRow, RolloutState, Row};
use verge_protocol::{Digest, IdempotencyKey, Position, ReleaseNumber, Seq, SiteName, Timestamp};

use super::channels::{self, MoveTarget};
use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{column_values, inherited, releases, state};

/// A rollout to be begun by [`Database::begin_rollout`].
pub(crate) struct NewRollout {
    pub(crate) label: HostLabel,
    /// The channel's epoch as the caller knows it; `None`: the channel must not exist.
    pub(crate) expected: Option<Seq>,
    pub(crate) target: MoveTarget,
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    /// How a few edges serve the release first.
    pub(crate) canary: Option<CanaryPlan>,
    /// Who begins it, unless the release tells.
    pub(crate) author: Option<String>,
}

/// What came of an earlier request with the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EarlierRequest {
    /// It moved the channel by the write at this epoch.
    Moved { epoch: Seq, release: ReleaseNumber, manifest: Digest, warnings: Vec<String> },
    /// It moved the channel, which was deleted since.
    Deleted,
    /// It created this release, and did not move the channel.
    Released { release: ReleaseNumber, manifest: Digest, warnings: Vec<String> },
}

impl Database {
    /// Begins a rollout, and creates the release if it is new, in one transaction. A rollout of the channel that is still in the state
    /// is replaced: it ends as by [`Self::abandon_rollout`]. The inner `Err` holds the state of a channel that is not at the expected epoch; nothing was written then.
    pub(crate) async fn begin_rollout(
        &self,
        new: &NewRollout,
        now: Timestamp,
    ) -> Result<Result<(Position, RolloutState), Option<ChannelState>>, StoreError> {
        let HostLabel { site, channel } = &new.label;
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let current = channels::current(&mut transaction, site, channel).await?;
        if current.as_ref().map(|state| state.epoch) != new.expected {
            transaction.rollback().await?;
            return Ok(Err(current));
        }
        let row = Key::Rollout(site.clone(), channel.clone());
        let replaced = match state::get::<RolloutState>(&mut transaction, &row).await {
            Err(StoreError::Malformed { .. }) => None,
            read => read?,
        };
        if let (Some(current), Some(replaced)) = (current, replaced) {
            inherit_canary(&mut transaction, &new.label, current, &replaced, now).await?;
        }
        let key = new.idempotency_key.as_ref();
        let release = match &new.target {
            MoveTarget::New(release) => releases::insert(&mut transaction, site, release, key, now).await?,
            MoveTarget::Existing(number, _) => {
                // An error if it was deleted since the caller looked, whose lock ends with its task.
                let _found: (i64,) = sqlx::query_as("select number from release where site = $1 and number = $2")
                    .bind(site.as_str())
                    .bind(column_values::signed(number.0))
                    .fetch_one(&mut *transaction)
                    .await?;
                *number
            }
        };
        let position = database::advance(&mut transaction).await?;
        let rollout = RolloutState {
            release,
            manifest: new.target.manifest(),
            expected: new.expected,
            idempotency_key: new.idempotency_key.clone(),
            started: now,
            canary: new.canary.map(|plan| Canary { plan, edges: BTreeSet::new() }),
            author: new.author.clone(),
        };
        state::put(&mut transaction, &row, position.seq, &rollout).await?;
        transaction.commit().await?;
        Ok(Ok((position, rollout)))
    }

    /// The rollout that was begun with these arguments, if it is the one in the state: of a commit that failed it is not known whether
    /// it survived.
    pub(crate) async fn begun_rollout(
        &self,
        new: &NewRollout,
        now: Timestamp,
    ) -> Result<Option<(Position, RolloutState)>, StoreError> {
        let generation = self.position().await?.generation;
        let is_same = |state: &RolloutState| {
            (state.started, state.manifest, state.expected) == (now, new.target.manifest(), new.expected)
                && state.idempotency_key == new.idempotency_key
        };
        let rollouts = self.rollouts().await?.into_iter();
        let mut same = rollouts.filter(|(label, _, state)| *label == new.label && is_same(state));
        Ok(same.next().map(|(_, seq, state)| (Position { generation, seq }, state)))
    }

    /// Writes the row of a rollout again.
    pub(crate) async fn set_rollout(&self, label: &HostLabel, rollout: &RolloutState) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let key = Key::Rollout(label.site.clone(), label.channel.clone());
        state::set(&mut transaction, &key, Some(rollout)).await?;
        transaction.commit().await
    }

    /// Deletes a rollout at `now` without moving the channel. Does nothing if the channel has no rollout, or another one. If some readers
    /// got the release already, from the edges of a canary, the channel inherits it, for the tabs that they have open.
    pub(crate) async fn abandon_rollout(
        &self,
        label: &HostLabel,
        rollout: &RolloutState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let key = Key::Rollout(label.site.clone(), label.channel.clone());
        let is_same = match state::get::<RolloutState>(&mut transaction, &key).await {
            // What else it says may have been written meanwhile, or not.
            Ok(current) => {
                current.is_some_and(|current| (current.release, current.started) == (rollout.release, rollout.started))
            }
            // A damaged row can be of no other.
            Err(StoreError::Malformed { .. }) => true,
            Err(error) => return Err(error),
        };
        if is_same {
            if let Some(channel) = channels::current(&mut transaction, &label.site, &label.channel).await? {
                inherit_canary(&mut transaction, label, channel, rollout, now).await?;
            }
            state::set(&mut transaction, &key, None::<&RolloutState>).await?;
        }
        transaction.commit().await
    }

    /// Every rollout in the state, and the write of its row.
    pub(crate) async fn rollouts(&self) -> Result<Vec<(HostLabel, Seq, RolloutState)>, StoreError> {
        let rows = state::rows_of(&mut *self.read_connection().await?, "rollout").await?;
        let parse = |row: Row| match row.parse() {
            Ok(ParsedRow::Rollout(label, Some(rollout))) => Some((label, row.seq, rollout)),
            Ok(_) => None,
            Err(error) => {
                tracing::error!(key = row.key, error = error_chain(&error), "unreadable rollout");
                None
            }
        };
        Ok(rows.into_iter().filter_map(parse).collect())
    }

    /// What the publisher of a release should know about its files.
    pub(crate) async fn release_warnings(
        &self,
        site: &SiteName,
        number: ReleaseNumber,
    ) -> Result<Vec<String>, StoreError> {
        let row: Option<(Option<String>,)> =
            sqlx::query_as("select warnings from release where site = $1 and number = $2")
                .bind(site.as_str())
                .bind(column_values::signed(number.0))
                .fetch_optional(self.read())
                .await?;
        parse_warnings(row.and_then(|(warnings,)| warnings))
    }

    /// What came of the request with this key that was to move the channel; `None` if nothing is known of it.
    pub(crate) async fn earlier_request(
        &self,
        label: &HostLabel,
        key: &IdempotencyKey,
    ) -> Result<Option<EarlierRequest>, StoreError> {
        let moved: Option<(i64, i64, String, Option<String>)> = sqlx::query_as(
            "select m.epoch, m.release, m.manifest, r.warnings from channel_move m \
             left join release r on r.site = m.site and r.number = m.release and r.idempotency_key = m.idempotency_key \
             where m.site = $1 and m.channel = $2 and m.idempotency_key = $3 order by m.epoch desc limit 1",
        )
        .bind(label.site.as_str())
        .bind(label.channel.as_str())
        .bind(key.as_str())
        .fetch_optional(self.read())
        .await?;
        if let Some((epoch, release, manifest, warnings)) = moved {
            let (deleted,): (i64,) =
                sqlx::query_as("select count(*) from channel_deletion where site = $1 and channel = $2 and seq > $3")
                    .bind(label.site.as_str())
                    .bind(label.channel.as_str())
                    .bind(epoch)
                    .fetch_one(self.read())
                    .await?;
            if deleted > 0 {
                return Ok(Some(EarlierRequest::Deleted));
            }
            return Ok(Some(EarlierRequest::Moved {
                epoch: Seq(column_values::unsigned("epoch", epoch)?),
                release: ReleaseNumber(column_values::unsigned("release number", release)?),
                manifest: column_values::parse("digest", &manifest)?,
                warnings: parse_warnings(warnings)?,
            }));
        }
        let released: Option<(i64, String, Option<String>)> = sqlx::query_as(
            "select number, manifest, warnings from release where site = $1 and idempotency_key = $2 \
             order by number desc limit 1",
        )
        .bind(label.site.as_str())
        .bind(key.as_str())
        .fetch_optional(self.read())
        .await?;
        released
            .map(|(release, manifest, warnings)| {
                Ok(EarlierRequest::Released {
                    release: ReleaseNumber(column_values::unsigned("release number", release)?),
                    manifest: column_values::parse("digest", &manifest)?,
                    warnings: parse_warnings(warnings)?,
                })
            })
            .transpose()
    }
}

/// Lets a channel inherit the release of a rollout that ends without a move, if some readers got it from the edges of a canary. To be
/// written before the row of the rollout: no edge drops the release in between.
async fn inherit_canary(
    transaction: &mut WriteTransaction,
    label: &HostLabel,
    mut channel: ChannelState,
    rollout: &RolloutState,
    now: Timestamp,
) -> Result<(), StoreError> {
    let had_canary = rollout.canary.as_ref().is_some_and(|canary| !canary.edges.is_empty());
    if had_canary && channel.manifest != rollout.manifest {
        channel.inherits = inherited::after_canary(rollout.manifest, channel.inherits, channel.manifest, now);
        let key = Key::Channel(label.site.clone(), label.channel.clone());
        state::set(transaction, &key, Some(&channel)).await?;
    }
    Ok(())
}

fn parse_warnings(column: Option<String>) -> Result<Vec<String>, StoreError> {
    column.map_or_else(|| Ok(Vec::new()), |text| column_values::parse_json("warnings", &text))
}

#[cfg(test)]
mod tests {
    use verge_protocol::state::Inherited;

    use super::super::test_support::new_rollout as new;
    use super::*;
    use crate::store::NewMove;

    #[tokio::test]
    async fn canary_release_is_inherited_when_its_rollout_is_abandoned_and_when_another_replaces_it() {
        let plan = CanaryPlan { edges: "1".parse().unwrap(), seconds: 60 };
        for is_abandoned in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let now = Timestamp(1000);
            let database = Database::open(&directory.path().join("origin.db"), now).await.unwrap();
            let label: HostLabel = "demo".parse().unwrap();
            database.create_site(&label.site, now).await.unwrap();
            let (_, first) = database.begin_rollout(&new(&label, "0a1a", "one"), now).await.unwrap().unwrap();
            let first = NewMove { label: label.clone(), rollout: first };
            let (moved, _) = database.move_channel(&first, now, |_, _| Vec::new()).await.unwrap().unwrap();

            let expected = Some(moved.seq);
            let tried = NewRollout { expected, canary: Some(plan), ..new(&label, "0a1b", "two") };
            let (_, mut canary) = database.begin_rollout(&tried, now).await.unwrap().unwrap();
            canary.canary.as_mut().unwrap().edges.insert("fra-1".parse().unwrap());
            database.set_rollout(&label, &canary).await.unwrap();
            if is_abandoned {
                database.abandon_rollout(&label, &canary, now).await.unwrap();
            }
            let next = NewRollout { expected, ..new(&label, "0a1c", "three") };
            let (begun, _) = database.begin_rollout(&next, now).await.unwrap().unwrap();

            let channel = database.channel(&label.site, &label.channel).await.unwrap().unwrap();
            let until = now.after(inherited::KEPT_FOR);
            assert_eq!(channel.inherits, [Inherited::new(canary.manifest, until)], "abandoned: {is_abandoned}");
            let rows = database.rows(moved.seq).await.unwrap().rows;
            let channel_row = rows.iter().find(|(row, _)| row.key == "channel/demo/live").unwrap();
            assert!(channel_row.0.seq < begun.seq, "no edge drops the release in between");
            database.close().await;
        }
    }

    #[tokio::test]
    async fn rollout_in_the_state_is_recognized_by_how_it_was_begun() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp(1000);
        let database = Database::open(&directory.path().join("origin.db"), now).await.unwrap();
        let (live, preview): (HostLabel, HostLabel) = ("demo".parse().unwrap(), "pr-1--demo".parse().unwrap());
        database.create_site(&live.site, now).await.unwrap();
        let begun = async |new: &NewRollout, now| database.begun_rollout(new, now).await.unwrap();
        let ours = new(&live, "0a1b", "manifest");
        assert_eq!(begun(&ours, now).await, None, "nothing was written");
        database.begin_rollout(&new(&preview, "0a1b", "manifest"), now).await.unwrap().unwrap();
        let written = database.begin_rollout(&ours, now).await.unwrap().unwrap();
        assert_eq!(begun(&ours, now).await, Some(written));
        for (other, at) in [
            (new(&live, "0a1c", "manifest"), now),
            (new(&live, "0a1b", "other"), now),
            (new(&live, "0a1b", "manifest"), Timestamp(1001)),
            (NewRollout { expected: Some(Seq(1)), ..new(&live, "0a1b", "manifest") }, now),
        ] {
            assert_eq!(begun(&other, at).await, None);
        }
        database.close().await;
    }
}
