//! Files that the build itself has encoded.

use verge_protocol::Coding;
use verge_test_kit::release;

use super::world::World;

#[tokio::test]
async fn file_that_the_build_has_encoded_is_sent_as_it_is_with_its_coding_whatever_the_reader_accepts() {
    let world = World::start().await;
    let site = release(&[("Build/a.js.gz", "gzip bytes"), ("index.html", "hi")]);
    let site = site.encoded_by_build("Build/a.js.gz", Coding::Gzip);
    world.wait_until_served(world.origin.publish("demo/live", 1, &site, &[])).await;
    for (line, fields, status, body) in [
        ("GET", "", "200", "gzip bytes"),
        ("GET", "accept-encoding: gzip, br\r\n", "200", "gzip bytes"),
        ("GET", "accept-encoding: identity, gzip;q=0\r\n", "200", "gzip bytes"),
        ("HEAD", "accept-encoding: br\r\n", "200", ""),
        ("GET", "range: bytes=5-\r\n", "206", "bytes"),
        ("GET", "range: bytes=0-3\r\naccept-encoding: identity\r\n", "206", "gzip"),
    ] {
        let request =
            format!("{line} /Build/a.js.gz HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n{fields}\r\n");
        let response = world.raw(&request).await;
        let (head, actual) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {fields}: {head}");
        assert_eq!(actual, body, "{line} {fields}");
        assert_eq!(head.matches("\r\ncontent-encoding: gzip").count(), 1, "{line} {fields}: {head}");
        assert!(!head.contains("\r\nvary:"), "there is no other form: {head}");
        let length = if status == "206" { body.len() } else { 10 };
        assert!(head.contains(&format!("\r\ncontent-length: {length}\r\n")), "{head}");
        if status == "206" {
            assert!(head.contains("/10\r\n"), "the range counts encoded bytes: {head}");
        }
    }
    let tag = format!("\"{}\"", site.manifest.files["Build/a.js.gz"].identity.digest());
    let response = world.get("demo.localhost", "/Build/a.js.gz").header("if-none-match", tag).send().await.unwrap();
    assert_eq!(response.status(), 304);
    assert_eq!(response.headers().get("content-encoding"), None);
    world.stop().await;
}
