//! The history of the table `state`: telling whether a subscriber is in it, and what is done if not.

use std::time::Duration;

use sqlx::{AnyConnection, Row as _};
use verge_protocol::{Checkpoint, Generation, History, Position, Seq, Timestamp};

use super::column_values;
use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;

/// Where a subscriber is, relative to this history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// In it, and every write since can be sent.
    Resumable,
    /// In it, but some later write cannot be sent any more, or the generation has changed.
    Compacted,
    /// Not in it, and this origin has noticed that before.
    Diverged,
    /// Not in it. This origin was restored from an older copy since the subscriber read from it.
    Ahead,
}

impl Relation {
    /// Whether what the subscriber has read is part of this history.
    pub fn is_within(self) -> bool {
        matches!(self, Self::Resumable | Self::Compacted)
    }
}

/// A divergence that this origin noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DivergenceRow {
    /// The last write that it had, in the generation that it had then.
    pub(crate) had: Position,
    /// What the subscriber had read.
    pub(crate) seen: Checkpoint,
    /// The subscriber, for people to read.
    pub(crate) subscriber: String,
    /// When it was noticed.
    pub(crate) noticed: Timestamp,
}

/// What became of a divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Divergence {
    /// A new generation was taken.
    Noticed,
    /// It was noticed before, or the subscriber's position is one that no origin has ever had.
    Known,
    /// A generation was taken so recently that the next must wait: each costs all subscribers a snapshot, and a subscriber's position is
    /// only its word.
    Later,
}

/// The least time between two new generations.
const GENERATION_INTERVAL: Duration = Duration::from_secs(30);

/// How many divergences are kept.
const DIVERGENCES_KEPT: i64 = 100;

/// A generation beyond this many seconds after the present was not chosen by any origin.
const GENERATION_MAX_AHEAD: u64 = 10 * 365 * 86_400;

impl Database {
    /// Where a subscriber is that has read up to `since`.
    pub(crate) async fn relation(&self, since: Checkpoint) -> Result<Relation, StoreError> {
        let (generation, seq, floor): (i64, i64, i64) =
            sqlx::query_as("select generation, seq, floor from counter").fetch_one(self.read()).await?;
        let now = database::position(generation, seq)?;
        let floor = Seq(column_values::unsigned("tombstone floor", floor)?);
        let history = after(&mut *self.read_connection().await?, since.position.seq).await?;
        Ok(relation(since, Checkpoint { position: now, history: History::EMPTY }, history, floor))
    }

    /// Takes a new generation, higher than any that is known, because a subscriber is [ahead](Relation::Ahead) at `seen`; nothing if
    /// that is not so (any more): of two subscribers that come at once, the first causes it.
    pub(crate) async fn diverge(
        &self,
        seen: Checkpoint,
        subscriber: &str,
        now: Timestamp,
    ) -> Result<Divergence, StoreError> {
        let last = self.last_divergence().await?;
        if last.is_some_and(|last| is_too_soon(last.noticed, now)) {
            return Ok(Divergence::Later);
        }
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let is_nonsense = seen.position.generation.0 > now.0 / 1000 + GENERATION_MAX_AHEAD;
        if is_nonsense || self.relation(seen).await? != Relation::Ahead {
            transaction.rollback().await?;
            return Ok(Divergence::Known);
        }
        let had = self.position().await?;
        let generation = column_values::signed(next_generation(had.generation, seen.position.generation, now).0);
        sqlx::query("update counter set generation = $1 where id = 1")
            .bind(generation)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("insert into divergence (generation, had, seen, subscriber, noticed) values ($1, $2, $3, $4, $5)")
            .bind(generation)
            .bind(had.to_string())
            .bind(seen.to_string())
            .bind(subscriber)
            .bind(column_values::signed(now.0))
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "delete from divergence where generation not in \
             (select generation from divergence order by generation desc limit $1)",
        )
        .bind(DIVERGENCES_KEPT)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Divergence::Noticed)
    }

    /// The last divergence; `None` if its row is damaged.
    pub(crate) async fn last_divergence(&self) -> Result<Option<DivergenceRow>, StoreError> {
        let query = "select had, seen, subscriber, noticed from divergence order by generation desc limit 1";
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, sqlx::query(query)).await?;
        let parse = |(had, seen, subscriber, noticed): (String, String, String, i64)| {
            Ok(DivergenceRow {
                had: column_values::parse("position", &had)?,
                seen: column_values::parse("checkpoint", &seen)?,
                subscriber,
                noticed: Timestamp(column_values::unsigned("time", noticed)?),
            })
        };
        Ok(column_values::sound_rows("divergence", rows, parse).pop())
    }
}

/// Records the history after a write.
pub(super) async fn append(
    transaction: &mut WriteTransaction,
    seq: Seq,
    key: &str,
    value: Option<&str>,
) -> Result<(), StoreError> {
    let before = after(transaction, Seq(seq.0 - 1)).await?;
    // After a damaged row the history starts anew: what is written from now on must be able to rely on it.
    let digest = before.unwrap_or(History::EMPTY).then(seq, key, value);
    sqlx::query(
        "insert into history (seq, digest) values ($1, $2) on conflict (seq) do update set digest = excluded.digest",
    )
    .bind(column_values::signed(seq.0))
    .bind(digest.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// The history after the write `seq`; `None` if the table does not have it, or if it is damaged.
pub(super) async fn after(connection: &mut AnyConnection, seq: Seq) -> Result<Option<History>, StoreError> {
    let query = sqlx::query("select digest from history where seq = $1").bind(column_values::signed(seq.0));
    let row = column_values::fetch_all(connection, query).await?.pop();
    let digest: Option<String> = row.and_then(|row| row.ok()?.try_get(0).ok());
    Ok(history(seq, digest.as_deref()))
}

/// The history after the write `seq`, by what the table has of it; `None` if that is nothing, or damaged.
pub(super) fn history(seq: Seq, digest: Option<&str>) -> Option<History> {
    if seq == Seq(0) { Some(History::EMPTY) } else { digest?.parse().ok() }
}

/// Whether a new generation must wait because one was taken at `last`. A clock that was set back since does not make it wait longer.
pub(crate) fn is_too_soon(last: Timestamp, now: Timestamp) -> bool {
    last <= now && last.age(now) < GENERATION_INTERVAL
}

/// The generation to take after `had` because a subscriber was in `seen`: higher than both, and by the time, so that origins which
/// know nothing of one another choose different ones.
pub(crate) fn next_generation(had: Generation, seen: Generation, now: Timestamp) -> Generation {
    Generation((now.0 / 1000).max(seen.0 + 1).max(had.0 + 1))
}

/// `history` is this origin's history after the write `since.position.seq`, if it is known.
pub(crate) fn relation(since: Checkpoint, now: Checkpoint, history: Option<History>, floor: Seq) -> Relation {
    let (then, now) = (since.position, now.position);
    let is_beyond = then.seq > now.seq;
    if !is_beyond && history == Some(since.history) {
        return if then.generation == now.generation && then.seq >= floor {
            Relation::Resumable
        } else if then.generation > now.generation {
            // Nothing is lost but the generation: it must not be taken twice.
            Relation::Ahead
        } else {
            Relation::Compacted
        };
    }
    if then.generation < now.generation {
        return Relation::Diverged;
    }
    if then.generation == now.generation && !is_beyond && history.is_none() {
        return Relation::Compacted;
    }
    Relation::Ahead
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_generation_waits_for_half_a_minute_but_not_for_a_clock_that_was_set_back() {
        let at = |second: u64| Timestamp(second * 1000);
        for (last, now, expected) in [(100, 100, true), (100, 129, true), (100, 130, false), (100, 99, false)] {
            assert_eq!(is_too_soon(at(last), at(now)), expected, "{last} {now}");
        }
    }

    #[test]
    fn relation_depends_on_generation_number_and_history() {
        use Relation::{Ahead, Compacted, Diverged, Resumable};
        let here = History::EMPTY.then(Seq(1), "here", None);
        let there = History::EMPTY.then(Seq(1), "there", None);
        let at = |position: &str, history| Checkpoint { position: position.parse().unwrap(), history };
        let now = at("5-9", here);
        for (since, known, floor, expected) in [
            (at("5-7", here), Some(here), 0, Resumable),
            (at("5-9", here), Some(here), 9, Resumable),
            (at("5-0", History::EMPTY), Some(History::EMPTY), 0, Resumable),
            (at("5-7", here), Some(here), 8, Compacted),
            (at("5-7", here), None, 0, Compacted),
            (at("4-7", here), Some(here), 0, Compacted),
            (at("5-10", here), None, 0, Ahead),
            (at("5-7", there), Some(here), 0, Ahead),
            (at("6-7", there), Some(here), 0, Ahead),
            (at("6-7", here), Some(here), 0, Ahead),
            (at("6-10", there), None, 0, Ahead),
            (at("4-7", there), Some(here), 0, Diverged),
            (at("4-10", there), None, 0, Diverged),
            (at("4-7", there), None, 0, Diverged),
        ] {
            assert_eq!(relation(since, now, known, Seq(floor)), expected, "{since} {known:?} {floor}");
        }
    }
}
