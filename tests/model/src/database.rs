//! The database of an origin, as far as rollouts go: `origin/src/store` without SQL. Each method is one transaction.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use verge_origin::model::{self, ChannelMove, Relation};
use verge_protocol::canary::{Canary, CanaryPlan};
use verge_protocol::host::HostLabel;
use verge_protocol::purge::{Purge, PurgeScope, PurgeState};
use verge_protocol::state::{ChannelState, ErasedState, Inherited, Key, RolloutState, Row};
use verge_protocol::{
    Checkpoint, Digest, Generation, History, Json, Position, ReleaseNumber, Seq, SiteName, SitePath, Timestamp,
};

use crate::plant::Plant;

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
    /// The releases of each channel that only readers of canary edges got, each with the write that took it back.
    taken_back: BTreeMap<HostLabel, Vec<Life>>,
    /// Of each site, the latest first.
    purges: BTreeMap<SiteName, Vec<Purge>>,
    /// The contents of each site that are not served any more.
    erased: BTreeSet<(SiteName, Digest)>,
    /// The manifests and blobs in the object store.
    pub(crate) objects: BTreeSet<Digest>,
    diverged: Option<Timestamp>,
    /// The edges of the fleet.
    pub(crate) members: BTreeSet<usize>,
    /// The write that last deleted each channel.
    deletions: BTreeMap<HostLabel, Seq>,
}

/// A release that readers of a channel got.
#[derive(Clone, Copy)]
pub(crate) struct Life {
    pub(crate) manifest: Digest,
    /// The write since which they do not any more, and its time.
    pub(crate) end: Option<(Seq, Timestamp)>,
}

/// A rollout that was begun.
pub(crate) struct Begun {
    pub(crate) position: Position,
    pub(crate) state: RolloutState,
    /// What the channel inherits of a rollout that was replaced.
    pub(crate) taken_back: Option<TakenBack>,
}

/// A release that only readers of canary edges got, and where the channel's row says that it is inherited.
pub(crate) struct TakenBack {
    pub(crate) manifest: Digest,
    pub(crate) since: Position,
}

/// A channel is not at the expected epoch.
pub(crate) struct Conflict;

impl Database {
    pub(crate) fn new(generation: Generation, members: BTreeSet<usize>) -> Self {
        let position = Position { generation, seq: Seq(0) };
        Self { position, history: vec![History::EMPTY], members, ..Self::default() }
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

    /// Whether a channel has a rollout of the release.
    pub(crate) fn is_coming(&self, label: &HostLabel, manifest: Digest) -> bool {
        self.rollouts().iter().any(|(of, _, state)| of == label && state.manifest == manifest)
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

    /// The releases that readers of a channel got, the latest first.
    pub(crate) fn lives(&self, label: &HostLabel) -> Vec<Life> {
        let moves = self.moves(label);
        let ends = std::iter::once(None).chain(moves.iter().map(|later| Some((later.epoch, later.moved))));
        let mut lives: Vec<Life> = ends.zip(&moves).map(|(end, one)| Life { manifest: one.manifest, end }).collect();
        lives.extend(self.taken_back.get(label).into_iter().flatten());
        lives.sort_by_key(|life| std::cmp::Reverse(life.end.map_or(Seq(u64::MAX), |(seq, _)| seq)));
        lives
    }

    /// The purges of a site, the latest first.
    pub(crate) fn purges(&self, site: &SiteName) -> &[Purge] {
        self.purges.get(site).map_or(&[], Vec::as_slice)
    }

    /// Whether a site must not have a content any more.
    pub(crate) fn is_erased(&self, site: &SiteName, content: Digest) -> bool {
        self.erased.contains(&(site.clone(), content))
    }

    /// What the channels of a site point at or are about to.
    pub(crate) fn in_use(&self, site: &SiteName) -> Vec<(HostLabel, Digest)> {
        let channels = self.channels().into_iter().map(|(label, state)| (label, state.manifest));
        let rollouts = self.rollouts().into_iter().map(|(label, _, state)| (label, state.manifest));
        channels.chain(rollouts).filter(|(label, _)| label.site == *site).collect()
    }

    /// The write that last deleted each channel.
    pub(crate) fn deletions(&self) -> &BTreeMap<HostLabel, Seq> {
        &self.deletions
    }

    /// Begins a rollout of a manifest, and creates its release if it is new, unless the channel is not at the epoch `expected`. One that
    /// is still in the state is replaced: it ends as by [`Self::abandon_rollout`].
    pub(crate) fn begin_rollout(
        &mut self,
        label: &HostLabel,
        expected: Option<Seq>,
        (manifest, canary): (Digest, Option<CanaryPlan>),
        now: Timestamp,
        plant: Option<Plant>,
    ) -> Result<Begun, Conflict> {
        let compare = plant != Some(Plant::OriginComparesNoEpochs);
        if compare && self.channel(label).map(|state| state.epoch) != expected {
            return Err(Conflict);
        }
        let replaced = self.rollouts().into_iter().find(|(of, ..)| of == label).map(|(.., state)| state);
        let forgets = plant == Some(Plant::OriginForgetsReplacedCanaries);
        let taken_back = replaced.and_then(|replaced| self.take_back(label, &replaced, now, forgets));
        let releases = self.releases.entry(label.site.to_string()).or_default();
        let index = releases.iter().position(|known| *known == manifest).unwrap_or_else(|| {
            releases.push(manifest);
            releases.len() - 1
        });
        let release = ReleaseNumber(index as u64 + 1);
        let canary = canary.map(|plan| Canary { plan, edges: BTreeSet::new() });
        let state =
            RolloutState { release, manifest, expected, idempotency_key: None, started: now, canary, author: None };
        let seq = self.next();
        self.put(seq, &Key::Rollout(label.site.clone(), label.channel.clone()), Some(json(&state)));
        Ok(Begun { position: Position { seq, ..self.position }, state, taken_back })
    }

    /// Writes the row of a rollout again.
    pub(crate) fn set_rollout(&mut self, label: &HostLabel, rollout: &RolloutState) -> Position {
        let seq = self.next();
        self.put(seq, &Key::Rollout(label.site.clone(), label.channel.clone()), Some(json(rollout)));
        Position { seq, ..self.position }
    }

    /// Moves a channel to the release of its rollout, and ends the rollout, unless another move came between.
    pub(crate) fn move_channel(
        &mut self,
        label: &HostLabel,
        rollout: &RolloutState,
        now: Timestamp,
        plant: Option<Plant>,
    ) -> Result<Position, Conflict> {
        let current = self.channel(label);
        let epoch_before = current.as_ref().map(|state| state.epoch);
        if plant != Some(Plant::OriginComparesNoEpochs) && epoch_before != rollout.expected {
            return Err(Conflict);
        }
        let RolloutState { release, manifest, .. } = *rollout;
        let kept = current.map(|state| state.inherits).unwrap_or_default();
        let purges = match plant {
            Some(Plant::OriginForgetsPurges) => &[],
            _ => self.purges(&label.site),
        };
        let mut inherits = model::inherited(manifest, &self.moves(label), purges, kept, now);
        if plant == Some(Plant::OriginInheritsNothing) {
            inherits.clear();
        }
        let epoch = self.next();
        self.put_channel(epoch, label, &ChannelState { epoch, release, manifest, inherits });
        let seq = self.next();
        self.put(seq, &Key::Rollout(label.site.clone(), label.channel.clone()), None);
        self.moves.entry(label.clone()).or_default().push(ChannelMove { release, manifest, moved: now, epoch });
        Ok(Position { seq: epoch, ..self.position })
    }

    /// Deletes a rollout, unless the channel has another.
    pub(crate) fn abandon_rollout(
        &mut self,
        label: &HostLabel,
        rollout: &RolloutState,
        now: Timestamp,
        plant: Option<Plant>,
    ) -> Option<TakenBack> {
        let is_same = |state: &RolloutState| (state.release, state.started) == (rollout.release, rollout.started);
        if !self.rollouts().iter().any(|(of, _, state)| of == label && is_same(state)) {
            return None;
        }
        let taken_back = self.take_back(label, rollout, now, plant == Some(Plant::OriginForgetsCanaries));
        let seq = self.next();
        self.put(seq, &Key::Rollout(label.site.clone(), label.channel.clone()), None);
        taken_back
    }

    /// Lets a channel inherit the release of a rollout that ends without a move, if readers of canary edges got it, unless the origin
    /// `forgets` it. To be written before the row of the rollout.
    fn take_back(
        &mut self,
        label: &HostLabel,
        rollout: &RolloutState,
        now: Timestamp,
        forgets: bool,
    ) -> Option<TakenBack> {
        let manifest = rollout.manifest;
        let had_canary_edges = rollout.canary.as_ref().is_some_and(|canary| !canary.edges.is_empty());
        let mut channel = self.channel(label).filter(|_| had_canary_edges)?;
        let mut taken_back = None;
        if channel.manifest != manifest && !forgets {
            channel.inherits = model::inherited_after_canary(manifest, channel.inherits, channel.manifest, now);
            let seq = self.next();
            self.put_channel(seq, label, &channel);
            taken_back = Some(TakenBack { manifest, since: Position { seq, ..self.position } });
        }
        let end = Seq(self.position.seq.0 + 1);
        self.taken_back.entry(label.clone()).or_default().push(Life { manifest, end: Some((end, now)) });
        taken_back
    }

    /// Deletes a channel and its rollout. A push creates it anew, without its past.
    pub(crate) fn delete_channel(&mut self, label: &HostLabel) -> Seq {
        let HostLabel { site, channel } = label;
        let seq = self.next();
        self.put(seq, &Key::Rollout(site.clone(), channel.clone()), None);
        let seq = self.next();
        self.put(seq, &Key::Channel(site.clone(), channel.clone()), None);
        self.moves.remove(label);
        self.taken_back.remove(label);
        self.deletions.insert(label.clone(), seq);
        seq
    }

    /// Purges paths of a site: its row, and those of its channels.
    pub(crate) fn purge(&mut self, site: &SiteName, scope: &PurgeScope, plant: Option<Plant>) -> Position {
        let seq = self.next();
        self.purges.entry(site.clone()).or_default().insert(0, Purge { seq, scope: scope.clone() });
        let mut state = PurgeState::default();
        self.purges(site).iter().rev().for_each(|purge| state.add(purge.clone()));
        self.put(seq, &Key::Purge(site.clone()), Some(json(&state)));
        for (label, mut channel) in self.channels().into_iter().filter(|(label, _)| label.site == *site) {
            if plant != Some(Plant::OriginPurgesNothing) {
                channel.inherits = model::inherited_after_purge(&channel.inherits, scope);
            }
            let seq = self.next();
            self.put_channel(seq, &label, &channel);
        }
        Position { seq, ..self.position }
    }

    /// Erases contents of one blob each that a site had, and purges the path of one.
    pub(crate) fn erase(
        &mut self,
        site: &SiteName,
        contents: &BTreeSet<Digest>,
        path: &SitePath,
        now: Timestamp,
    ) -> Position {
        for content in contents {
            self.erased.insert((site.clone(), *content));
            self.objects.remove(content);
            let seq = self.next();
            let state = ErasedState { when: now, path: path.clone(), blobs: vec![*content] };
            self.put(seq, &Key::Erased(site.clone(), *content), Some(json(&state)));
        }
        self.purge(site, &PurgeScope::Path(path.clone()), None)
    }

    /// Writes a channel's row again with other releases to inherit.
    pub(crate) fn set_inherits(&mut self, label: &HostLabel, state: &ChannelState, inherits: Vec<Inherited>) {
        let seq = self.next();
        self.put_channel(seq, label, &ChannelState { inherits, ..state.clone() });
    }

    fn next(&mut self) -> Seq {
        self.position.seq.0 += 1;
        self.position.seq
    }

    fn put_channel(&mut self, seq: Seq, label: &HostLabel, state: &ChannelState) {
        self.put(seq, &Key::Channel(label.site.clone(), label.channel.clone()), Some(json(state)));
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
