//! Channels: the release each points at, its past moves, and the transaction that moves it.

use std::collections::BTreeMap;
use std::str::FromStr;

use sqlx::AnyConnection;
use verge_daemon::error_chain;
use verge_protocol::host::HostLabel;
use verge_protocol::purge::Purge;
use verge_protocol::state::{ChannelState, Inherited, Key, RolloutState, UnknownKey};
use verge_protocol::{ChannelName, Digest, IdempotencyKey, Position, ReleaseNumber, Seq, SiteName, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::releases::NewRelease;
use super::{column_values, inherited, past_purges, state};

/// How many of a channel's last moves are read for the eight releases that may be inherited, repeated by rollbacks between them.
pub(crate) const MOVES_READ: u32 = 64;

/// How many are read for the target of a rollback, which also has to know a release that was live before as such.
pub(crate) const ROLLBACK_MOVES_READ: u32 = 1024;

/// A channel and the time of its last move.
pub(crate) struct ChannelRow {
    pub(crate) name: ChannelName,
    pub(crate) state: ChannelState,
    pub(crate) moved: Timestamp,
}

/// Site, channel, and of its last move the time, epoch, release and manifest; the value of its row.
type CurrentColumns = (String, String, i64, i64, i64, String, String);

/// A past move of a channel.
#[derive(Debug, Clone, Copy)]
pub struct ChannelMove {
    /// The release that it was moved to.
    pub release: ReleaseNumber,
    /// Its manifest.
    pub manifest: Digest,
    /// When, by the wall clock.
    pub moved: Timestamp,
    /// The write that made it.
    pub epoch: Seq,
}

/// A move of a channel to be made by [`Database::move_channel`].
pub(crate) struct NewMove {
    pub(crate) label: HostLabel,
    /// The rollout that ends with it.
    pub(crate) rollout: RolloutState,
}

/// The release that a channel is moved to.
pub(crate) enum MoveTarget {
    /// One created in the same transaction.
    New(NewRelease),
    /// An existing one, and its manifest.
    Existing(ReleaseNumber, Digest),
}

/// A channel as part of a key: `<site>/<channel>`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct HostPath(HostLabel);

impl FromStr for HostPath {
    type Err = UnknownKey;

    fn from_str(path: &str) -> Result<Self, UnknownKey> {
        match format!("channel/{path}").parse()? {
            Key::Channel(site, channel) => Ok(Self(HostLabel { site, channel })),
            key => unreachable!("{key} begins with `channel/`"),
        }
    }
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
             join state s on s.key = 'channel/' || m.site || '/' || m.channel \
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

    /// The last moves of a channel since it was created, or created anew after its last deletion, the latest first, at most
    /// [`ROLLBACK_MOVES_READ`].
    pub(crate) async fn moves(&self, site: &SiteName, channel: &ChannelName) -> Result<Vec<ChannelMove>, StoreError> {
        moves(&mut *self.read_connection().await?, site, channel, ROLLBACK_MOVES_READ).await
    }

    /// Whether a channel, since it was created, or created anew after its last deletion, was moved to a release before a move.
    pub(crate) async fn had_release_before(
        &self,
        site: &SiteName,
        channel: &ChannelName,
        release: ReleaseNumber,
        epoch: Seq,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query_as(
            "select count(*) from channel_move where site = $1 and release = $2 and channel = $3 and epoch < $4 \
             and epoch > (select coalesce(max(seq), 0) from channel_deletion where site = $1 and channel = $3)",
        )
        .bind(site.as_str())
        .bind(column_values::signed(release.0))
        .bind(channel.as_str())
        .bind(column_values::signed(epoch.0));
        let (count,): (i64,) = query.fetch_one(&mut *self.read_connection().await?).await?;
        Ok(count > 0)
    }

    /// Moves a channel to the release of its rollout, and ends the rollout, in one transaction. `inherits` chooses what it inherits, by
    /// its moves so far and the purges of the site since the first of these, the latest first, each scope once. The inner `Err` holds the state of a channel that is not at the
    /// expected epoch; nothing was written then.
    pub(crate) async fn move_channel(
        &self,
        new_move: &NewMove,
        now: Timestamp,
        inherits: impl Fn(&[ChannelMove], &[Purge]) -> Vec<Inherited>,
    ) -> Result<Result<(Position, ChannelState), Option<ChannelState>>, StoreError> {
        let HostLabel { site, channel } = &new_move.label;
        let rollout = &new_move.rollout;
        let mut transaction = self.begin().await?;
        let position = database::advance(&mut transaction).await?;
        let current = current(&mut transaction, site, channel).await?;
        if current.as_ref().map(|state| state.epoch) != rollout.expected {
            transaction.rollback().await?;
            return Ok(Err(current));
        }
        let kept = current.map(|state| state.inherits).unwrap_or_default();
        let moves = moves(&mut transaction, site, channel, MOVES_READ).await?;
        let oldest = moves.last().map(|oldest| oldest.epoch).unwrap_or_default();
        let purges = past_purges::since(&mut transaction, site, oldest).await?;
        let state = ChannelState {
            epoch: position.seq,
            release: rollout.release,
            manifest: rollout.manifest,
            inherits: inherited::with_kept(inherits(&moves, &purges), kept, rollout.manifest),
        };
        state::put(&mut transaction, &Key::Channel(site.clone(), channel.clone()), position.seq, &state).await?;
        // After the row of the channel: what edges have prepared is in use before it is no longer coming.
        state::set(&mut transaction, &Key::Rollout(site.clone(), channel.clone()), None::<&RolloutState>).await?;
        sqlx::query(
            "insert into channel_move (site, channel, epoch, release, manifest, moved, idempotency_key, author) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(site.as_str())
        .bind(channel.as_str())
        .bind(column_values::signed(position.seq.0))
        .bind(column_values::signed(rollout.release.0))
        .bind(rollout.manifest.to_string())
        .bind(column_values::signed(now.0))
        .bind(rollout.idempotency_key.as_ref().map(IdempotencyKey::as_str))
        .bind(rollout.author.as_deref())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Ok((position, state)))
    }

    /// The state of every channel.
    pub(crate) async fn channel_states(&self) -> Result<Vec<(HostLabel, ChannelState)>, StoreError> {
        let channels = state::all::<HostPath, _>(&mut *self.read_connection().await?, "channel").await?;
        Ok(channels.into_iter().map(|(HostPath(label), state)| (label, state)).collect())
    }

    /// Writes the row of a channel again with what `inherits` makes of the releases that it inherits from. Its epoch stays. Nothing is
    /// written if that is the same.
    pub(crate) async fn change_inherits(
        &self,
        label: &HostLabel,
        inherits: impl Fn(&[Inherited]) -> Vec<Inherited>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let current = current(&mut transaction, &label.site, &label.channel).await?;
        if let Some(state) = current {
            let key = Key::Channel(label.site.clone(), label.channel.clone());
            let state = ChannelState { inherits: inherits(&state.inherits), ..state };
            state::set(&mut transaction, &key, Some(&state)).await?;
        }
        transaction.commit().await
    }
}

/// The last moves of a channel, the latest first, at most `limit`.
async fn moves(
    connection: &mut AnyConnection,
    site: &SiteName,
    channel: &ChannelName,
    limit: u32,
) -> Result<Vec<ChannelMove>, StoreError> {
    let query = sqlx::query(
        "select release, manifest, moved, epoch from channel_move where site = $1 and channel = $2 \
         and epoch > (select coalesce(max(seq), 0) from channel_deletion where site = $1 and channel = $2) \
         order by epoch desc limit $3",
    )
    .bind(site.as_str())
    .bind(channel.as_str())
    .bind(i64::from(limit));
    let rows = column_values::fetch_all(connection, query).await?;
    let parse = |(release, manifest, moved, epoch): (i64, String, i64, i64)| {
        Ok(ChannelMove {
            release: ReleaseNumber(column_values::unsigned("release number", release)?),
            manifest: column_values::parse("digest", &manifest)?,
            moved: Timestamp(column_values::unsigned("time", moved)?),
            epoch: Seq(column_values::unsigned("epoch", epoch)?),
        })
    };
    Ok(column_values::sound_rows("channel_move", rows, parse))
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
