//! Response rate limiting: who forges questions gets little out of it, and who really asks gets an answer.

use tokio::net::UdpSocket;
use tokio::time::Instant;
use verge_geodns::config::RateLimit;

use super::answer::Answer;
use super::query::{Query, query};
use super::world::{World, until};

const PER_SECOND: u32 = 10;

async fn limited(slip: u32) -> World {
    World::with(|config| {
        config.rate_limit = RateLimit { per_second: PER_SECOND, slip, exempt: vec!["127.0.0.1/32".parse().unwrap()] };
        config.listen = vec!["0.0.0.0:0".parse().unwrap()];
        // Every thread has its share of the limit; which of them is asked is the kernel's choice.
        config.workers = 1;
    })
    .await
}

/// What came of a burst.
struct Burst {
    answers: Vec<Answer>,
    bytes_in: usize,
    bytes_out: usize,
    seconds: f64,
}

impl Burst {
    /// How many were answered, and how many cut short, of which each must be next to nothing.
    fn counts(&self) -> (usize, usize) {
        let cut = self.answers.iter().filter(|answer| answer.is_truncated());
        let cut = cut.inspect(|answer| assert_eq!(answer.message.all_sections().count(), 0)).count();
        (self.answers.len() - cut, cut)
    }

    /// The most that may be sent: what a second has, and what came to that since.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few dozen")]
    fn most_sent(&self) -> usize {
        (f64::from(PER_SECOND) * (self.seconds + 1.0)).ceil() as usize
    }
}

/// Sends questions from one address that is not exempt, and takes all answers there are.
async fn burst(world: &World, questions: impl Iterator<Item = Query>) -> Burst {
    let socket = UdpSocket::bind("127.0.0.9:0").await.unwrap();
    socket.connect(("127.0.0.1", world.name_server.dns_addr().port())).await.unwrap();
    let mut burst = Burst { answers: Vec::new(), bytes_in: 0, bytes_out: 0, seconds: 0.0 };
    let (start, mut buffer) = (Instant::now(), [0; 2048]);
    let questions: Vec<Query> = questions.collect();
    // As many at once as find room to wait.
    for some in questions.chunks(50) {
        let dropped = world.count("verge_dns_dropped_total").await;
        for question in some {
            let bytes = question.bytes();
            burst.bytes_in += bytes.len();
            socket.send(&bytes).await.unwrap();
        }
        let mut answered = 0;
        until("each to be answered or dropped", async || {
            while let Ok(length) = socket.try_recv(&mut buffer) {
                answered += 1;
                burst.bytes_out += length;
                burst.answers.push(Answer::of(buffer[..length].to_vec()));
            }
            answered + world.count("verge_dns_dropped_total").await - dropped == some.len()
        })
        .await;
    }
    assert!(socket.try_recv(&mut buffer).is_err(), "no more than was counted");
    burst.seconds = start.elapsed().as_secs_f64();
    burst
}

#[tokio::test]
async fn of_like_answers_some_are_sent_and_some_cut_short() {
    for slip in [1, 2, 5] {
        let world = limited(slip).await;
        let count = 300_usize;
        let burst = burst(&world, (0..300).map(|id| query("www.example.com A").id(id))).await;
        let (sent, cut) = burst.counts();
        assert!((10..=burst.most_sent()).contains(&sent), "{sent} in {} s", burst.seconds);
        // Every so many-th of the rest.
        assert_eq!(cut, (count - sent) / usize::try_from(slip).unwrap());
        // Over TCP there is no limit: nobody's address can be forged there.
        let mut connection = super::tcp::Connection::from([127, 0, 0, 9].into(), world.name_server.dns_addr()).await;
        for _ in 0..50 {
            assert_eq!(connection.ask(&query("www.example.com A")).await.rcode(), "NOERROR");
        }
        world.stop().await;
    }
}

#[tokio::test]
async fn nothing_is_cut_short_where_that_is_not_wanted() {
    let world = limited(0).await;
    let burst = burst(&world, (0..200).map(|id| query("www.example.com A").id(id))).await;
    let (sent, cut) = burst.counts();
    assert!((10..=burst.most_sent()).contains(&sent) && cut == 0, "{sent} {cut}");
    world.stop().await;
}

/// Or a letter in another case, or another random name, would be a way around.
#[tokio::test]
async fn what_is_alike_shares_a_limit() {
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
        ("names that are not there", &nowhere),
        ("names of a wildcard", &wild),
        ("names that are not ours", &refused),
        ("names below a cut", &below_cut),
        ("questions that are none", &malformed),
        // Shares the zone's limit for names that are not there, of which little may be left.
        ("names below names", &deep),
    ];
    for (what, question) in kinds {
        let burst = burst(&world, (0..200).map(question)).await;
        let (sent, _) = burst.counts();
        assert!(sent <= burst.most_sent(), "{what}: {sent} in {} s", burst.seconds);
    }
    world.stop().await;
}

#[tokio::test]
async fn what_is_unlike_does_not_share_one() {
    let world = limited(0).await;
    let names = ["www", "mail", "ns-1", "demo", "to-www", "large", "huge", "ent", "odd", "outward"];
    // Nine of each.
    let questions = (0..90).map(|id| query(&format!("{}.example.com A", names[usize::from(id) % 10])).id(id));
    assert_eq!(burst(&world, questions).await.counts(), (90, 0));
    // Who is exempt is never limited.
    for _ in 0..50 {
        world.udp(&query("www.example.com A")).await;
    }
    world.stop().await;
}

/// What goes out is bounded by what comes in, however large the answers are.
#[tokio::test]
async fn nobody_is_made_a_weapon_of() {
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
        // Of the others, half are answered with no more than they have.
        let most = sent * 1232 + burst.bytes_in.div_ceil(2);
        assert!(burst.bytes_out <= most, "{} in, {} out", burst.bytes_in, burst.bytes_out);
        assert!(
            burst.answers.iter().all(|answer| !answer.is_truncated() || answer.bytes.len() <= question.bytes().len())
        );
    }
    world.stop().await;
}
