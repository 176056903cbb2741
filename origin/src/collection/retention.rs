//! Which releases of a site are kept. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use verge_protocol::{Digest, ReleaseNumber, Timestamp};

use crate::store::{ChannelHistory, ChannelMove, PastRelease, SiteHistory, Standing};

/// How long a release is kept after the last channel that pointed at it was deleted, unless it is kept for other reasons.
const KEPT_AFTER_CHANNEL: Duration = Duration::from_hours(24);

/// Which releases are kept though no channel points at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Of each channel, so many releases that it was moved to last, and as many that a rollback would go back to, one after the other. The
    /// current one counts; those with the same files count once.
    pub releases: u32,
    /// Those that were made, or that a channel pointed at, within this time.
    pub time: Duration,
}

impl Retention {
    /// What is kept if nothing is set.
    pub const DEFAULT: Self = Self { releases: 10, time: Duration::from_hours(30 * 24) };
}

/// The releases that are not kept, in order.
///
/// Kept are those whose manifests are `in_use`: a channel points at them, inherits them, or is about to point at them; those that
/// [`Retention`] keeps; and those that only channels had which are deleted now, for a day after that. A time in the future keeps a release.
pub(super) fn ended(history: &SiteHistory, retention: Retention, now: Timestamp) -> Vec<ReleaseNumber> {
    let is_recent = |time: Timestamp, within: Duration| time.after(within) > now;
    let mut kept: HashSet<ReleaseNumber> = HashSet::new();
    let mut moved_to: HashSet<ReleaseNumber> = HashSet::new();
    for channel in history.channels.values() {
        moved_to.extend(channel.moves.iter().map(|made| made.release));
        let from = current_from(channel);
        let (past, current) = channel.moves.split_at(from);
        kept.extend(last_releases(channel, from, retention.releases));
        // Until the next move, or the deletion of the channel.
        let ends = current.iter().skip(1).map(|made| made.moved).chain([now]);
        kept.extend(recent(current.iter().zip(ends), |end| is_recent(end, retention.time)));
        let end_of = |index: usize| {
            let next = past.get(index + 1).map(|made| (made.epoch, made.moved));
            let deleted = channel.deletions.iter().find(|(seq, _)| *seq > past[index].epoch);
            // The channel exists no more, so there is a deletion after each of its moves.
            next.into_iter().chain(deleted.copied()).min().map_or(now, |(_, time)| time)
        };
        let ended = past.iter().enumerate().map(|(index, made)| (made, end_of(index)));
        kept.extend(recent(ended, |end| is_recent(end, KEPT_AFTER_CHANNEL)));
    }
    let is_kept = |release: &PastRelease| {
        history.in_use.contains_key(&release.manifest)
            || kept.contains(&release.number)
            // A push that did not go live may be made live later.
            || !moved_to.contains(&release.number) && is_recent(release.created, retention.time)
    };
    history.releases.iter().filter(|release| !is_kept(release)).map(|release| release.number).collect()
}

/// The index of the first move since the channel was created, or created anew after its last deletion. That of no move if it does not exist.
fn current_from(channel: &ChannelHistory) -> usize {
    let deleted = channel.deletions.iter().map(|(seq, _)| *seq).max();
    channel.moves.partition_point(|made| deleted.is_some_and(|deleted| made.epoch < deleted))
}

/// The releases of moves that were in effect until a recent time.
fn recent<'a>(
    moves: impl Iterator<Item = (&'a ChannelMove, Timestamp)>,
    is_recent: impl Fn(Timestamp) -> bool,
) -> impl Iterator<Item = ReleaseNumber> {
    moves.filter(move |(_, end)| is_recent(*end)).map(|(made, _)| made.release)
}

/// The last `count` releases of different files that a channel was moved to, and that stand before its current one.
fn last_releases(channel: &ChannelHistory, from: usize, count: u32) -> BTreeSet<ReleaseNumber> {
    let moves = &channel.moves[from..];
    let mut standing = Standing::default();
    for made in moves {
        standing.moves_to(made.release);
    }
    let manifests: HashMap<ReleaseNumber, Digest> = moves.iter().map(|made| (made.release, made.manifest)).collect();
    let mut last = distinct(moves.iter().rev().map(|made| (made.release, made.manifest)), count);
    last.extend(distinct(standing.latest_first().map(|release| (release, manifests[&release])), count));
    last
}

/// The first releases that have so many different manifests.
fn distinct(releases: impl Iterator<Item = (ReleaseNumber, Digest)>, count: u32) -> BTreeSet<ReleaseNumber> {
    let mut seen = HashSet::new();
    let within = |(_, manifest): &(ReleaseNumber, Digest)| {
        seen.insert(*manifest);
        seen.len() <= count as usize
    };
    releases.take_while(within).map(|(release, _)| release).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use verge_protocol::{ChannelName, Seq};

    use super::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    fn manifest(release: u64) -> Digest {
        Digest::of(&release.to_le_bytes())
    }

    /// What happened to a site.
    #[derive(Debug, Clone)]
    enum Event {
        /// A push of the next release to a channel.
        Push(&'static str),
        /// A push that did not go live.
        Failed,
        /// A move to the release with this number.
        Move(&'static str, u64),
        Delete(&'static str),
    }

    use Event::{Delete, Failed, Move, Push};

    /// The history of these events, each at its time. Channels that exist at the end are in use.
    fn history(events: &[(u64, Event)]) -> SiteHistory {
        let mut history = SiteHistory::default();
        let mut current: HashMap<ChannelName, Digest> = HashMap::new();
        for (epoch, (time, event)) in (1..).zip(events) {
            let (time, created) = (Timestamp(*time), history.releases.len() as u64 + 1);
            if matches!(event, Push(_) | Failed) {
                let number = ReleaseNumber(created);
                history.releases.push(PastRelease { number, manifest: manifest(created), created: time });
            }
            let (channel, release) = match event {
                Push(channel) => (channel, created),
                Move(channel, release) => (channel, *release),
                Delete(channel) => {
                    let channel: ChannelName = channel.parse().unwrap();
                    current.remove(&channel);
                    history.channels.entry(channel).or_default().deletions.push((Seq(epoch), time));
                    continue;
                }
                Failed => continue,
            };
            let channel: ChannelName = channel.parse().unwrap();
            let (release, manifest) = (ReleaseNumber(release), manifest(release));
            let made = ChannelMove { release, manifest, moved: time, epoch: Seq(epoch) };
            history.channels.entry(channel.clone()).or_default().moves.push(made);
            current.insert(channel, manifest);
        }
        history.in_use = current.into_iter().map(|(channel, manifest)| (manifest, channel)).collect();
        history
    }

    fn ended_at(now: u64, events: &[(u64, Event)]) -> Vec<u64> {
        let retention = Retention { releases: 3, time: Duration::from_hours(30 * 24) };
        ended(&history(events), retention, Timestamp(now)).into_iter().map(|release| release.0).collect()
    }

    #[test]
    fn last_releases_of_a_channel_are_kept_however_old_they_are_and_others_for_some_time_after_they_were_live() {
        let pushes: Vec<_> = (0..6).map(|day| (day * DAY, Push("live"))).collect();
        assert_eq!(ended_at(30 * DAY, &pushes), [] as [u64; 0]);
        // The first one was live until the second came, on the next day.
        assert_eq!(ended_at(31 * DAY, &pushes), [1]);
        assert_eq!(ended_at(1000 * DAY, &pushes), [1, 2, 3]);
    }

    #[test]
    fn releases_to_which_rollbacks_would_go_are_kept() {
        // v4 was undone: a rollback goes to v2, then to v1.
        let events = [
            (0, Push("live")),
            (1, Push("live")),
            (2, Push("live")),
            (3, Push("live")),
            (4, Push("live")),
            (5, Push("live")),
            (6, Move("live", 2)),
            (7, Push("live")),
        ];
        assert_eq!(ended_at(1000 * DAY, &events), [3, 4, 5]);
    }

    #[test]
    fn releases_that_only_a_deleted_preview_had_are_kept_for_a_day() {
        let events = [(0, Push("live")), (0, Push("pr-1")), (HOUR, Push("pr-1")), (DAY, Delete("pr-1"))];
        assert_eq!(ended_at(DAY + HOUR - 1, &events), [] as [u64; 0]);
        assert_eq!(ended_at(DAY + HOUR, &events), [2], "it was replaced in the first hour");
        assert_eq!(ended_at(2 * DAY, &events), [2, 3]);
        // One that was promoted is a release of the other channel.
        let promoted = [&events[..], &[(DAY, Move("live", 3))]].concat();
        assert_eq!(ended_at(2 * DAY, &promoted), [2]);
        // A channel that was created anew has nothing of the former one.
        let anew = [&events[..], &[(DAY, Push("pr-1"))]].concat();
        assert_eq!(ended_at(2 * DAY, &anew), [2, 3]);
    }

    #[test]
    fn push_that_did_not_go_live_is_kept_for_some_time() {
        let events = [(0, Push("live")), (HOUR, Failed)];
        assert_eq!(ended_at(29 * DAY, &events), [] as [u64; 0]);
        assert_eq!(ended_at(31 * DAY, &events), [2]);
    }

    #[test]
    fn manifest_that_is_in_use_is_kept_and_a_time_in_the_future_ends_nothing() {
        let mut inherited = history(&[(0, Push("live")), (0, Failed)]);
        let end = |history: &SiteHistory, now: u64| ended(history, Retention::DEFAULT, Timestamp(now));
        assert_eq!(end(&inherited, 100 * DAY), [ReleaseNumber(2)]);
        inherited.in_use.insert(manifest(2), ChannelName::live());
        assert_eq!(end(&inherited, 100 * DAY), []);
        let ahead = history(&[(400 * DAY, Push("pr-1")), (401 * DAY, Failed), (402 * DAY, Delete("pr-1"))]);
        assert_eq!(end(&ahead, 100 * DAY), []);
    }

    fn event() -> impl Strategy<Value = Event> {
        let channel = || prop::sample::select(vec!["live", "pr-1", "pr-2"]);
        prop_oneof![
            6 => channel().prop_map(Push),
            1 => Just(Failed),
            3 => (channel(), 1_u64..20).prop_map(|(channel, release)| Move(channel, release)),
            1 => prop::sample::select(vec!["pr-1", "pr-2"]).prop_map(Delete),
        ]
    }

    proptest! {
        #[test]
        fn no_release_ends_that_a_channel_has_or_would_be_rolled_back_to_and_each_ends_at_last(
            events in prop::collection::vec((0..5 * DAY, event()), 1..40),
            later in 0..100 * DAY,
        ) {
            let (mut time, mut made, mut existing) = (0, 0, HashSet::new());
            let mut past = Vec::new();
            for (pause, event) in events {
                time += pause;
                made += u64::from(matches!(event, Push(_) | Failed));
                let is_possible = match &event {
                    Push(channel) => { existing.insert(*channel); true }
                    Failed => true,
                    Move(channel, release) => *release <= made && { existing.insert(*channel); true },
                    Delete(channel) => existing.remove(channel),
                };
                if is_possible {
                    past.push((time, event));
                }
            }
            let history = history(&past);
            let ended: HashSet<u64> = ended_at(time + later, &past).into_iter().collect();
            for channel in existing {
                let channel = &history.channels[&channel.parse::<ChannelName>().unwrap()];
                let mut standing = Standing::default();
                for made in &channel.moves[current_from(channel)..] {
                    standing.moves_to(made.release);
                }
                for release in standing.latest_first().take(3) {
                    prop_assert!(!ended.contains(&release.0), "{release} of {past:?}");
                }
            }
            // What is in use, three of each channel and as many that stand.
            let left = history.releases.len() - ended_at(time + 10_000 * DAY, &past).len();
            prop_assert!(left <= 3 * 6, "{left} are left");
        }
    }
}
