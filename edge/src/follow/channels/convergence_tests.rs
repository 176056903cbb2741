//! Property test: the order of events does not change where channels end up.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use verge_protocol::Digest;

use super::Channels;
use super::test_support::{NOW, add_manifest, apply_rows, release, restart, row, served, tombstone};

#[derive(Debug, Clone)]
enum Event {
    Write { site: usize, number: u64, inherits: Vec<u64> },
    Remove(usize),
    Arrive(u64),
    Fail(u64),
    Restart,
    Prune,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_usize..3, 1_u64..6, prop::collection::vec(1_u64..6, 0..3))
            .prop_map(|(site, number, inherits)| Event::Write { site, number, inherits }),
        1 => (0_usize..3).prop_map(Event::Remove),
        4 => (1_u64..6).prop_map(Event::Arrive),
        1 => (1_u64..6).prop_map(Event::Fail),
        1 => Just(Event::Restart),
        1 => Just(Event::Prune),
    ]
}

proptest! {
    /// Whatever happens in between: once all missing manifests have arrived, the table is that of the last rows.
    #[test]
    fn channels_after_any_order_of_events_serve_their_last_rows(events in prop::collection::vec(event(), 0..40)) {
        let sites = ["a", "b", "c"];
        let mut channels = Channels::default();
        let mut undisturbed = Channels::default();
        let mut seq = 0;
        for event in events {
            let written = match event {
                Event::Write { site, number, inherits } => {
                    seq += 1;
                    vec![row(sites[site], seq, number, &inherits)]
                }
                Event::Remove(site) => {
                    seq += 1;
                    vec![tombstone(sites[site], seq)]
                }
                Event::Arrive(number) => {
                    add_manifest(&mut channels, number);
                    vec![]
                }
                Event::Fail(number) => {
                    channels.record_failure(release(number).manifest(), "unreachable".into());
                    vec![]
                }
                Event::Restart => {
                    channels = restart(&channels);
                    vec![]
                }
                Event::Prune => {
                    channels.prune(NOW);
                    vec![]
                }
            };
            if !written.is_empty() {
                apply_rows(&mut channels, written.clone());
                apply_rows(&mut undisturbed, written);
            }
        }
        let all: BTreeMap<Digest, u64> = (1..6).map(|number| (release(number).manifest(), number)).collect();
        for missing in channels.missing_manifests(NOW) {
            add_manifest(&mut channels, all[&missing]);
        }
        for missing in undisturbed.missing_manifests(NOW) {
            add_manifest(&mut undisturbed, all[&missing]);
        }
        prop_assert_eq!(served(&channels), served(&undisturbed));
        prop_assert_eq!(channels.applied_state(), undisturbed.applied_state());
        prop_assert_eq!(channels.applied_state().lagging, vec![]);
        prop_assert_eq!(channels.missing_manifests(NOW.after(Duration::from_millis(1))), vec![]);
    }
}
