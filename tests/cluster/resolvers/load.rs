//! Readers that load pages all the time while an edge fails, and while one is drained and restarted.

use std::time::Duration;

use tokio::time::Instant;
use verge_tests::internet::{InternetConfig, PageLoad, Region};
use verge_tests::report_measurement;

use super::ALLOWANCE;

/// Readers for each pair of client and resolver.
const READERS: usize = 2;

/// How long readers load pages before and after each change.
const STEADY: Duration = Duration::from_secs(3);

/// The edge is isolated silently: readers and the probes of the name servers notice by timeouts only. Each answer names two edges,
/// so no page load fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_loads_while_an_edge_fails_under_load_all_succeed() {
    let Some(internet) = super::start("failing edge under load", InternetConfig::fast(2)).await else { return };
    let (bound, [failed, _]) = (internet.config.failover_bound(), internet.edge_addresses(Region::Europe));
    let readers = internet.start_readers(READERS).await;
    let start = Instant::now();
    readers.continue_for(STEADY).await;
    let isolated = Instant::now();
    internet.isolate_edge(Region::Europe).await;
    readers.until_addresses("no answer to name the failed edge", |addresses| !addresses.contains(&failed)).await;
    readers.continue_for(STEADY).await;

    let (before, after): (Vec<PageLoad>, Vec<PageLoad>) =
        readers.loads_since(start).into_iter().partition(|load| load.start < isolated);
    let count =
        |loads: &[PageLoad], matches: &dyn Fn(&PageLoad) -> bool| loads.iter().filter(|load| matches(load)).count();
    let is_failure = |load: &PageLoad| load.page.is_none();
    assert_eq!(
        (count(&before, &is_failure), count(&after, &is_failure)),
        (0, 0),
        "page loads that failed at both addresses"
    );
    let is_from_nearest = |load: &PageLoad| load.served_by() == Some(internet.edge_addresses(load.region)[0]);
    report_measurement(format_args!(
        "answers with two edges, in the order of the resolver: {} of {} pages were served by the nearest edge",
        count(&before, &is_from_nearest),
        before.len()
    ));
    let last =
        after.iter().filter(|load| load.addresses.contains(&failed)).map(|load| load.start).max().unwrap() - isolated;
    report_measurement(format_args!(
        "edge isolated under {} readers: the last answer that named it was used until {last:.1?} later (bound: {bound:.1?}); of {} page \
         loads since, {} needed the second address, none failed",
        readers.count(),
        after.len(),
        count(&after, &|load| load.attempts > 1),
    ));
    assert!(last <= bound + ALLOWANCE, "{last:?}");
    readers.stop().await;
    internet.stop().await;
}

/// The edge serves all readers that are routed to it while it drains, and none is when it stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_draining_edge_are_routed_away_before_it_stops() {
    let Some(mut internet) = super::start("restarted edge under load", InternetConfig::fast(2)).await else { return };
    let (bound, [edge, _]) = (internet.config.draining_bound(), internet.edge_addresses(Region::Europe));
    let readers = internet.start_readers(READERS).await;
    readers.continue_for(STEADY).await;
    let draining = Instant::now();
    internet.drain_edge(Region::Europe).await;
    let stopped = Instant::now();
    internet.stop_edge(Region::Europe).await;
    readers.continue_for(STEADY).await;
    let started = Instant::now();
    internet.start_edge(Region::Europe).await;
    readers.continue_for(STEADY).await;

    let loads = readers.loads_since(draining);
    assert_eq!(loads.iter().filter(|load| load.page.is_none()).count(), 0, "page loads that failed");
    let routed = loads.iter().filter(|load| load.addresses.contains(&edge) && load.start < started);
    let last = routed.map(|load| load.start).max().unwrap();
    report_measurement(format_args!(
        "edge drained and restarted under {} readers: the last was routed to it {:.1?} after it began to drain (bound: {bound:.1?}); of \
         {} page loads since, {} needed the second address, none failed",
        readers.count(),
        last - draining,
        loads.len(),
        loads.iter().filter(|load| load.attempts > 1).count(),
    ));
    assert!(last < stopped, "a reader was routed to the edge {:?} after it stopped", last - stopped);
    readers.stop().await;
    internet.stop().await;
}
