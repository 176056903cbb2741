//! Property tests: the order of events does not change where channels end up, and a channel never serves less than it could.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use verge_daemon::feed::Change;
use verge_protocol::state::Row;
use verge_protocol::{Digest, SiteName};

use super::Channels;
use super::test_support::{
    NOW, add_manifest, apply_rows, at, look_up, preparations, release, restart, rollout, rollout_tombstone, row,
    served, set_holding, tombstone,
};
use crate::follow::manifests::ManifestFailure;
use crate::status::AppliedState;

const SITES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Event {
    Write {
        site: usize,
        number: u64,
        inherits: Vec<u64>,
    },
    Remove(usize),
    Prepare {
        site: usize,
        number: u64,
    },
    EndRollout(usize),
    /// Of a manifest.
    Arrive(u64),
    Fail(u64),
    /// The last missing blob of a release arrives.
    Complete(u64),
    /// A blob of a release is lost.
    Lose(u64),
    Restart,
    Prune,
}

/// An event of the first `sites` sites and of the releases below `numbers`.
fn event(sites: usize, numbers: u64) -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..sites, 1..numbers, prop::collection::vec(1..numbers, 0..3))
            .prop_map(|(site, number, inherits)| Event::Write { site, number, inherits }),
        1 => (0..sites).prop_map(Event::Remove),
        3 => (0..sites, 1..numbers).prop_map(|(site, number)| Event::Prepare { site, number }),
        1 => (0..sites).prop_map(Event::EndRollout),
        4 => (1..numbers).prop_map(Event::Arrive),
        1 => (1..numbers).prop_map(Event::Fail),
        4 => (1..numbers).prop_map(Event::Complete),
        1 => (1..numbers).prop_map(Event::Lose),
        1 => Just(Event::Restart),
        1 => Just(Event::Prune),
    ]
}

/// The row that an event writes.
fn written(event: &Event, seq: u64) -> Option<Row> {
    match event {
        Event::Write { site, number, inherits } => Some(row(SITES[*site], seq, *number, inherits)),
        Event::Remove(site) => Some(tombstone(SITES[*site], seq)),
        Event::Prepare { site, number } => Some(rollout(SITES[*site], seq, *number)),
        Event::EndRollout(site) => Some(rollout_tombstone(SITES[*site], seq)),
        _ => None,
    }
}

fn add_everything(channels: &mut Channels) {
    let numbers: BTreeMap<Digest, u64> = (1..6).map(|number| (release(number).manifest(), number)).collect();
    for missing in channels.missing_manifests() {
        add_manifest(channels, numbers[&missing]);
    }
    for awaited in channels.awaited_releases() {
        set_holding(channels, numbers[&awaited.manifest()], true);
    }
}

/// The release that each site serves, without those it inherits from.
fn releases(channels: &Channels) -> BTreeMap<String, String> {
    served(channels).into_iter().map(|(site, shown)| (site, shown.split(' ').next().unwrap().to_owned())).collect()
}

/// The sites whose channel does not lag.
fn confirmed(channels: &Channels) -> BTreeSet<String> {
    let lagging: BTreeSet<SiteName> = channels.applied_state().lagging.into_iter().map(|lag| lag.site).collect();
    releases(channels).into_keys().filter(|site| !lagging.contains(&site.parse().unwrap())).collect()
}

proptest! {
    /// Whatever happens in between: once everything has arrived, the table is that of the last rows.
    #[test]
    fn channels_after_any_order_of_events_serve_their_last_rows(events in prop::collection::vec(event(3, 6), 0..40)) {
        let mut channels = Channels::default();
        let mut undisturbed = Channels::default();
        for (seq, event) in (1..).zip(events) {
            match &event {
                Event::Arrive(number) => drop(add_manifest(&mut channels, *number)),
                Event::Fail(number) => {
                    channels.record_failure(release(*number).manifest(), ManifestFailure::of("unreachable"));
                }
                Event::Complete(number) => drop(set_holding(&mut channels, *number, true)),
                Event::Lose(number) => drop(set_holding(&mut channels, *number, false)),
                Event::Restart => channels = restart(&channels),
                Event::Prune => channels.prune(NOW),
                _ => {
                    let row = written(&event, seq).unwrap();
                    apply_rows(&mut channels, vec![row.clone()]);
                    apply_rows(&mut undisturbed, vec![row]);
                }
            }
        }
        for channels in [&mut channels, &mut undisturbed] {
            add_everything(channels);
        }
        prop_assert_eq!(served(&channels), served(&undisturbed));
        // Whether it has read the feed since its last restart is no matter of order.
        let [disturbed, undisturbed] = [&channels, &undisturbed].map(Channels::applied_state);
        prop_assert_eq!(&disturbed, &AppliedState { has_caught_up: disturbed.has_caught_up, ..undisturbed });
        prop_assert_eq!(channels.applied_state().lagging, vec![]);
        prop_assert!(preparations(&channels).iter().all(|(.., prepared)| *prepared));
        prop_assert_eq!(channels.missing_manifests(), vec![]);
    }

    /// With manifests and blobs that arrive in any order, and restarts: a channel confirms only what was on disk as a whole while it was
    /// needed, and does not leave a release for one that is not.
    #[test]
    fn channel_confirms_and_switches_only_to_what_it_holds(events in prop::collection::vec(event(1, 4), 0..40)) {
        let mut channels = Channels::default();
        let mut arrived = BTreeSet::new();
        let mut complete = BTreeSet::new();
        let mut once_complete = BTreeSet::new();
        for (seq, event) in (1..).zip(events) {
            let before = releases(&channels);
            match &event {
                Event::Arrive(number) => drop(arrived.insert(*number)),
                Event::Complete(number) => drop(complete.insert(*number)),
                Event::Lose(number) => drop(complete.remove(number)),
                Event::Fail(_) | Event::Prune => channels.prune(NOW),
                Event::Restart => channels = restart(&channels),
                _ => drop(channels.apply(Change::Rows(at(1, seq), vec![written(&event, seq).unwrap()]))),
            }
            // As the apply task does: what is on disk is looked up before channels advance. It learns at once what has arrived, and later
            // what was lost.
            for number in &arrived {
                channels.add_manifest(release(*number));
            }
            let looked_up = match &event {
                Event::Complete(_) => channels.awaited_releases(),
                _ => channels.unchecked_releases(),
            };
            for number in 1..6 {
                if looked_up.iter().any(|looked_up| looked_up.manifest() == release(number).manifest()) {
                    look_up(&mut channels, number, complete.contains(&number));
                }
            }
            channels.advance(NOW);
            once_complete.extend(complete.intersection(&arrived).copied());
            let after = releases(&channels);
            for (site, shown) in &after {
                let number: u64 = shown.parse().unwrap();
                if before.get(site).is_some_and(|before| before != shown) {
                    prop_assert!(complete.contains(&number), "{site} has switched to {number}");
                }
            }
            for site in confirmed(&channels) {
                let number: u64 = after[&site].parse().unwrap();
                prop_assert!(once_complete.contains(&number), "{site} confirms {number}");
            }
        }
    }
}
