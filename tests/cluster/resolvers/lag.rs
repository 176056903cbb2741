//! Readers of an edge that lags behind a release.

use std::time::Duration;

use tokio::time::Instant;
use verge_tests::internet::{InternetConfig, PageLoad, Region};
use verge_tests::report_measurement;

use super::ALLOWANCE;

/// Readers for each pair of client and resolver.
const READERS: usize = 1;

/// How long readers load pages before and after the lag.
const STEADY: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_lagging_edge_are_routed_away_unless_all_edges_lag() {
    let Some(internet) = super::start("lagging edge", InternetConfig::fast(2)).await else { return };
    let (bound, [lagging, _]) = (internet.config.lag_bound(), internet.edge_addresses(Region::Europe));
    let readers = internet.start_readers(READERS).await;
    readers.continue_for(STEADY).await;

    internet.disconnect_from_origin(Region::Europe).await;
    let pushed = Instant::now();
    internet.push("release 2").await;
    internet.until_caught_up(&[Region::America, Region::Asia]).await;
    readers.until_addresses("no answer to name the lagging edge", |addresses| !addresses.contains(&lagging)).await;
    readers.continue_for(STEADY).await;
    let loads = readers.loads_since(pushed);
    let last = |matches: &dyn Fn(&PageLoad) -> bool| {
        loads.iter().filter(|load| matches(load)).map(|load| load.start).max().unwrap() - pushed
    };
    let routed = last(&|load| load.addresses.contains(&lagging));
    let old_page = last(&|load| load.page.as_deref() == Some("release 1"));
    report_measurement(format_args!(
        "edge lagging: the last of {} readers was routed to it {routed:.1?} after the release (bound: {bound:.1?}), and the old page was \
         served until {old_page:.1?} after it",
        readers.count()
    ));
    assert!(routed <= bound + ALLOWANCE, "{routed:?}");

    internet.reconnect_to_origin(Region::Europe).await;
    internet.until_caught_up(&Region::ALL).await;
    readers.until_addresses("all answers to name the edge again", |addresses| addresses.contains(&lagging)).await;

    // It is left out without a release, before there is one that it cannot know.
    internet.disconnect_from_origin(Region::Europe).await;
    readers
        .until_addresses("no answer to name the edge that is cut off", |addresses| !addresses.contains(&lagging))
        .await;
    internet.reconnect_to_origin(Region::Europe).await;
    readers.until_addresses("all answers to name the edge again", |addresses| addresses.contains(&lagging)).await;

    for region in Region::ALL {
        internet.disconnect_from_origin(region).await;
    }
    // While they count as live, a release that no edge can prepare is abandoned.
    internet.until_none_live().await;
    let disconnected = Instant::now();
    internet.push("release 3").await;
    // For as long as it would take to route readers away from one lagging edge.
    readers.continue_for(bound).await;
    let loads = readers.loads_since(disconnected);
    assert!(loads.iter().all(|load| load.page.as_deref() == Some("release 2")));
    assert!(
        loads.iter().all(|load| load.addresses.contains(&lagging)),
        "readers were routed away although all edges lag"
    );
    report_measurement(format_args!(
        "all edges lagging: in {bound:.1?} no reader was routed away in {} page loads",
        loads.len()
    ));
    for region in Region::ALL {
        internet.reconnect_to_origin(region).await;
    }
    readers.stop().await;
    internet.stop().await;
}
