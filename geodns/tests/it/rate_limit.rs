//! Response rate limiting: forged queries are not amplified, and real clients get an answer.

use tokio::net::UdpSocket;
use tokio::time::Instant;
use verge_geodns::config::RateLimit;
use verge_test_kit::until;

use super::answer::Answer;
use super::query::{Query, query};
use super::world::World;

const PER_SECOND: u32 = 10;

async fn limited(slip: u32) -> World {
    World::with(|config| {
        config.rate_limit = RateLimit { per_second: PER_SECOND, slip, exempt: vec!["127.0.0.1/32".parse().unwrap()] };
        config.listen = vec!["0.0.0.0:0".parse().unwrap()];
        // Each worker has its share of the limit, and the kernel chooses the worker.
        config.workers = 1;
    })
    .await
}

/// The responses to a burst of queries.
struct Burst {
    answers: Vec<Answer>,
    bytes_in: usize,
    bytes_out: usize,
    seconds: f64,
}

impl Burst {
    /// How many responses are complete, and how many truncated. Those must have no records.
    fn counts(&self) -> (usize, usize) {
        let cut = self.answers.iter().filter(|answer| answer.is_truncated());
        let cut = cut.inspect(|answer| assert_eq!(answer.message.all_sections().count(), 0)).count();
        (self.answers.len() - cut, cut)
    }

    /// The most complete responses that the limit allows for the duration of the burst.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few dozen")]
    fn most_sent(&self) -> usize {
        (f64::from(PER_SECOND) * (self.seconds + 1.0)).ceil() as usize
    }
}

/// Sends queries from an address that is not exempt, and collects all responses.
async fn burst(world: &World, questions: impl Iterator<Item = Query>) -> Burst {
    let socket = UdpSocket::bind("127.0.0.9:0").await.unwrap();
    socket.connect(("127.0.0.1", world.name_server.dns_addr().port())).await.unwrap();
    let mut burst = Burst { answers: Vec::new(), bytes_in: 0, bytes_out: 0, seconds: 0.0 };
    let (start, mut buffer) = (Instant::now(), [0; 2048]);
    let questions: Vec<Query> = questions.collect();
    // No more at once than the socket's buffer holds.
    for some in questions.chunks(50) {
        let dropped = world.count("verge_dns_dropped_total").await;
        for question in some {
            let bytes = question.bytes();
            burst.bytes_in += bytes.len();
            socket.send(&bytes).await.unwrap();
        }
        let mut answered = 0;
        until("each query to be answered or dropped", async || {
            while let Ok(length) = socket.try_recv(&mut buffer) {
                answered += 1;
                burst.bytes_out += length;
                burst.answers.push(Answer::of(buffer[..length].to_vec()));
            }
            answered + world.count("verge_dns_dropped_total").await - dropped == some.len()
        })
        .await;
    }
    assert!(socket.try_recv(&mut buffer).is_err(), "every response was counted");
    burst.seconds = start.elapsed().as_secs_f64();
    burst
}

#[tokio::test]
async fn similar_responses_beyond_the_limit_are_dropped_or_truncated() {
    for slip in [1, 2, 5] {
        let world = limited(slip).await;
        let count = 300_usize;
        let burst = burst(&world, (0..300).map(|id| query("www.example.com A").id(id))).await;
        let (sent, cut) = burst.counts();
        assert!((10..=burst.most_sent()).contains(&sent), "{sent} in {} s", burst.seconds);
        // One in `slip` of the rest.
        assert_eq!(cut, (count - sent) / usize::try_from(slip).unwrap());
        // There is no limit over TCP, where addresses cannot be forged.
        let mut connection = super::tcp::Connection::from([127, 0, 0, 9].into(), world.name_server.dns_addr()).await;
        for _ in 0..50 {
            assert_eq!(connection.ask(&query("www.example.com A")).await.rcode(), "NOERROR");
        }
        world.stop().await;
    }
}

#[tokio::test]
async fn responses_with_slip_0_are_never_truncated() {
    let world = limited(0).await;
    let burst = burst(&world, (0..200).map(|id| query("www.example.com A").id(id))).await;
    let (sent, cut) = burst.counts();
    assert!((10..=burst.most_sent()).contains(&sent) && cut == 0, "{sent} {cut}");
    world.stop().await;
}

/// Otherwise random names, or letters in another case, would evade the limit.
#[tokio::test]
async fn similar_responses_share_a_limit() {
    let world = limited(0).await;
    let cases = |id: u16| {
        let name = "www.example.com";
        let name: String = name
            .chars()
            .enumerate()
            .map(|(at, letter)| if id >> (at % 16) & 1 == 1 { letter.to_ascii_uppercase() } else { letter })
            .collect();
        query(&format!("{name} A")).id(id)
    };
    let nowhere = |id: u16| query(&format!("random-{}.example.com A", u32::from(id) * 7919)).id(id);
    let deep = |id: u16| query(&format!("r{id}.r{id}.www.example.com AAAA")).id(id);
    let wild = |id: u16| query(&format!("random-{id}.wild.example.com TXT")).id(id);
    let refused = |id: u16| query(&format!("random-{id}.elsewhere.test A")).id(id);
    let below_cut = |id: u16| query(&format!("random-{id}.sub.example.com A")).id(id);
    let malformed = |id: u16| query("www.example.com A").id(id).questions(2);
    let kinds: [(&str, &dyn Fn(u16) -> Query); 7] = [
        ("names in other cases", &cases),
        ("names that do not exist", &nowhere),
        ("names of a wildcard", &wild),
        ("names outside the zones", &refused),
        ("names below a cut", &below_cut),
        ("malformed queries", &malformed),
        // Shares the limit for names of the zone that do not exist, which may be used up already.
        ("names below a name", &deep),
    ];
    for (what, question) in kinds {
        let burst = burst(&world, (0..200).map(question)).await;
        let (sent, _) = burst.counts();
        assert!(sent <= burst.most_sent(), "{what}: {sent} in {} s", burst.seconds);
    }
    world.stop().await;
}

#[tokio::test]
async fn different_responses_do_not_share_a_limit() {
    let world = limited(0).await;
    let names = ["www", "mail", "ns-1", "demo", "to-www", "large", "huge", "ent", "odd", "outward"];
    // Nine of each.
    let questions = (0..90).map(|id| query(&format!("{}.example.com A", names[usize::from(id) % 10])).id(id));
    assert_eq!(burst(&world, questions).await.counts(), (90, 0));
    // Exempt addresses are never limited.
    for _ in 0..50 {
        world.udp(&query("www.example.com A")).await;
    }
    world.stop().await;
}

/// The bytes sent are bounded by the bytes received, however large the responses are.
#[tokio::test]
async fn responses_are_not_amplified() {
    let world = limited(2).await;
    for question in [
        query("large.example.com TXT").edns(1232),
        query("wider.example.com A").edns(4096),
        query("example.com ANY").edns(4096),
        query("example.com NS"),
        query("nowhere.example.com A").edns(1232).subnet("192.0.2.0/24"),
        query("demo.example.com A").edns(512).option(3, b""),
    ] {
        let burst = burst(&world, (0..400).map(|id| question.clone().id(id))).await;
        let (sent, _) = burst.counts();
        assert!(sent <= burst.most_sent());
        // Half of the others get a response, which is no longer than the query.
        let most = sent * 1232 + burst.bytes_in.div_ceil(2);
        assert!(burst.bytes_out <= most, "{} in, {} out", burst.bytes_in, burst.bytes_out);
        assert!(
            burst.answers.iter().all(|answer| !answer.is_truncated() || answer.bytes.len() <= question.bytes().len())
        );
    }
    world.stop().await;
}
