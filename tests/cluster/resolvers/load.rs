//! Readers under load while an edge dies, and while one restarts.

use std::time::Duration;

use tokio::time::Instant;
use verge_tests::internet::{Plan, Read, Region};
use verge_tests::measured;

use super::ALLOWANCE;

/// For each client and each resolver.
const READERS: usize = 2;

/// How long they read before anything happens, and after all has.
const WHILE: Duration = Duration::from_secs(3);

/// An edge that falls silent: readers find out by waiting, and so do the name servers' probes. Each answer names two edges, so
/// none of the readers fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_fails_while_an_edge_dies_under_load() {
    let Some(internet) = super::start("an edge dies under load", Plan::hasty(2)).await else { return };
    let (bound, [dead, _]) = (internet.plan.failure_bound(), internet.edge(Region::Europe));
    let readers = internet.read(READERS).await;
    let start = Instant::now();
    readers.go_on(WHILE).await;
    let cut = Instant::now();
    internet.cut_edge(Region::Europe).await;
    readers.until_told("no reader is told of the dead edge", |named| !named.contains(&dead)).await;
    readers.go_on(WHILE).await;

    let (before, after): (Vec<Read>, Vec<Read>) = readers.since(start).into_iter().partition(|read| read.at < cut);
    let count = |reads: &[Read], like: &dyn Fn(&Read) -> bool| reads.iter().filter(|read| like(read)).count();
    let failed = |read: &Read| read.page.is_none();
    assert_eq!((count(&before, &failed), count(&after, &failed)), (0, 0), "reads that failed at both addresses");
    let to_the_nearest = |read: &Read| read.by() == Some(internet.edge(read.region)[0]);
    measured(format_args!(
        "of {} reads that had two edges to choose from, in the resolver's order, {} were from the nearest",
        before.len(),
        count(&before, &to_the_nearest)
    ));
    let last = after.iter().filter(|read| read.named.contains(&dead)).map(|read| read.at).max().unwrap() - cut;
    measured(format_args!(
        "an edge fell silent under {} readers: the last was told of another after {last:.1?} (bound: {bound:.1?}); of {} reads since, \
         {} took the second address, none failed",
        readers.count(),
        after.len(),
        count(&after, &|read| read.tries > 1),
    ));
    assert!(last <= bound + ALLOWANCE, "{last:?}");
    readers.stop().await;
    internet.stop().await;
}

/// An edge that leaves before it stops: whoever is still sent there is served, and when it stops nobody is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_is_sent_to_an_edge_that_has_left() {
    let Some(mut internet) = super::start("an edge restarts under load", Plan::hasty(2)).await else { return };
    let (bound, [edge, _]) = (internet.plan.leaving_bound(), internet.edge(Region::Europe));
    let readers = internet.read(READERS).await;
    readers.go_on(WHILE).await;
    let left = Instant::now();
    internet.edge_leaves(Region::Europe).await;
    let stopped = Instant::now();
    internet.stop_edge(Region::Europe).await;
    readers.go_on(WHILE).await;
    let started = Instant::now();
    internet.start_edge(Region::Europe).await;
    readers.go_on(WHILE).await;

    let reads = readers.since(left);
    assert_eq!(reads.iter().filter(|read| read.page.is_none()).count(), 0, "reads that failed");
    let sent_there: Vec<&Read> = reads.iter().filter(|read| read.named.contains(&edge) && read.at < started).collect();
    let last = sent_there.iter().map(|read| read.at).max().unwrap();
    measured(format_args!(
        "an edge left and was started again under {} readers: the last was sent there {:.1?} after it said so (bound: {bound:.1?}); of {} \
         reads since, {} took a second address, none failed",
        readers.count(),
        last - left,
        reads.len(),
        reads.iter().filter(|read| read.tries > 1).count(),
    ));
    assert!(last < stopped, "sent to an edge {:?} after it stopped", last - stopped);
    readers.stop().await;
    internet.stop().await;
}
