//! Edges and name servers that stop and start again, as readers behind resolvers observe them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tokio::time::Instant;
use verge_test_kit::until;
use verge_tests::internet::{Internet, InternetConfig, Region, Resolver};
use verge_tests::report_measurement;

use super::ALLOWANCE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_stopped_edge_are_routed_to_next_edge_and_back() {
    let Some(mut internet) = super::start("stopped edge", InternetConfig::fast(1)).await else { return };
    let bound = internet.config.failover_bound();
    internet.until_routed(|region| region).await;
    internet.stop_edge(Region::Europe).await;
    let next = |region: Region| region.by_distance()[usize::from(region == Region::Europe)];
    let away = internet.until_routed(next).await;
    internet.start_edge(Region::Europe).await;
    let back = internet.until_routed(|region| region).await;
    report_measurement(format_args!(
        "edge stopped: its readers were routed to the next edge within {away:.1?} (bound: {bound:.1?}), and back within {back:.1?} \
         of its start"
    ));
    assert!(away <= bound + ALLOWANCE, "{away:?}");
    internet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_with_one_name_server_down_or_both_restarted_resolve() {
    let Some(mut internet) = super::start("name servers down", InternetConfig::fast(1)).await else { return };
    internet.until_routed(|region| region).await;
    let names = UncachedNames::default();
    let with_both = names.slowest_resolution(&internet).await;
    internet.isolate_name_server(1).await;
    let with_one = names.slowest_resolution(&internet).await;
    internet.rejoin_name_server(1).await;
    report_measurement(format_args!(
        "one of two name servers isolated: the slowest of {} resolutions of uncached names took {with_one:.1?}, and {with_both:.1?} \
         before",
        UncachedNames::PER_RESOLVER * Resolver::ALL.len()
    ));

    for number in [0, 1] {
        internet.stop_name_server(number).await;
    }
    // Each resolver notices that both are down.
    let resolved = join_all(Resolver::ALL.map(|resolver| names.resolve(&internet, resolver))).await;
    assert_eq!(resolved, [false; 3]);
    for number in [0, 1] {
        internet.start_name_server(number).await;
    }
    let start = Instant::now();
    let recoveries = Resolver::ALL.map(async |resolver| {
        until(format_args!("{resolver:?} to resolve names again"), async || names.resolve(&internet, resolver).await)
            .await;
        start.elapsed()
    });
    let recovery = join_all(recoveries).await.into_iter().max().unwrap();
    internet.until_routed(|region| region).await;
    report_measurement(format_args!(
        "both name servers stopped and started: uncached names resolve again after {recovery:.1?}"
    ));
    internet.stop().await;
}

/// Names that are in no cache: each is queried for once or twice in a row.
#[derive(Default)]
struct UncachedNames(AtomicUsize);

impl UncachedNames {
    /// How many names each resolver resolves for one measurement.
    const PER_RESOLVER: usize = 10;

    /// Resolves names one after another, each with one retry, as machines do. All must resolve. Returns the longest time.
    async fn slowest_resolution(&self, internet: &Internet) -> Duration {
        let slowest = Resolver::ALL.map(async |resolver| {
            let mut slowest = Duration::ZERO;
            for _ in 0..Self::PER_RESOLVER {
                let start = Instant::now();
                let resolved = self.resolve(internet, resolver).await || self.resolve(internet, resolver).await;
                assert!(resolved, "{resolver:?} does not resolve a name");
                slowest = slowest.max(start.elapsed());
            }
            slowest
        });
        join_all(slowest).await.into_iter().max().unwrap()
    }

    /// Sends one query for a new name; true if it resolves.
    async fn resolve(&self, internet: &Internet, resolver: Resolver) -> bool {
        let name = format!("name-{}.fresh.verge.test", self.0.fetch_add(1, Ordering::Relaxed));
        let response = internet.query(0, resolver, &name, RecordType::A).await;
        response.is_some_and(|response| response.code == ResponseCode::NoError && response.addresses.len() == 1)
    }
}
