//! Channels: where they point, where they pointed, and the one transaction that moves them.

use verge_protocol::state::{ChannelState, Inherited, Key};
use verge_protocol::{ChannelName, Digest, Position, ReleaseNumber, Seq, SiteName, Timestamp};

use super::releases::NewRelease;
use super::{Database, StoreError, column, database, json_column, releases, signed, state, unsigned};

/// A move of a channel that was.
pub(crate) struct ChannelMove {
    pub(crate) release: ReleaseNumber,
    pub(crate) manifest: Digest,
    pub(crate) moved: Timestamp,
}

/// A move of a channel that is to be.
pub(crate) struct Switch {
    pub(crate) site: SiteName,
    pub(crate) channel: ChannelName,
    /// The channel's epoch as the caller knows it; `None`: it does not exist.
    pub(crate) expected: Option<Seq>,
    pub(crate) target: Target,
    pub(crate) inherits: Vec<Inherited>,
}

/// Where to move it.
pub(crate) enum Target {
    /// To a release made in the same transaction.
    New(NewRelease),
    /// To one that exists.
    Existing(ReleaseNumber, Digest),
}

impl Database {
    /// Where a channel points.
    pub(crate) async fn channel(
        &self,
        site: &SiteName,
        channel: &ChannelName,
    ) -> Result<Option<ChannelState>, StoreError> {
        state::get(self.read(), &Key::Channel(site.clone(), channel.clone())).await
    }

    /// The channels of a site, by name: where each points and when it was moved there.
    pub(crate) async fn channels(
        &self,
        site: &SiteName,
    ) -> Result<Vec<(ChannelName, ChannelState, Timestamp)>, StoreError> {
        let rows: Vec<(String, i64, String)> = sqlx::query_as(
            "select m.channel, m.moved, s.value from channel_move m \
             join state s on s.key = 'channel/' || m.site || '/' || m.channel and s.seq = m.epoch \
             where m.site = $1 and s.value is not null order by m.channel",
        )
        .bind(site.as_str())
        .fetch_all(self.read())
        .await?;
        rows.into_iter()
            .map(|(channel, moved, value)| {
                let channel = column("a channel name", &channel)?;
                Ok((channel, json_column("a channel", &value)?, Timestamp(unsigned("a time", moved)?)))
            })
            .collect()
    }

    /// The last moves of a channel, the latest first.
    pub(crate) async fn moves(
        &self,
        site: &SiteName,
        channel: &ChannelName,
        most: u32,
    ) -> Result<Vec<ChannelMove>, StoreError> {
        let rows: Vec<(i64, String, i64)> = sqlx::query_as(
            "select release, manifest, moved from channel_move where site = $1 and channel = $2 order by epoch desc limit $3",
        )
        .bind(site.as_str())
        .bind(channel.as_str())
        .bind(i64::from(most))
        .fetch_all(self.read())
        .await?;
        rows.into_iter()
            .map(|(release, manifest, moved)| {
                let release = ReleaseNumber(unsigned("a release number", release)?);
                let manifest = column("a digest", &manifest)?;
                Ok(ChannelMove { release, manifest, moved: Timestamp(unsigned("a time", moved)?) })
            })
            .collect()
    }

    /// Moves a channel, making the release if it is new, all in one transaction. `Err` holds where the channel points when
    /// that is not what the caller expected; then nothing happened.
    pub(crate) async fn switch(
        &self,
        switch: &Switch,
        now: Timestamp,
    ) -> Result<Result<(Position, ChannelState), Option<ChannelState>>, StoreError> {
        let mut transaction = self.begin().await?;
        let position = database::advance(&mut transaction).await?;
        let key = Key::Channel(switch.site.clone(), switch.channel.clone());
        let current: Option<ChannelState> = state::get(&mut *transaction, &key).await?;
        if current.as_ref().map(|state| state.epoch) != switch.expected {
            transaction.rollback().await?;
            return Ok(Err(current));
        }
        let (release, manifest) = match &switch.target {
            Target::New(new) => {
                let number = releases::insert(&mut transaction, &switch.site, new, now).await?;
                (number, new.manifest.digest())
            }
            Target::Existing(number, manifest) => (*number, *manifest),
        };
        let state = ChannelState { epoch: position.seq, release, manifest, inherits: switch.inherits.clone() };
        state::put(&mut transaction, &key, position.seq, &state).await?;
        sqlx::query(
            "insert into channel_move (site, channel, epoch, release, manifest, moved) values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(switch.site.as_str())
        .bind(switch.channel.as_str())
        .bind(signed(position.seq.0))
        .bind(signed(release.0))
        .bind(manifest.to_string())
        .bind(signed(now.0))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Ok((position, state)))
    }
}
