//! Reloading of files: zone files, files that they include, and the location database.

use std::path::Path;

use ipnet::IpNet;
use verge_mmdb::{NetworkInfo, Options, Writer};
use verge_protocol::GeoPoint;
use verge_test_kit::until;

use super::query::query;
use super::world::{FRA, NYC, SIN, World};

const WWW: &str = "NOERROR aa = www 3600 A 192.0.2.80";

#[tokio::test]
async fn changed_zone_file_is_reloaded_and_an_invalid_one_is_not() {
    let world = World::start().await;
    let file = world.zone_file("example.com");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(world.answer_text("www.example.com A").await, WWW);
    std::fs::write(&file, text.replace("192.0.2.80", "192.0.2.81")).unwrap();
    world.wait_for_answer("www.example.com A", "NOERROR aa = www 3600 A 192.0.2.81").await;
    assert_eq!(
        world.answer_text("demo.example.com A").await.matches("= demo").count(),
        2,
        "the names of sites are unaffected"
    );

    // An invalid file leaves the previous version in use, and is counted once.
    std::fs::write(&file, text.replace("192.0.2.80", "192.0.2.82").replace("MX     10 mail", "MX mail")).unwrap();
    let failures = "verge_dns_zone_failures_total";
    until("the failure to be counted", async || world.metric(failures).await == Some(1.0)).await;
    assert_eq!(world.answer_text("www.example.com A").await, "NOERROR aa = www 3600 A 192.0.2.81");
    assert_eq!(world.answer_text("example.com MX").await, "NOERROR aa = @ 3600 MX 10 mail");
    // So does a missing file.
    std::fs::remove_file(&file).unwrap();
    until("the second failure to be counted", async || world.metric(failures).await == Some(2.0)).await;
    assert_eq!(world.answer_text("www.example.com A").await, "NOERROR aa = www 3600 A 192.0.2.81");
    // Fixed, by renaming.
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, &file).unwrap();
    world.wait_for_answer("www.example.com A", WWW).await;
    assert_eq!(world.metric(failures).await, Some(2.0));
    world.stop().await;
}

#[tokio::test]
async fn changed_include_is_reloaded() {
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
    until("the failure to be counted", async || world.metric("verge_dns_zone_failures_total").await == Some(1.0)).await;
    assert_eq!(world.answer_text("pop.example.com A").await, "NOERROR aa = pop 3600 A 192.0.2.111");
    world.stop().await;
}

/// Writes a database with one network at a location, and renames it to the path.
fn put_database(path: &Path, location: &str) {
    let mut writer = Writer::new(Options::default());
    let location: GeoPoint = location.parse().unwrap();
    let network: IpNet = "9.0.0.0/8".parse().unwrap();
    writer.insert(network, &NetworkInfo { location: Some(location), ..NetworkInfo::default() });
    let new = path.with_extension("new");
    std::fs::write(&new, writer.to_bytes().unwrap()).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// The nearest edge to clients in the network of the database, and the scope.
async fn nearest(world: &World) -> (String, u8) {
    let answer = world.udp(&query("demo.example.com A").subnet("9.1.2.0/24")).await;
    (answer.addresses()[0].to_string(), answer.scope().unwrap())
}

async fn wait_until_nearest(world: &World, expected: &str) {
    until(expected, async || nearest(world).await == (expected.to_owned(), 8)).await;
}

#[tokio::test]
async fn replaced_database_is_reloaded_and_an_invalid_one_is_not() {
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
    wait_until_nearest(&world, NYC).await;

    // An invalid or missing file leaves the previous database in use.
    let failures = "verge_dns_database_failures_total";
    assert!(!world.health().await.1.contains("database"));
    std::fs::write(&path, b"no database").unwrap();
    until("the invalid file to be counted", async || world.metric(failures).await == Some(1.0)).await;
    let reason = format!("degraded: using an earlier version of the location database: {}: ", path.display());
    until("the health page to say so", async || world.health().await.1.contains(&reason)).await;
    assert_eq!((world.problems("database_outdated").await, world.problems("database_missing").await), (1, 0));
    assert_eq!(nearest(&world).await, (NYC.to_owned(), 8));
    std::fs::remove_file(&path).unwrap();
    until("the missing file to be counted", async || world.metric(failures).await == Some(2.0)).await;
    assert_eq!(nearest(&world).await, (NYC.to_owned(), 8));
    put_database(&path, "50,8");
    wait_until_nearest(&world, FRA).await;
    assert_eq!(world.metric(failures).await, Some(2.0));
    assert!(!world.health().await.1.contains("database"));
    world.stop().await;
}

#[tokio::test]
async fn database_that_is_missing_at_the_start_is_loaded_later() {
    let world = World::with(|config| config.database = Some(config.data.with_file_name("city.mmdb"))).await;
    // The location is unknown: the scope is that of the smallest network.
    assert_eq!(nearest(&world).await.1, 24);
    let path = world.folder.path().join("city.mmdb");
    let (status, reasons) = world.health().await;
    let reason = format!("degraded: no location database: {}: ", path.display());
    assert!(status == 200 && reasons.contains(&reason), "{reasons}");
    assert_eq!((world.problems("database_outdated").await, world.problems("database_missing").await), (0, 1));
    put_database(&path, "1.3,103.8");
    wait_until_nearest(&world, SIN).await;
    assert!(!world.health().await.1.contains("database"));
    world.stop().await;
}
