//! Successful pushes, and checks against the limits of the origin.

use verge::Exit;
use verge_protocol::api::{LaggingEdge, Limits};
use verge_protocol::{BLOB_MAX, Digest, Fallback};

use crate::origin::Memory;
use crate::world::World;

const AUTHOR: [&str; 2] = ["--author", "Ann"];

fn push<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["push"], &AUTHOR[..], more].concat()
}

/// How often each blob arrived.
fn arrivals(memory: &Memory) -> Vec<usize> {
    let mut received = memory.received.clone();
    received.sort_unstable();
    received.chunk_by(|a, b| a == b).map(<[Digest]>::len).collect()
}

fn without_times(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for line in &mut lines {
        if line.trim_start().starts_with("time") {
            *line = "  time   …".to_owned();
        }
    }
    lines.join("\n")
}

#[tokio::test]
async fn first_push_creates_site_and_prints_summary() {
    let world = World::new().await;
    let ran = world.verge(&push(&["--message", "first"])).await.ended(Exit::Success);
    insta::assert_snapshot!("first_push_messages", ran.stderr);
    insta::assert_snapshot!("first_push_results", without_times(&ran.stdout));
    let memory = world.origin.memory();
    let site = &memory.sites[&"app".parse().unwrap()];
    let (build, provenance) = &site.releases[0];
    assert_eq!(build.files.len(), 2);
    assert_eq!(build.fallback, Fallback::NotFound);
    assert_eq!((provenance.author.as_deref(), provenance.message.as_deref()), (Some("Ann"), Some("first")));
}

#[tokio::test]
async fn push_counts_links_that_lead_nowhere() {
    let world = World::new().await;
    world.write("dist/index.html", "<link rel=stylesheet href=style.css><a href=/about>About</a><a href=/>Home</a>");
    let ran = world.verge(&push(&[])).await.ended(Exit::Success);
    assert!(ran.stderr.contains("warning: 2 warnings about links: run `verge check`\n"), "{}", ran.stderr);
    world.write("dist/about.html", "About");
    let ran = world.verge(&push(&["dist"])).await.ended(Exit::Success);
    assert!(ran.stderr.contains("warning: 1 warning about links: run `verge check dist`\n"), "{}", ran.stderr);
    world.write("dist/style.css", "");
    let ran = world.verge(&push(&[])).await.ended(Exit::Success);
    assert!(!ran.stderr.contains("about links"), "{}", ran.stderr);
}

#[tokio::test]
async fn duplicate_files_of_a_build_do_not_count_as_saved() {
    let world = World::new().await;
    world.write("dist/copy.js", "let a = 1;");
    let line = world.verge(&push(&["--json"])).await.ended(Exit::Success).json();
    assert_eq!((&line["bytes"], &line["saved_bytes"]), (&35.into(), &0.into()), "{line}");
    world.write("dist/new.js", "let b = 2;");
    let line = world.verge(&push(&["--json"])).await.ended(Exit::Success).json();
    assert_eq!((&line["bytes"], &line["saved_bytes"]), (&45.into(), &25.into()), "{line}");
}

#[tokio::test]
async fn second_push_sends_only_changed_blobs() {
    let world = World::new().await;
    world.write("dist/big.bin", vec![1; BLOB_MAX * 2 + 5]);
    world.verge(&push(&[])).await.ended(Exit::Success);
    world.origin.memory().received.clear();
    world.write("dist/app.js", "let a = 2;");
    world.write("dist/copy.js", "let a = 2;");
    std::fs::remove_file(world.path().join("dist/big.bin")).unwrap();
    let line = world.verge(&push(&["--json"])).await.ended(Exit::Success).json();
    assert_eq!(world.origin.memory().received, [Digest::of(b"let a = 2;")]);
    for (field, value) in [("added", 1), ("changed", 1), ("removed", 1), ("unchanged", 1), ("files", 3), ("epoch", 2)] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert_eq!((&line["bytes"], &line["saved_bytes"]), (&35.into(), &15.into()));
    let expected: Vec<&str> =
        "site channel release manifest epoch url expires files added changed removed unchanged bytes \
        sent_bytes saved_bytes seconds edges new_release checked replaced_by warnings"
            .split_whitespace()
            .collect();
    let mut fields: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = expected.clone();
    fields.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(fields, wanted);
    assert_eq!(line["release"], "v2");
    assert_eq!(line["edges"]["confirmed"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn first_push_of_a_large_build_has_no_warning() {
    let world = World::new().await;
    // Names that hardly compress, so that the build itself has some megabytes.
    for at in 0..8_000_u32 {
        let noise: String =
            (0..4_u8).map(|part| Digest::of(&[&at.to_le_bytes()[..], &[part]].concat()).to_string()).collect();
        world.write(&format!("dist/{}", &noise[..240]), at.to_le_bytes());
    }
    let ran = world.verge(&push(&["--no-wait"])).await.ended(Exit::Success);
    assert!(!ran.stderr.contains("retrying") && !ran.stderr.contains("warning"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\n✓ created site app\n"), "{}", ran.stderr);
    // The build is not sent to an origin that would answer without reading it.
    let requests = &world.origin.memory().requests;
    let expected = ["GET /v1/sites/app", "PUT /v1/sites/app", "POST /v1/sites/app/builds?channel=live"];
    assert_eq!(requests[..3], expected);
}

#[tokio::test]
async fn release_of_known_blobs_sends_none() {
    let world = World::new().await;
    world.verge(&push(&[])).await.ended(Exit::Success);
    let ran = world.verge(&push(&["--force", "--no-wait"])).await.ended(Exit::Success);
    assert!(ran.stderr.contains("✓ nothing to upload: the origin already has all files"), "{}", ran.stderr);
    assert_eq!(arrivals(&world.origin.memory()), [1, 1]);
    let requests = &world.origin.memory().requests;
    assert_eq!(
        requests[requests.len() - 3..],
        ["PUT /v1/sites/app", "POST /v1/sites/app/builds?channel=live", "POST /v1/sites/app/releases"]
    );
}

#[tokio::test]
async fn preview_is_released_on_its_channel() {
    let world = World::new().await;
    let line = world.verge(&push(&["--channel", "pr-1", "--json"])).await.ended(Exit::Success).json();
    assert_eq!(line["channel"], "pr-1");
    assert!(world.origin.memory().sites[&"app".parse().unwrap()].channels.contains_key(&"pr-1".parse().unwrap()));
}

#[tokio::test]
async fn lagging_edge_is_named_and_sets_exit_code() {
    let world = World::new().await;
    world.origin.memory().faults.lagging = vec![LaggingEdge {
        edge: "syd-1".parse().unwrap(),
        reason: "fetching blobs".into(),
        away: false,
        last_seen: None,
    }];
    let ran = world.verge(&push(&[])).await.ended(Exit::Lagging);
    assert!(ran.stderr.contains("warning: syd-1 does not serve v1 yet: fetching blobs"), "{}", ran.stderr);
    assert!(ran.stdout.contains("✓ sgp-1  ✗ syd-1"), "{}", ran.stdout);
    let line = world.verge(&push(&["--force", "--json"])).await.ended(Exit::Lagging).json();
    assert_eq!(line["edges"]["lagging"][0]["edge"], "syd-1");
    world.verge(&push(&["--no-wait"])).await.ended(Exit::Success);
}

#[tokio::test]
async fn quiet_push_prints_only_the_url() {
    let world = World::new().await;
    world.write("verge.toml", "site = \"app\"\n");
    let ran = world.verge(&push(&["--quiet"])).await.ended(Exit::Success);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("http://app.localhost:8080/\n", ""));
    // What was left out may be why something is missing.
    world.write("dist/node_modules/m/i.js", "");
    world.write("dist/a.map", "");
    world.write("dist/.assetsignore", "*.map\n");
    let ran = world.verge(&push(&["--quiet", "--force"])).await.ended(Exit::Success);
    assert_eq!(ran.stderr, "warning: skipped development files: node_modules/\n");
}

#[tokio::test]
async fn single_page_app_is_detected_by_evidence_which_is_said() {
    let world = World::new().await;
    world.write("dist/index.html", "<div id=root></div><script type=module src=/app.js></script>");
    let ran = world.verge(&push(&[])).await.ended(Exit::Success);
    let said = "detected a single-page app (<div id=\"root\"> and the script /app.js): paths that match no file serve index.html";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    let fallback =
        |release: usize| world.origin.memory().sites[&"app".parse().unwrap()].releases[release].0.fallback.clone();
    assert_eq!(fallback(0), Fallback::SinglePage { path: "index.html".parse().unwrap() });
    world.write("dist/index.html", "<h1>Hello</h1><script src=/app.js></script>");
    let ran = world.verge(&push(&[])).await.ended(Exit::Success);
    assert!(ran.stderr.contains("index.html is the only page, but not one that a script fills"), "{}", ran.stderr);
    assert_eq!(fallback(1), Fallback::NotFound);
}

#[tokio::test]
async fn settings_select_site_directory_and_fallback() {
    let world = World::new().await;
    world.write("verge.toml", "site = \"shop\"\ndir = \"web\"\nspa = false\n");
    world.write("web/index.html", "");
    let ran = world.verge(&push(&["--json"])).await.ended(Exit::Success);
    assert_eq!(ran.json()["site"], "shop");
    assert_eq!(world.origin.memory().sites[&"shop".parse().unwrap()].releases[0].0.fallback, Fallback::NotFound);
    world.write("verge.toml", "sight = \"shop\"\n");
    let ran = world.verge(&push(&[])).await.ended(Exit::Usage);
    assert!(ran.stderr.contains("verge.toml:1: unknown field `sight`"), "{}", ran.stderr);
}

#[tokio::test]
async fn exceeded_limits_are_named_before_upload() {
    let world = World::new().await;
    let limits = Limits { files: 1, file_bytes: 12, build_bytes: 1000, pack_bytes: 1000 };
    world.origin.memory().faults.limits = Some(limits);
    let ran = world.verge(&push(&[])).await.ended(Exit::Refused);
    insta::assert_snapshot!(ran.stderr.split_once("error:").unwrap().1);
    assert!(world.origin.memory().received.is_empty());
}

#[tokio::test]
async fn directory_with_less_than_half_of_the_live_files_is_rejected() {
    let world = World::new().await;
    for at in 0..18 {
        world.write(&format!("dist/{at}.js"), at.to_string());
    }
    world.verge(&push(&[])).await.ended(Exit::Success);
    world.write("thin/index.html", "");
    let ran = world.verge(&push(&["thin"])).await.ended(Exit::Refused);
    assert!(ran.stderr.contains("the directory has 1 file, less than half of the 20 in v1"), "{}", ran.stderr);
    assert_eq!(world.origin.memory().sites[&"app".parse().unwrap()].releases.len(), 1);
    world.verge(&push(&["thin", "--force"])).await.ended(Exit::Success);
}
