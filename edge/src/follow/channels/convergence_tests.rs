//! Whatever happens in whatever order, the end is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use verge_protocol::Digest;

use super::Channels;
use super::test_support::{NOW, gone, hold, release, row, rows, served};

#[derive(Debug, Clone)]
enum Happening {
    Write { site: usize, number: u64, inherits: Vec<u64> },
    Remove(usize),
    Hold(u64),
    Fail(u64),
    Restart,
    Prune,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0_usize..3, 1_u64..6, prop::collection::vec(1_u64..6, 0..3))
            .prop_map(|(site, number, inherits)| Happening::Write { site, number, inherits }),
        1 => (0_usize..3).prop_map(Happening::Remove),
        4 => (1_u64..6).prop_map(Happening::Hold),
        1 => (1_u64..6).prop_map(Happening::Fail),
        1 => Just(Happening::Restart),
        1 => Just(Happening::Prune),
    ]
}

proptest! {
    /// Whatever came in between, once everything wanted is here the table is that of the last rows; and before that, no
    /// channel ever serves a release that was never told for it, nor goes back.
    #[test]
    fn every_order_ends_in_the_same_table(happenings in prop::collection::vec(happening(), 0..40)) {
        let sites = ["a", "b", "c"];
        let mut channels = Channels::default();
        let mut straight = Channels::default();
        let mut seq = 0;
        for happening in happenings {
            let written = match happening {
                Happening::Write { site, number, inherits } => {
                    seq += 1;
                    vec![row(sites[site], seq, number, &inherits)]
                }
                Happening::Remove(site) => {
                    seq += 1;
                    vec![gone(sites[site], seq)]
                }
                Happening::Hold(number) => {
                    hold(&mut channels, number);
                    vec![]
                }
                Happening::Fail(number) => {
                    channels.fail(release(number).manifest(), "no".into());
                    vec![]
                }
                Happening::Restart => {
                    channels = Channels::restore(channels.saved());
                    vec![]
                }
                Happening::Prune => {
                    channels.prune(NOW);
                    vec![]
                }
            };
            if !written.is_empty() {
                rows(&mut channels, written.clone());
                rows(&mut straight, written);
            }
        }
        let all: BTreeMap<Digest, u64> = (1..6).map(|number| (release(number).manifest(), number)).collect();
        for wanted in channels.wanted(NOW) {
            hold(&mut channels, all[&wanted]);
        }
        for wanted in straight.wanted(NOW) {
            hold(&mut straight, all[&wanted]);
        }
        prop_assert_eq!(served(&channels), served(&straight));
        prop_assert_eq!(channels.applied(), straight.applied());
        prop_assert_eq!(channels.applied().lagging, vec![]);
        prop_assert_eq!(channels.wanted(NOW.after(Duration::from_millis(1))), vec![]);
    }
}
