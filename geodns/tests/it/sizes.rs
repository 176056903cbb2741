//! Sizes of responses (RFC 1035 §4.2.1, RFC 2181 §9, RFC 6891 §6.2).

use super::query::query;
use super::world::World;

#[tokio::test]
async fn udp_response_is_within_the_requestors_size_and_1232_bytes() {
    let world = World::start().await;
    for (name, size, whole) in [
        ("www", None, true),
        ("large", None, false),
        ("large", Some(0), false),
        ("large", Some(512), false),
        ("large", Some(800), false),
        ("large", Some(900), true),
        ("large", Some(1232), true),
        ("large", Some(65_535), true),
        ("huge", Some(1232), false),
        ("huge", Some(4096), false),
        ("huge", Some(65_535), false),
    ] {
        let question = query(&format!("{name}.example.com TXT"));
        let question = size.map_or(question.clone(), |size| question.edns(size));
        let (udp, tcp) = (world.udp(&question).await, world.tcp(&question).await);
        let most = usize::from(size.unwrap_or(512).clamp(512, 1232));
        assert!(udp.bytes.len() <= most, "{name} in {size:?}: {}", udp.bytes.len());
        assert!(!tcp.is_truncated());
        if whole {
            assert_eq!(udp.bytes, tcp.bytes, "{name} in {size:?}");
        } else {
            // Only complete record sets are sent: here none.
            assert_eq!(udp.text(), "NOERROR aa tc", "{name} in {size:?}");
            assert_eq!(udp.opt(), tcp.opt());
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn udp_response_at_every_size_is_complete_or_truncated() {
    let world = World::start().await;
    for name in ["large TXT", "wide A", "wider A", "huge TXT"] {
        let (name, record_type) = name.split_once(' ').unwrap();
        let text = format!("{name}.example.com {record_type}");
        let whole = world.tcp(&query(&text).edns(1232)).await;
        for size in (512..=1240).step_by(13).chain([whole.bytes.len() - 1, whole.bytes.len(), whole.bytes.len() + 1]) {
            let question = query(&text).edns(u16::try_from(size).unwrap());
            let answer = world.udp(&question).await;
            let most = size.clamp(512, 1232);
            assert!(answer.bytes.len() <= most);
            let fits = whole.bytes.len() <= most;
            assert_eq!(answer.is_truncated(), !fits, "{text} in {size}, of {}", whole.bytes.len());
            assert_eq!(
                answer.message.all_sections().count(),
                if fits { whole.message.all_sections().count() } else { 0 }
            );
        }
    }
    world.stop().await;
}

/// The size includes the options.
#[tokio::test]
async fn client_subnet_option_fits_into_the_smallest_response() {
    let world = World::start().await;
    for name in ["large", "huge"] {
        let question = query(&format!("{name}.example.com TXT")).edns(512).subnet("2001:db8:1::/56").option(3, b"");
        let answer = world.udp(&question).await;
        assert_eq!(answer.text(), "NOERROR aa tc");
        assert_eq!(answer.opt().unwrap().2.len(), 2);
        assert!(answer.bytes.len() <= 512);
    }
    world.stop().await;
}
