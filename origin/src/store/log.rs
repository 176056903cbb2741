//! The log of a site: moves and deletions of its channels, its purges and erasures.

use std::collections::HashMap;

use verge_protocol::api::{LogEntry, LogEvent, MoveKind};
use verge_protocol::{ChannelName, ReleaseNumber, Seq, SiteName, Timestamp};

use super::column_values;
use super::database::Database;
use super::error::StoreError;
use super::standing::Standing;

/// How many moves before those that are listed are read, to tell which go back.
const MOVES_BEFORE: u32 = 1024;

/// A move of a channel.
#[derive(sqlx::FromRow)]
struct MoveColumns {
    channel: String,
    epoch: i64,
    release: i64,
    moved: i64,
    /// Who moved it to a release that existed.
    author: Option<String>,
    /// The release before.
    before: Option<i64>,
    /// How often the channel was moved to the release before, since it was created, or created anew after its last deletion.
    times_before: i64,
    /// The first move of any channel to the release.
    first: i64,
    release_author: Option<String>,
    message: Option<String>,
    git_commit: Option<String>,
}

/// Channel, sequence number and time of a deletion; who; whether its time had ended; the release before.
type DeletionColumns = (String, i64, i64, Option<String>, i64, Option<i64>);

impl Database {
    /// The last entries of a site's log, the newest first, at most `limit`.
    pub(crate) async fn log(&self, site: &SiteName, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        let mut entries = self.moves_of_site(site, limit).await?;
        entries.extend(self.deletions_of_site(site, limit).await?);
        entries.extend(self.purges_of_site(site, limit).await?);
        entries.extend(self.erasures_of_site(site, limit).await?);
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
        entries.truncate(limit as usize);
        Ok(entries)
    }

    async fn moves_of_site(&self, site: &SiteName, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        let query = sqlx::query(
            "select m.channel, m.epoch, m.release, m.moved, m.author, \
             (select b.release from channel_move b where b.site = m.site and b.channel = m.channel and b.epoch < m.epoch \
              and b.epoch > (select coalesce(max(d.seq), 0) from channel_deletion d \
               where d.site = m.site and d.channel = m.channel and d.seq < m.epoch) \
              order by b.epoch desc limit 1) as before, \
             (select count(*) from channel_move h where h.site = m.site and h.release = m.release and h.channel = m.channel \
              and h.epoch < m.epoch and h.epoch > (select coalesce(max(d.seq), 0) from channel_deletion d \
               where d.site = m.site and d.channel = m.channel and d.seq < m.epoch)) as times_before, \
             (select min(f.epoch) from channel_move f where f.site = m.site and f.release = m.release) as first, \
             r.author as release_author, r.message, r.git_commit \
             from channel_move m left join \
             (select site, number, author, message, git_commit from release where site = $1 union all \
              select site, number, author, message, git_commit from deleted_release where site = $1) r \
             on r.site = m.site and r.number = m.release \
             where m.site = $1 order by m.epoch desc limit $2",
        )
        .bind(site.as_str())
        .bind(i64::from(limit.saturating_add(MOVES_BEFORE)));
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let mut entries = column_values::sound_rows("channel_move", rows, moved);
        tell_rollbacks(&mut entries);
        entries.truncate(limit as usize);
        Ok(entries)
    }

    async fn deletions_of_site(&self, site: &SiteName, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        let query = sqlx::query(
            "select d.channel, d.seq, d.deleted, d.author, d.expired, \
             (select b.release from channel_move b where b.site = d.site and b.channel = d.channel and b.epoch < d.seq \
              order by b.epoch desc limit 1) \
             from channel_deletion d where d.site = $1 order by d.seq desc limit $2",
        )
        .bind(site.as_str())
        .bind(i64::from(limit));
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let parse = |(channel, seq, deleted, author, expired, from): DeletionColumns| {
            Ok(LogEntry {
                seq: Seq(column_values::unsigned("sequence number", seq)?),
                time: Timestamp(column_values::unsigned("time", deleted)?),
                author,
                message: None,
                event: LogEvent::Deleted {
                    channel: column_values::parse("channel name", &channel)?,
                    from: from.map(release_number).transpose()?,
                    expired: expired != 0,
                },
            })
        };
        Ok(column_values::sound_rows("channel_deletion", rows, parse))
    }

    async fn erasures_of_site(&self, site: &SiteName, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        let query = sqlx::query(
            "select s.seq, e.content, e.path, e.made, e.author, e.message from erasure e \
             join state s on s.key = 'erased/' || e.site || '/' || e.content where e.site = $1 order by s.seq desc limit $2",
        )
        .bind(site.as_str())
        .bind(i64::from(limit));
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("erasure", rows, erased))
    }

    async fn purges_of_site(&self, site: &SiteName, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        let query = sqlx::query(
            "select seq, scope, made, author, message from purge where site = $1 order by seq desc limit $2",
        )
        .bind(site.as_str())
        .bind(i64::from(limit));
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let parse = |(seq, scope, made, author, message): (i64, String, i64, Option<String>, Option<String>)| {
            Ok(LogEntry {
                seq: Seq(column_values::unsigned("sequence number", seq)?),
                time: Timestamp(column_values::unsigned("time", made)?),
                author,
                message,
                event: LogEvent::Purged { scope: column_values::parse("scope", &scope)? },
            })
        };
        Ok(column_values::sound_rows("purge", rows, parse))
    }
}

/// Sequence number, content, path and time of an erasure; author and message.
type ErasedColumns = (i64, String, String, i64, Option<String>, Option<String>);

fn erased((seq, content, path, made, author, message): ErasedColumns) -> Result<LogEntry, StoreError> {
    Ok(LogEntry {
        seq: Seq(column_values::unsigned("sequence number", seq)?),
        time: Timestamp(column_values::unsigned("time", made)?),
        author,
        message,
        event: LogEvent::Erased {
            path: column_values::parse("path", &path)?,
            digest: column_values::parse("digest", &content)?,
        },
    })
}

/// Tells moves back from promotions, whatever the numbers of the releases. `entries` are moves, the latest first.
fn tell_rollbacks(entries: &mut [LogEntry]) {
    // What stands, and whether all moves since the channel was created were read.
    let mut channels: HashMap<ChannelName, (Standing, bool)> = HashMap::new();
    for entry in entries.iter_mut().rev() {
        let LogEvent::Moved { channel, release, from, kind, .. } = &mut entry.event else { continue };
        if from.is_none() {
            channels.insert(channel.clone(), (Standing::default(), true));
        }
        let (standing, is_whole) = channels.entry(channel.clone()).or_default();
        let goes_back = standing.moves_to(*release);
        if *kind != MoveKind::Push {
            match (goes_back, *is_whole) {
                (true, _) => *kind = MoveKind::Rollback,
                (false, true) => *kind = MoveKind::Promotion,
                // If the channel had the release before the moves that were read, the numbers tell.
                (false, false) => {}
            }
        }
    }
}

fn moved(columns: MoveColumns) -> Result<LogEntry, StoreError> {
    let (release, from) = (release_number(columns.release)?, columns.before.map(release_number).transpose()?);
    let kind = match from {
        _ if columns.first == columns.epoch => MoveKind::Push,
        Some(from) if columns.times_before > 0 && release < from => MoveKind::Rollback,
        _ => MoveKind::Promotion,
    };
    Ok(LogEntry {
        seq: Seq(column_values::unsigned("epoch", columns.epoch)?),
        time: Timestamp(column_values::unsigned("time", columns.moved)?),
        author: if kind == MoveKind::Push { columns.release_author } else { columns.author },
        message: columns.message,
        event: LogEvent::Moved {
            channel: column_values::parse("channel name", &columns.channel)?,
            release,
            from,
            kind,
            commit: columns.git_commit,
        },
    })
}

fn release_number(number: i64) -> Result<ReleaseNumber, StoreError> {
    column_values::unsigned("release number", number).map(ReleaseNumber)
}

#[cfg(test)]
mod tests {
    use verge_protocol::Digest;
    use verge_protocol::host::HostLabel;
    use verge_protocol::state::RolloutState;

    use super::*;
    use crate::store::NewMove;

    #[test]
    fn move_back_is_a_rollback_whatever_the_numbers_of_the_releases() {
        let entry = |from: Option<u64>, to: u64, kind| LogEntry {
            seq: Seq(0),
            time: Timestamp(0),
            author: None,
            message: None,
            event: LogEvent::Moved {
                channel: ChannelName::live(),
                release: ReleaseNumber(to),
                from: from.map(ReleaseNumber),
                kind,
                commit: None,
            },
        };
        let moves: &[(Option<u64>, u64, MoveKind)] = &[
            (None, 1, MoveKind::Push),
            (Some(1), 2, MoveKind::Push),
            (Some(2), 4, MoveKind::Push),
            (Some(4), 3, MoveKind::Promotion),
            (Some(3), 4, MoveKind::Rollback),
            (Some(4), 2, MoveKind::Rollback),
            (Some(2), 4, MoveKind::Promotion),
            (Some(4), 1, MoveKind::Rollback),
            // It was deleted and made anew.
            (None, 2, MoveKind::Promotion),
            (Some(2), 1, MoveKind::Promotion),
            // It was live already.
            (Some(1), 1, MoveKind::Promotion),
        ];
        let told = |moves: &[(Option<u64>, u64, MoveKind)]| {
            // As the numbers say it.
            let by_numbers = |(from, to, kind): &(Option<u64>, u64, MoveKind)| match (kind, from) {
                (MoveKind::Push, _) => MoveKind::Push,
                (_, Some(from)) if to < from => MoveKind::Rollback,
                _ => MoveKind::Promotion,
            };
            let mut entries: Vec<_> = moves.iter().rev().map(|one| entry(one.0, one.1, by_numbers(one))).collect();
            tell_rollbacks(&mut entries);
            let kinds = entries.into_iter().rev().map(|entry| match entry.event {
                LogEvent::Moved { kind, .. } => kind,
                _ => unreachable!("only moves are told"),
            });
            kinds.collect::<Vec<_>>()
        };
        let expected: Vec<_> = moves.iter().map(|one| one.2).collect();
        assert_eq!(told(moves), expected);
        // The first ones that are read, of a channel that had others before.
        assert_eq!(told(&moves[5..])[0], MoveKind::Rollback);
        let last = [(Some(1), 3, MoveKind::Push), (Some(3), 1, MoveKind::Rollback)];
        assert_eq!(told(&last), [MoveKind::Push, MoveKind::Rollback]);
    }

    #[tokio::test]
    async fn promotion_of_an_older_release_is_none_of_a_rollback_however_many_moves_were_before() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1000)).await.unwrap();
        let (live, preview): (HostLabel, HostLabel) = ("demo".parse().unwrap(), "pr-12--demo".parse().unwrap());
        database.create_site(&live.site, Timestamp(1000)).await.unwrap();
        let last = u64::from(MOVES_BEFORE) + 10;
        let previews = (11..last).map(|release| (&preview, release));
        let first = [(&live, 8), (&live, 9), (&live, 10)].into_iter().chain(previews);
        let mut epochs = HashMap::new();
        let mut kinds = Vec::new();
        // The last but one was a preview, the last one was live.
        for (label, release) in first.chain([(&live, last), (&live, last - 1), (&live, 8)]) {
            let rollout = RolloutState {
                release: ReleaseNumber(release),
                manifest: Digest::of(&release.to_le_bytes()),
                expected: epochs.get(label).copied(),
                idempotency_key: None,
                started: Timestamp(1000),
                canary: None,
                author: None,
            };
            let new = NewMove { label: label.clone(), rollout };
            let moved = database.move_channel(&new, Timestamp(1000), |_, _| Vec::new()).await.unwrap().unwrap().1;
            epochs.insert(label, moved.epoch);
            if release + 1 >= last || (label, release) == (&live, 8) {
                let entry = database.log(&live.site, 1).await.unwrap().remove(0);
                let LogEvent::Moved { kind, .. } = entry.event else { panic!("{entry:?}") };
                kinds.push((release, kind));
            }
        }
        let expected = [
            (8, MoveKind::Push),
            (last - 1, MoveKind::Push),
            (last, MoveKind::Push),
            (last - 1, MoveKind::Promotion),
            (8, MoveKind::Rollback),
        ];
        assert_eq!(kinds, expected);
    }
}
