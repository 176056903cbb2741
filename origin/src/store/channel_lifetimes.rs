//! How long channels exist after their last move.

use std::collections::HashMap;
use std::time::Duration;

use verge_protocol::host::HostLabel;
use verge_protocol::{ChannelName, ReleaseNumber, Seq, SiteName, Timestamp};

use super::column_values;
use super::database::Database;
use super::error::StoreError;
use super::write_transaction::WriteTransaction;

/// What a push says about how long its channel exists.
pub(crate) struct NewLifetime {
    pub(crate) channel: ChannelName,
    /// After the last move of the channel; 0: until it is deleted.
    pub(crate) seconds: u64,
}

/// When a channel ends, unless it is moved before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelEnd {
    /// The epoch to which this applies.
    pub(crate) epoch: Seq,
    /// The time, by the origin's clock.
    pub(crate) at: Timestamp,
}

/// Site, channel, seconds; epoch and time of its last move.
type Columns = (String, String, i64, i64, i64);

/// The lifetime that counts is that of the last release that the channel has pointed at and whose push named one.
const SELECT: &str = "select l.site, l.channel, l.seconds, m.epoch, m.moved from channel_lifetime l \
     join channel_move m on m.site = l.site and m.channel = l.channel \
     where l.seconds > 0 \
     and m.epoch = (select max(epoch) from channel_move where site = l.site and channel = l.channel) \
     and l.release = (select max(p.release) from channel_lifetime p \
     join channel_move v on v.site = p.site and v.channel = p.channel and v.release = p.release \
     where p.site = l.site and p.channel = l.channel)";

impl Database {
    /// When each channel of the sites from `first` to `last` ends. A channel that does not is left out.
    pub(crate) async fn channel_ends(
        &self,
        first: &SiteName,
        last: &SiteName,
    ) -> Result<HashMap<HostLabel, ChannelEnd>, StoreError> {
        let query = format!("{SELECT} and l.site >= $1 and l.site <= $2");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(first.as_str()).bind(last.as_str());
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("channel_lifetime", rows, from_columns).into_iter().collect())
    }

    /// The channels that have ended at `now`.
    pub(crate) async fn ended_channels(&self, now: Timestamp) -> Result<Vec<(HostLabel, ChannelEnd)>, StoreError> {
        let query = sqlx::query(SELECT);
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let ends = column_values::sound_rows("channel_lifetime", rows, from_columns);
        Ok(ends.into_iter().filter(|(_, end)| end.at <= now).collect())
    }
}

fn from_columns((site, channel, seconds, epoch, moved): Columns) -> Result<(HostLabel, ChannelEnd), StoreError> {
    let label = HostLabel {
        site: column_values::parse("site name", &site)?,
        channel: column_values::parse("channel name", &channel)?,
    };
    let seconds = Duration::from_secs(column_values::unsigned("seconds", seconds)?);
    let moved = Timestamp(column_values::unsigned("time", moved)?);
    Ok((label, ChannelEnd { epoch: Seq(column_values::unsigned("epoch", epoch)?), at: moved.after(seconds) }))
}

/// Notes what the push of a new release says.
pub(super) async fn put(
    transaction: &mut WriteTransaction,
    site: &SiteName,
    release: ReleaseNumber,
    new: &NewLifetime,
) -> Result<(), StoreError> {
    sqlx::query("insert into channel_lifetime (site, channel, release, seconds) values ($1, $2, $3, $4)")
        .bind(site.as_str())
        .bind(new.channel.as_str())
        .bind(column_values::signed(release.0))
        .bind(column_values::signed(new.seconds))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Forgets what all pushes to the channel said.
pub(super) async fn forget(
    transaction: &mut WriteTransaction,
    site: &SiteName,
    channel: &ChannelName,
) -> Result<(), StoreError> {
    sqlx::query("delete from channel_lifetime where site = $1 and channel = $2")
        .bind(site.as_str())
        .bind(channel.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
