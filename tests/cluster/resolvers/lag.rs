//! Readers and an edge that does not hear of a release.

use std::time::Duration;

use tokio::time::Instant;
use verge_tests::internet::{Plan, Read, Region};
use verge_tests::measured;

use super::ALLOWANCE;

/// For each client and each resolver.
const READERS: usize = 1;

/// How long they read before anything happens, and after all has.
const WHILE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_leave_an_edge_that_lags_behind_a_release_unless_all_do() {
    let Some(internet) = super::start("an edge lags", Plan::hasty(2)).await else { return };
    let (bound, [behind, _]) = (internet.plan.lag_bound(), internet.edge(Region::Europe));
    let readers = internet.read(READERS).await;
    readers.go_on(WHILE).await;

    internet.part_from_origin(Region::Europe).await;
    let pushed = Instant::now();
    internet.push("release 2").await;
    internet.caught_up_in(&[Region::America, Region::Asia]).await;
    readers.until_told("no reader is led to who is behind", |named| !named.contains(&behind)).await;
    readers.go_on(WHILE).await;
    let reads = readers.since(pushed);
    let last =
        |is: &dyn Fn(&Read) -> bool| reads.iter().filter(|read| is(read)).map(|read| read.at).max().unwrap() - pushed;
    let (left, old) =
        (last(&|read| read.named.contains(&behind)), last(&|read| read.page.as_deref() == Some("release 1")));
    measured(format_args!(
        "an edge did not hear of a release: the last of {} readers was led elsewhere {left:.1?} after it (bound: {bound:.1?}), and read \
         the old page until {old:.1?}",
        readers.count()
    ));
    assert!(left <= bound + ALLOWANCE, "{left:?}");

    internet.join_with_origin(Region::Europe).await;
    internet.caught_up().await;
    readers.until_told("the edge is named again", |named| named.contains(&behind)).await;

    for region in Region::ALL {
        internet.part_from_origin(region).await;
    }
    let parted = Instant::now();
    internet.push("release 3").await;
    // For as long as it would take to leave one that is behind.
    readers.go_on(bound).await;
    let reads = readers.since(parted);
    assert!(reads.iter().all(|read| read.page.as_deref() == Some("release 2")));
    assert!(reads.iter().all(|read| read.named.contains(&behind)), "nobody leaves an edge when all are behind");
    measured(format_args!(
        "no edge heard of a release: in {bound:.1?} nobody was led elsewhere in {} reads",
        reads.len()
    ));
    for region in Region::ALL {
        internet.join_with_origin(region).await;
    }
    readers.stop().await;
    internet.stop().await;
}
