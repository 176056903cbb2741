//! Zone files that have become invalid: zones are served from copies in the data directory, also after a restart.

use std::fs;
use std::path::{Path, PathBuf};

use verge_geodns::GeoDns;
use verge_test_kit::until;

use super::world::{World, end};

/// The zone file of `example.com`, which includes another.
struct Files {
    zone: PathBuf,
    included: PathBuf,
}

/// Damages a file, or the data directory.
type Damage = fn(&Path);

/// A name server without edges. The included file has version 1.
async fn world() -> (World, Files) {
    let mut files = None;
    let world = World::empty(|config| {
        let zone = config.zones[0].file.clone();
        let included = zone.with_file_name("included.zone");
        let text = fs::read_to_string(&zone).unwrap();
        fs::write(&zone, format!("{text}\n$INCLUDE included.zone\n")).unwrap();
        write_version(&included, 1);
        files = Some(Files { zone, included });
    })
    .await;
    world.synced().await;
    (world, files.unwrap())
}

fn write_version(file: &Path, version: usize) {
    fs::write(file, format!("version TXT {version}\n")).unwrap();
}

fn is_version(version: usize) -> String {
    format!("NOERROR aa = version 3600 TXT {version}")
}

async fn wait_for_version(world: &World, version: usize) {
    world.wait_for_answer("version.example.com TXT", &is_version(version)).await;
}

/// The answers from records of both files.
async fn answers(world: &World) -> Vec<String> {
    let mut answers = Vec::new();
    for name in ["example.com", "www.example.com", "version.example.com", "nowhere.example.com"] {
        for record_type in ["SOA", "NS", "MX", "A", "TXT"] {
            answers.push(world.answer_text(&format!("{name} {record_type}")).await);
        }
    }
    answers
}

/// Stops the name server, changes its data directory, and returns why it does not start again.
async fn start_failure(world: World, damage: impl FnOnce(&Path)) -> String {
    let World { mut origin, name_server, config, .. } = world;
    end(name_server).await;
    damage(&config.data);
    let error = GeoDns::bind(config).await.err().unwrap().to_string();
    origin.go_offline().await;
    error
}

#[tokio::test]
async fn zone_that_was_broken_while_running_is_served_unchanged_after_restarts() {
    let (mut world, files) = world().await;
    assert_eq!(world.health().await, (200, "ok\n".to_owned()));
    let before = answers(&world).await;
    assert!(before.contains(&is_version(1)), "{before:?}");
    let text = fs::read_to_string(&files.zone).unwrap();
    fs::write(&files.zone, text.replace("MX     10 mail", "MX mail")).unwrap();
    world.wait_for_health(200, "degraded: serving zone example.com as of 20").await;
    assert_eq!((answers(&world).await, world.problems("zone_outdated").await), (before.clone(), 1));

    for _ in 0..2 {
        world = world.restart().await;
        assert_eq!(answers(&world).await, before);
        let (status, reasons) = world.health().await;
        let [reason] = reasons.lines().collect::<Vec<_>>()[..] else { panic!("{reasons}") };
        assert!(
            status == 200 && reason.starts_with("degraded: serving zone example.com from the copy of 20"),
            "{reason}"
        );
        assert!(reason.contains("example.com.zone:"), "{reason}");
        assert_eq!(world.problems("zone_outdated").await, 1);
        assert_eq!(world.count("verge_dns_zone_failures_total").await, 1);
    }

    fs::write(&files.zone, text).unwrap();
    write_version(&files.included, 2);
    wait_for_version(&world, 2).await;
    world.wait_for_health(200, "ok\n").await;
    assert_eq!(world.problems("zone_outdated").await, 0);
    // The copy is of the latest version that was served.
    fs::remove_file(&files.zone).unwrap();
    world = world.restart().await;
    wait_for_version(&world, 2).await;
    world.stop().await;
}

#[tokio::test]
async fn zone_with_unreadable_files_is_served_from_its_copy_and_reloaded_when_they_are_fixed() {
    let (mut world, Files { zone, included }) = world().await;
    let text = fs::read_to_string(&zone).unwrap();
    let missing: Damage = |path| fs::remove_file(path).unwrap();
    let directory: Damage = |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    };
    let binary: Damage = |path| fs::write(path, b"\xff").unwrap();
    let truncated: Damage = |path| fs::write(path, "").unwrap();
    let broken: Damage = |path| fs::write(path, "version TXT\n").unwrap();
    let damages = [
        (missing, &zone, "No such file"),
        (directory, &zone, "Is a directory"),
        (binary, &zone, "line 1 is not UTF-8"),
        (truncated, &zone, "SOA"),
        (missing, &included, "No such file"),
        (directory, &included, "Is a directory"),
        (broken, &included, "included.zone:1: "),
    ];
    for (version, (damage, path, expected)) in (1..).zip(damages) {
        let before = answers(&world).await;
        damage(path);
        world = world.restart().await;
        assert_eq!(answers(&world).await, before, "{expected}");
        let (status, reasons) = world.health().await;
        assert!(status == 200 && reasons.contains(expected), "{reasons}");
        if path.is_dir() {
            fs::remove_dir(path).unwrap();
        }
        fs::write(&zone, &text).unwrap();
        write_version(&included, version + 1);
        wait_for_version(&world, version + 1).await;
        world.wait_for_health(200, "ok\n").await;
    }
    world.stop().await;
}

#[tokio::test]
async fn name_server_without_a_usable_copy_does_not_start_with_a_broken_file() {
    let missing: Damage = |data| fs::remove_dir_all(data.join("zones")).unwrap();
    let flipped: Damage = |data| {
        let copy = data.join("zones/example.com");
        let mut bytes = fs::read(&copy).unwrap();
        let last = bytes.len() - 1;
        bytes[last / 2] ^= 1;
        fs::write(&copy, bytes).unwrap();
    };
    let of_another =
        |data: &Path| _ = fs::copy(data.join("zones/example.net"), data.join("zones/example.com")).unwrap();
    let directory: Damage = |data| {
        fs::remove_file(data.join("zones/example.com")).unwrap();
        fs::create_dir(data.join("zones/example.com")).unwrap();
    };
    let damages = [
        (missing, "no earlier version can be served: the data directory has no copy of this zone"),
        (flipped, "data/zones/example.com is corrupt"),
        (of_another, "data/zones/example.com is of zone example.net"),
        (directory, "data/zones/example.com: Is a directory"),
    ];
    for (damage, expected) in damages {
        let (world, files) = world().await;
        fs::write(&files.included, "one A x\ntwo A y\n").unwrap();
        let error = start_failure(world, damage).await;
        assert!(error.starts_with("invalid zone files:\n"), "{error}");
        for part in ["included.zone:1: ", "included.zone:2: ", "\n  hint: fix the zone file; ", expected] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

#[tokio::test]
async fn copy_of_a_zone_that_is_no_longer_configured_is_deleted_at_the_start() {
    let (mut world, _files) = world().await;
    let copies = world.config.data.join("zones");
    assert!(copies.join("example.com").exists() && copies.join("example.net").exists());
    world.config.zones.remove(1);
    world = world.restart().await;
    assert!(copies.join("example.com").exists() && !copies.join("example.net").exists());
    world.stop().await;
}

/// A file in the place of the folder of copies stands for a full disk, also for a privileged user.
#[tokio::test]
async fn zone_is_served_while_its_copy_cannot_be_written_and_copied_when_it_can() {
    let (mut world, files) = world().await;
    let copies = world.config.data.join("zones");
    fs::remove_dir_all(&copies).unwrap();
    fs::write(&copies, "in the way").unwrap();
    write_version(&files.included, 2);
    wait_for_version(&world, 2).await;
    world.wait_for_health(200, "degraded: zone example.com has no current copy: ").await;
    assert_eq!(world.problems("zone_not_copied").await, 1);
    assert!(world.count("verge_dns_zone_copy_failures_total").await >= 1);
    // It starts all the same, if the files are valid.
    world = world.restart().await;
    assert_eq!(world.answer_text("version.example.com TXT").await, is_version(2));
    assert_eq!(world.problems("zone_not_copied").await, 2);

    fs::remove_file(&copies).unwrap();
    until("the copies to be written", async || world.problems("zone_not_copied").await == 0).await;
    assert_eq!(world.health().await, (200, "ok\n".to_owned()));
    fs::remove_file(&files.included).unwrap();
    world = world.restart().await;
    wait_for_version(&world, 2).await;
    world.stop().await;
}
