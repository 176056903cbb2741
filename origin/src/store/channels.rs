//! Channels: the release each points at, its past moves, and the transaction that moves it.

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use verge_daemon::error_chain;
use verge_protocol::state::{ChannelState, Inherited, Key};
use verge_protocol::{ChannelName, Digest, Position, ReleaseNumber, Seq, SiteName, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::releases::{self, NewRelease};
use super::{column_values, state};

/// A channel and the time of its last move.
pub(crate) struct ChannelRow {
    pub(crate) name: ChannelName,
    pub(crate) state: ChannelState,
    pub(crate) moved: Timestamp,
}

/// Site, channel, and of its last move the time, epoch, release and manifest; the value of its row.
type CurrentColumns = (String, String, i64, i64, i64, String, String);

/// A past move of a channel.
pub(crate) struct ChannelMove {
    pub(crate) release: ReleaseNumber,
    pub(crate) manifest: Digest,
    pub(crate) moved: Timestamp,
}

/// A move of a channel to be made by [`Database::move_channel`].
pub(crate) struct NewMove {
    pub(crate) site: SiteName,
    pub(crate) channel: ChannelName,
    /// The channel's epoch as the caller knows it; `None`: the channel must not exist.
    pub(crate) expected: Option<Seq>,
    pub(crate) target: MoveTarget,
    pub(crate) inherits: Vec<Inherited>,
}

/// The release that a channel is moved to.
pub(crate) enum MoveTarget {
    /// One created in the same transaction.
    New(NewRelease),
    /// An existing one, and its manifest.
    Existing(ReleaseNumber, Digest),
}

impl MoveTarget {
    /// The manifest of the release.
    pub(crate) fn manifest(&self) -> Digest {
        match self {
            Self::New(new) => new.manifest.digest(),
            Self::Existing(_, manifest) => *manifest,
        }
    }
}

impl Database {
    /// The state of a channel; `None` if it does not exist.
    pub(crate) async fn channel(
        &self,
        site: &SiteName,
        channel: &ChannelName,
    ) -> Result<Option<ChannelState>, StoreError> {
        let mut connection = self.read_connection().await?;
        current(&mut connection, site, channel).await
    }

    /// The channels of a site, by name.
    pub(crate) async fn channels(&self, site: &SiteName) -> Result<Vec<ChannelRow>, StoreError> {
        Ok(self.channels_of_sites(site, site).await?.remove(site).unwrap_or_default())
    }

    /// The channels, by name, of every site whose name is from `first` to `last`: one query.
    pub(crate) async fn channels_of_sites(
        &self,
        first: &SiteName,
        last: &SiteName,
    ) -> Result<BTreeMap<SiteName, Vec<ChannelRow>>, StoreError> {
        let query = sqlx::query(
            "select m.site, m.channel, m.moved, m.epoch, m.release, m.manifest, s.value from \
             (select site, channel, max(epoch) as epoch from channel_move \
              where site >= $1 and site <= $2 group by site, channel) latest \
             join channel_move m on m.site = latest.site and m.channel = latest.channel and m.epoch = latest.epoch \
             join state s on s.key = 'channel/' || m.site || '/' || m.channel and s.seq = m.epoch \
             where s.value is not null order by m.site, m.channel",
        )
        .bind(first.as_str())
        .bind(last.as_str());
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let parse = |(site, channel, moved, epoch, release, manifest, value): CurrentColumns| {
            let state = match column_values::parse_json("channel state", &value) {
                Ok(state) => state,
                Err(error) => {
                    tracing::error!(error = error_chain(&error), "unreadable channel: its last move is used");
                    moved_to((epoch, release, manifest))?
                }
            };
            let name = column_values::parse("channel name", &channel)?;
            let row = ChannelRow { name, state, moved: Timestamp(column_values::unsigned("time", moved)?) };
            Ok((column_values::parse("site name", &site)?, row))
        };
        let mut channels: BTreeMap<SiteName, Vec<ChannelRow>> = BTreeMap::new();
        for (site, row) in column_values::sound_rows("channel_move", rows, parse) {
            channels.entry(site).or_default().push(row);
        }
        Ok(channels)
    }

    /// The last moves of a channel since it was created, or created anew after its last deletion, the latest first, at most `limit`.
    pub(crate) async fn moves(
        &self,
        site: &SiteName,
        channel: &ChannelName,
        limit: u32,
    ) -> Result<Vec<ChannelMove>, StoreError> {
        let query = sqlx::query(
            "select release, manifest, moved from channel_move where site = $1 and channel = $2 \
             and epoch > (select coalesce(max(seq), 0) from channel_deletion where site = $1 and channel = $2) \
             order by epoch desc limit $3",
        )
        .bind(site.as_str())
        .bind(channel.as_str())
        .bind(i64::from(limit));
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let parse = |(release, manifest, moved): (i64, String, i64)| {
            let release = ReleaseNumber(column_values::unsigned("release number", release)?);
            let manifest = column_values::parse("digest", &manifest)?;
            Ok(ChannelMove { release, manifest, moved: Timestamp(column_values::unsigned("time", moved)?) })
        };
        Ok(column_values::sound_rows("channel_move", rows, parse))
    }

    /// Moves a channel, and creates the release if it is new, in one transaction. The inner `Err` holds the state of a channel that
    /// is not at the expected epoch; nothing was written then.
    pub(crate) async fn move_channel(
        &self,
        new_move: &NewMove,
        now: Timestamp,
    ) -> Result<Result<(Position, ChannelState), Option<ChannelState>>, StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let key = Key::Channel(new_move.site.clone(), new_move.channel.clone());
        let current = current(&mut transaction, &new_move.site, &new_move.channel).await?;
        if current.as_ref().map(|state| state.epoch) != new_move.expected {
            transaction.rollback().await?;
            return Ok(Err(current));
        }
        let release = match &new_move.target {
            MoveTarget::New(new) => releases::insert(&mut transaction, &new_move.site, new, now).await?,
            MoveTarget::Existing(number, _) => *number,
        };
        let manifest = new_move.target.manifest();
        let position = database::advance(&mut transaction).await?;
        let state = ChannelState { epoch: position.seq, release, manifest, inherits: new_move.inherits.clone() };
        state::put(&mut transaction, &key, position.seq, &state).await?;
        sqlx::query(
            "insert into channel_move (site, channel, epoch, release, manifest, moved) values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new_move.site.as_str())
        .bind(new_move.channel.as_str())
        .bind(column_values::signed(position.seq.0))
        .bind(column_values::signed(release.0))
        .bind(manifest.to_string())
        .bind(column_values::signed(now.0))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Ok((position, state)))
    }
}

/// The state of a channel; `None` if it does not exist. If its row is damaged, what its last move tells: the same, without the
/// releases that it inherits.
pub(super) async fn current(
    connection: &mut AnyConnection,
    site: &SiteName,
    channel: &ChannelName,
) -> Result<Option<ChannelState>, StoreError> {
    let key = Key::Channel(site.clone(), channel.clone());
    let error = match state::get(connection, &key).await {
        Err(error @ StoreError::Malformed { .. }) => error,
        read => return read,
    };
    tracing::error!(%key, error = error_chain(&error), "unreadable channel: its last move is used");
    let row: Option<(i64, i64, String)> = sqlx::query_as(
        "select epoch, release, manifest from channel_move where site = $1 and channel = $2 \
         and epoch > (select coalesce(max(seq), 0) from channel_deletion where site = $1 and channel = $2) \
         order by epoch desc limit 1",
    )
    .bind(site.as_str())
    .bind(channel.as_str())
    .fetch_optional(connection)
    .await?;
    row.map(moved_to).transpose()
}

/// The state of a channel after a move with this epoch, release and manifest.
fn moved_to((epoch, release, manifest): (i64, i64, String)) -> Result<ChannelState, StoreError> {
    Ok(ChannelState {
        epoch: Seq(column_values::unsigned("epoch", epoch)?),
        release: ReleaseNumber(column_values::unsigned("release number", release)?),
        manifest: column_values::parse("digest", &manifest)?,
        inherits: Vec::new(),
    })
}
