//! The database of an origin, as far as rollouts go: `origin/src/store` without SQL. Each method is one transaction.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use verge_origin::model::{self, ChannelMove, Relation};
use verge_protocol::host::HostLabel;
use verge_protocol::state::{ChannelState, Inherited, Key, RolloutState, Row};
use verge_protocol::{Checkpoint, Digest, Generation, History, Json, Position, ReleaseNumber, Seq, Timestamp};

/// What is committed. A clone is a copy as an operator makes one.
#[derive(Clone, Default)]
pub(crate) struct Database {
    pub(crate) position: Position,
    /// After each write, the first of which has the number 1.
    history: Vec<History>,
    rows: BTreeMap<String, Row>,
    /// Of each site, in the order of their numbers.
    releases: BTreeMap<String, Vec<Digest>>,
    /// Of each channel, the earliest first.
    moves: BTreeMap<HostLabel, Vec<ChannelMove>>,
    /// The manifests and blobs in the object store.
    pub(crate) objects: BTreeSet<Digest>,
    diverged: Option<Timestamp>,
}

/// A channel is not at the expected epoch.
pub(crate) struct Conflict;

impl Database {
    pub(crate) fn new(generation: Generation) -> Self {
        let position = Position { generation, seq: Seq(0) };
        Self { position, history: vec![History::EMPTY], ..Self::default() }
    }

    pub(crate) fn at(&self) -> Checkpoint {
        let history = self.history.last().copied().unwrap_or_default();
        Checkpoint { position: self.position, history }
    }

    /// The rows written after `since`, each with the checkpoint after it, in order.
    pub(crate) fn rows_after(&self, since: Seq) -> Vec<(Row, Checkpoint)> {
        let mut rows: Vec<&Row> = self.rows.values().filter(|row| row.seq > since).collect();
        rows.sort_by_key(|row| row.seq);
        let at = |row: &Row| Checkpoint {
            position: Position { seq: row.seq, ..self.position },
            history: self.history_after(row.seq).unwrap_or_default(),
        };
        rows.into_iter().map(|row| (row.clone(), at(row))).collect()
    }

    fn history_after(&self, seq: Seq) -> Option<History> {
        self.history.get(usize::try_from(seq.0).ok()?).copied()
    }

    /// Where a subscriber is.
    pub(crate) fn relation(&self, since: Checkpoint) -> Relation {
        model::relation(since, self.at(), self.history_after(since.position.seq))
    }

    /// Takes a new generation because a subscriber is ahead at `seen`. False: it is too soon for another.
    pub(crate) fn diverge(&mut self, seen: Checkpoint, now: Timestamp) -> bool {
        if self.diverged.is_some_and(|last| model::is_too_soon(last, now)) {
            return false;
        }
        self.diverged = Some(now);
        self.position.generation = model::next_generation(self.position.generation, seen.position.generation, now);
        true
    }

    pub(crate) fn channel(&self, label: &HostLabel) -> Option<ChannelState> {
        let key = Key::Channel(label.site.clone(), label.channel.clone());
        let row = self.rows.get(&key.to_string())?;
        row.value.as_ref().map(|value| value.read().expect("a channel state"))
    }

    pub(crate) fn channels(&self) -> Vec<(HostLabel, ChannelState)> {
        let labels = self.moves.keys().cloned();
        labels.filter_map(|label| self.channel(&label).map(|state| (label, state))).collect()
    }

    /// The rollouts in the state, each with the position of its row.
    pub(crate) fn rollouts(&self) -> Vec<(HostLabel, Position, RolloutState)> {
        let rollout = |row: &Row| {
            let Ok(Key::Rollout(site, channel)) = row.key.parse() else { return None };
            let state = row.value.as_ref()?.read().expect("a rollout state");
            Some((HostLabel { site, channel }, Position { seq: row.seq, ..self.position }, state))
        };
        self.rows.values().filter_map(rollout).collect()
    }

    /// The releases of a site, with their numbers.
    pub(crate) fn releases(&self, label: &HostLabel) -> Vec<(ReleaseNumber, Digest)> {
        let releases = self.releases.get(label.site.as_str()).into_iter().flatten();
        (1..).map(ReleaseNumber).zip(releases.copied()).collect()
    }

    /// The moves of a channel, the latest first.
    pub(crate) fn moves(&self, label: &HostLabel) -> Vec<ChannelMove> {
        let moves = self.moves.get(label).into_iter().flatten();
        moves.rev().take(model::MOVES_READ as usize).copied().collect()
    }

    /// Begins a rollout of a manifest, and creates its release if it is new. `compare`: unless the channel is not at the epoch
    /// `expected`.
    pub(crate) fn begin_rollout(
        &mut self,
        label: &HostLabel,
        expected: Option<Seq>,
        manifest: Digest,
        now: Timestamp,
        compare: bool,
    ) -> Result<(Position, RolloutState), Conflict> {
        if compare && self.channel(label).map(|state| state.epoch) != expected {
            return Err(Conflict);
        }
        let releases = self.releases.entry(label.site.to_string()).or_default();
        let index = releases.iter().position(|known| *known == manifest).unwrap_or_else(|| {
            releases.push(manifest);
            releases.len() - 1
        });
        let release = ReleaseNumber(index as u64 + 1);
        let state = RolloutState {
            release,
            manifest,
            expected,
            idempotency_key: None,
            started: now,
            canary: None,
            author: None,
        };
        let seq = self.next();
        self.put(seq, &Key::Rollout(label.site.clone(), label.channel.clone()), Some(json(&state)));
        Ok((Position { seq, ..self.position }, state))
    }

    /// Moves a channel to the release of its rollout, and ends the rollout. `compare`: unless another
    /// move came between.
    pub(crate) fn move_channel(
        &mut self,
        label: &HostLabel,
        rollout: &RolloutState,
        inherits: Vec<Inherited>,
        now: Timestamp,
        compare: bool,
    ) -> Result<(Position, ChannelState), Conflict> {
        if compare && self.channel(label).map(|state| state.epoch) != rollout.expected {
            return Err(Conflict);
        }
        let RolloutState { release, manifest, .. } = *rollout;
        let epoch = self.next();
        let state = ChannelState { epoch, release, manifest, inherits };
        self.put(epoch, &Key::Channel(label.site.clone(), label.channel.clone()), Some(json(&state)));
        let seq = self.next();
        self.put(seq, &Key::Rollout(label.site.clone(), label.channel.clone()), None);
        self.moves.entry(label.clone()).or_default().push(ChannelMove { release, manifest, moved: now, epoch });
        Ok((Position { seq: epoch, ..self.position }, state))
    }

    /// Deletes a rollout, unless the channel has another.
    pub(crate) fn abandon_rollout(&mut self, label: &HostLabel, rollout: &RolloutState) {
        if self.rollouts().iter().any(|(of, _, state)| of == label && state == rollout) {
            let seq = self.next();
            self.put(seq, &Key::Rollout(label.site.clone(), label.channel.clone()), None);
        }
    }

    /// Writes a channel's row again with other releases to inherit.
    pub(crate) fn set_inherits(&mut self, label: &HostLabel, state: &ChannelState, inherits: Vec<Inherited>) {
        let seq = self.next();
        let state = ChannelState { inherits, ..state.clone() };
        self.put(seq, &Key::Channel(label.site.clone(), label.channel.clone()), Some(json(&state)));
    }

    fn next(&mut self) -> Seq {
        self.position.seq.0 += 1;
        self.position.seq
    }

    fn put(&mut self, seq: Seq, key: &Key, value: Option<Json>) {
        let key = key.to_string();
        let history = self.history.last().copied().unwrap_or_default();
        self.history.push(history.then(seq, &key, value.as_ref().map(Json::as_str)));
        self.rows.insert(key.clone(), Row { key, seq, value });
    }
}

fn json(value: &impl Serialize) -> Json {
    Json::of(value).expect("plain data serializes")
}
