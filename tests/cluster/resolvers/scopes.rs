//! Each reader gets the nearest edge, and resolvers keep an answer for as wide a network as it holds for.

use hickory_proto::rr::RecordType;
use verge_tests::internet::{NAME, Places, Plan, Resolver};
use verge_tests::measured;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reader_is_led_to_the_nearest_edge_by_overrides() {
    leads_to_the_nearest_edge(Places::Overrides).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reader_is_led_to_the_nearest_edge_by_a_database() {
    leads_to_the_nearest_edge(Places::Database).await;
}

async fn leads_to_the_nearest_edge(places: Places) {
    let mut plan = Plan { places, ..Plan::hasty(1) };
    // Nothing is to leave a cache in between.
    (plan.answers.ttl, plan.answers.suspect_ttl) = (60, 60);
    let Some(internet) = super::start("the nearest edge", plan).await else { return };
    for resolver in Resolver::ALL {
        // A resolver that comes for the first time looks the name servers up as well.
        for record_type in [RecordType::A, RecordType::AAAA] {
            internet.ask(0, resolver, &format!("{resolver:?}.fresh.verge.test"), record_type).await.unwrap();
        }
        let mut questions = Vec::new();
        // A client of IPv6 has another subnet to be told of, whatever it asks for.
        for over_v6 in [false, true] {
            for (family, record_type) in [RecordType::A, RecordType::AAAA].into_iter().enumerate() {
                for (client, region) in internet.clients() {
                    let before = internet.questions(record_type).await;
                    let reply = internet.ask_over(over_v6, client, resolver, NAME, record_type).await.unwrap();
                    let nearest = resolver.places(region);
                    let what = format!("{resolver:?}, {region:?}, {record_type}, over IPv6: {over_v6}");
                    assert_eq!(reply.addresses, [internet.edge(nearest)[family]], "{what}");
                    questions.push(internet.questions(record_type).await - before);
                }
            }
        }
        // The fourth client is in the /24 of the first, and in another /48 of the same /40, for which the answer holds too.
        let expected = if resolver.sends_subnets() {
            [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
        } else {
            [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
        };
        assert_eq!(questions, expected.as_flattened(), "{resolver:?}");
        measured(format_args!(
            "{resolver:?}, places by {places:?}: the nearest edge for {} answers, by {} questions to the name servers",
            questions.len(),
            questions.iter().sum::<u64>()
        ));
    }
    internet.stop().await;
}
