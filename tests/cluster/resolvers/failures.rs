//! Edges and name servers that die and come back, seen through resolvers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tokio::time::Instant;
use verge_tests::internet::{Internet, Plan, Region, Resolver};
use verge_tests::measured;

use super::ALLOWANCE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_an_edge_that_dies_move_to_the_next_and_come_back() {
    let Some(mut internet) = super::start("an edge dies", Plan::hasty(1)).await else { return };
    let bound = internet.plan.failure_bound();
    internet.until_led(|region| region).await;
    internet.stop_edge(Region::Europe).await;
    let next = |region: Region| region.nearest()[usize::from(region == Region::Europe)];
    let left = internet.until_led(next).await;
    internet.start_edge(Region::Europe).await;
    let back = internet.until_led(|region| region).await;
    measured(format_args!(
        "an edge was stopped: its readers were led elsewhere within {left:.1?} (bound: {bound:.1?}), and back within {back:.1?}"
    ));
    assert!(left <= bound + ALLOWANCE, "{left:?}");
    internet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_resolve_while_a_name_server_is_away_and_again_after_both_were() {
    let Some(mut internet) = super::start("name servers die", Plan::hasty(1)).await else { return };
    internet.until_led(|region| region).await;
    let names = Names::default();
    let with_both = names.slowest(&internet).await;
    internet.cut_node(1).await;
    let with_one = names.slowest(&internet).await;
    internet.mend_node(1).await;
    measured(format_args!(
        "a name server fell silent: the slowest of {} answers to new names took {with_one:.1?}, and {with_both:.1?} before",
        Names::EACH * Resolver::ALL.len()
    ));

    for node in [0, 1] {
        internet.stop_node(node).await;
    }
    // So that each resolver has seen it.
    let found = join_all(Resolver::ALL.map(|resolver| names.find(&internet, resolver))).await;
    assert_eq!(found, [false; 3]);
    for node in [0, 1] {
        internet.start_node(node).await;
    }
    let start = Instant::now();
    let back = Resolver::ALL.map(async |resolver| {
        while !names.find(&internet, resolver).await {}
        start.elapsed()
    });
    let back = join_all(back).await.into_iter().max().unwrap();
    internet.until_led(|region| region).await;
    measured(format_args!("both name servers were stopped and came back: new names are found after {back:.1?}"));
    internet.stop().await;
}

/// Names that no resolver has been asked for before.
#[derive(Default)]
struct Names(AtomicUsize);

impl Names {
    /// How many each resolver is asked for at a time.
    const EACH: usize = 10;

    /// Asks for some, one after another and each at most twice, as machines do. All must be found; how long the slowest took.
    async fn slowest(&self, internet: &Internet) -> Duration {
        let slowest = Resolver::ALL.map(async |resolver| {
            let mut slowest = Duration::ZERO;
            for _ in 0..Self::EACH {
                let start = Instant::now();
                let found = self.find(internet, resolver).await || self.find(internet, resolver).await;
                assert!(found, "{resolver:?} does not find a name");
                slowest = slowest.max(start.elapsed());
            }
            slowest
        });
        join_all(slowest).await.into_iter().max().unwrap()
    }

    /// Asks for one, once.
    async fn find(&self, internet: &Internet, resolver: Resolver) -> bool {
        let name = format!("name-{}.fresh.verge.test", self.0.fetch_add(1, Ordering::Relaxed));
        let reply = internet.ask(0, resolver, &name, RecordType::A).await;
        reply.is_some_and(|reply| reply.code == ResponseCode::NoError && reply.addresses.len() == 1)
    }
}
