//! The log of a site: its channels' moves and its purges.

use verge_protocol::api::{LogEntry, LogEvent, MoveKind};
use verge_protocol::{ReleaseNumber, Seq, SiteName, Timestamp};

use super::column_values;
use super::database::Database;
use super::error::StoreError;

/// Channel, epoch, release and time of a move; the release before, and the first move to the release; author, message and commit.
type MoveColumns = (String, i64, i64, i64, Option<i64>, i64, Option<String>, Option<String>, Option<String>);

impl Database {
    /// The last entries of a site's log, the newest first, at most `limit`.
    pub(crate) async fn log(&self, site: &SiteName, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        let mut entries = self.moves_of_site(site, limit).await?;
        entries.extend(self.purges_of_site(site, limit).await?);
        entries.extend(self.erasures_of_site(site, limit).await?);
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
        entries.truncate(limit as usize);
        Ok(entries)
    }

    async fn moves_of_site(&self, site: &SiteName, limit: u32) -> Result<Vec<LogEntry>, StoreError> {
        let query = sqlx::query(
            "select m.channel, m.epoch, m.release, m.moved, \
             (select b.release from channel_move b where b.site = m.site and b.channel = m.channel and b.epoch < m.epoch \
              order by b.epoch desc limit 1), \
             (select min(f.epoch) from channel_move f where f.site = m.site and f.release = m.release), \
             r.author, r.message, r.git_commit \
             from channel_move m left join release r on r.site = m.site and r.number = m.release \
             where m.site = $1 order by m.epoch desc limit $2",
        )
        .bind(site.as_str())
        .bind(i64::from(limit));
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("channel_move", rows, moved))
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

fn moved(columns: MoveColumns) -> Result<LogEntry, StoreError> {
    let (channel, epoch, release, time, before, first, author, message, commit) = columns;
    let number = |number| column_values::unsigned("release number", number).map(ReleaseNumber);
    let (release, from) = (number(release)?, before.map(number).transpose()?);
    let kind = match from {
        _ if first == epoch => MoveKind::Push,
        Some(from) if release < from => MoveKind::Rollback,
        _ => MoveKind::Promotion,
    };
    Ok(LogEntry {
        seq: Seq(column_values::unsigned("epoch", epoch)?),
        time: Timestamp(column_values::unsigned("time", time)?),
        author: author.filter(|_| kind == MoveKind::Push),
        message,
        event: LogEvent::Moved {
            channel: column_values::parse("channel name", &channel)?,
            release,
            from,
            kind,
            commit,
        },
    })
}
