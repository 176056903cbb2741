//! Files that change while it answers: zones, what they include, and the database of places.

use std::path::Path;

use ipnet::IpNet;
use verge_mmdb::{Options, Spot, Writer};
use verge_protocol::GeoPoint;

use super::query::query;
use super::world::{FRA, NYC, SIN, World, until};

const WWW: &str = "NOERROR aa = www 3600 A 192.0.2.80";

#[tokio::test]
async fn a_zone_file_that_changes_is_read_anew() {
    let world = World::start().await;
    let file = world.zone_file("example.com");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(world.answer_text("www.example.com A").await, WWW);
    std::fs::write(&file, text.replace("192.0.2.80", "192.0.2.81")).unwrap();
    world.wait_for_answer("www.example.com A", "NOERROR aa = www 3600 A 192.0.2.81").await;
    assert_eq!(world.answer_text("demo.example.com A").await.matches("= demo").count(), 2, "sites stay where they are");

    // With a mistake in it, all stays as it was, and it is counted once.
    std::fs::write(&file, text.replace("192.0.2.80", "192.0.2.82").replace("MX     10 mail", "MX mail")).unwrap();
    let failures = "verge_dns_zone_failures_total";
    until("the mistake to be counted", async || world.metric(failures).await == Some(1.0)).await;
    assert_eq!(world.answer_text("www.example.com A").await, "NOERROR aa = www 3600 A 192.0.2.81");
    assert_eq!(world.answer_text("example.com MX").await, "NOERROR aa = @ 3600 MX 10 mail");
    // Nor does a file that is gone take its zone with it.
    std::fs::remove_file(&file).unwrap();
    until("that to be counted too", async || world.metric(failures).await == Some(2.0)).await;
    assert_eq!(world.answer_text("www.example.com A").await, "NOERROR aa = www 3600 A 192.0.2.81");
    // Mended, by renaming.
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, &file).unwrap();
    world.wait_for_answer("www.example.com A", WWW).await;
    assert_eq!(world.metric(failures).await, Some(2.0));
    world.stop().await;
}

#[tokio::test]
async fn what_a_zone_file_includes_is_read_anew() {
    let mut included = None;
    let world = World::with(|config| {
        let file = config.zones[0].file.clone();
        let other = file.with_file_name("mail.zone");
        std::fs::write(&other, "pop A 192.0.2.110\n").unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n$INCLUDE {}\n", other.display())).unwrap();
        included = Some(other);
    })
    .await;
    let included = included.unwrap();
    assert_eq!(world.answer_text("pop.example.com A").await, "NOERROR aa = pop 3600 A 192.0.2.110");
    std::fs::write(&included, "pop A 192.0.2.111\n").unwrap();
    world.wait_for_answer("pop.example.com A", "NOERROR aa = pop 3600 A 192.0.2.111").await;
    std::fs::write(&included, "pop A 192.0.2.300\n").unwrap();
    until("the mistake to be counted", async || world.metric("verge_dns_zone_failures_total").await == Some(1.0)).await;
    assert_eq!(world.answer_text("pop.example.com A").await, "NOERROR aa = pop 3600 A 192.0.2.111");
    world.stop().await;
}

/// Writes a database in which one network is at a place, and puts it there by renaming.
fn put_database(path: &Path, place: &str) {
    let mut writer = Writer::new(Options::default());
    let place: GeoPoint = place.parse().unwrap();
    let network: IpNet = "9.0.0.0/8".parse().unwrap();
    writer.insert(network, &Spot { place: Some(place), ..Spot::default() }).unwrap();
    let new = path.with_extension("new");
    std::fs::write(&new, writer.to_bytes().unwrap()).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// Who is the nearest to clients in the database's network, and the scope.
async fn nearest(world: &World) -> (String, u8) {
    let answer = world.udp(&query("demo.example.com A").subnet("9.1.2.0/24")).await;
    (answer.addresses()[0].to_string(), answer.scope().unwrap())
}

async fn is_nearest(world: &World, expected: &str) {
    until(expected, async || nearest(world).await == (expected.to_owned(), 8)).await;
}

#[tokio::test]
async fn a_database_that_is_swapped_tells_other_places() {
    let mut path = None;
    let world = World::with(|config| {
        let database = config.data.with_file_name("city.mmdb");
        put_database(&database, "1.3,103.8");
        config.database = Some(database.clone());
        path = Some(database);
    })
    .await;
    let path = path.unwrap();
    assert_eq!(nearest(&world).await, (SIN.to_owned(), 8));
    put_database(&path, "42,-71");
    is_nearest(&world, NYC).await;

    // Whatever becomes of the file, what was read from it stays.
    let failures = "verge_dns_database_failures_total";
    std::fs::write(&path, b"no database").unwrap();
    until("garbage to be counted", async || world.metric(failures).await == Some(1.0)).await;
    assert_eq!(nearest(&world).await, (NYC.to_owned(), 8));
    std::fs::remove_file(&path).unwrap();
    until("a loss to be counted", async || world.metric(failures).await == Some(2.0)).await;
    assert_eq!(nearest(&world).await, (NYC.to_owned(), 8));
    put_database(&path, "50,8");
    is_nearest(&world, FRA).await;
    assert_eq!(world.metric(failures).await, Some(2.0));
    world.stop().await;
}

#[tokio::test]
async fn a_database_may_come_later() {
    let world = World::with(|config| config.database = Some(config.data.with_file_name("city.mmdb"))).await;
    // Nobody knows where that is: the network that is told apart, and edges by weight alone.
    assert_eq!(nearest(&world).await.1, 24);
    put_database(&world.folder.path().join("city.mmdb"), "1.3,103.8");
    is_nearest(&world, SIN).await;
    world.stop().await;
}
