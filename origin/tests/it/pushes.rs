//! Pushes and rollbacks.

use reqwest::{Method, StatusCode};
use verge_protocol::api::{BuildDiff, MoveChannel, Progress, Release, Site, Status};
use verge_protocol::{ReleaseNumber, Seq};

use super::world::{World, build, error, ok, packed, progress};

fn released(steps: &[Progress]) -> (ReleaseNumber, Seq) {
    steps
        .iter()
        .find_map(|step| match step {
            Progress::Released { release, epoch, .. } => Some((*release, *epoch)),
            _ => None,
        })
        .unwrap_or_else(|| panic!("nothing was released: {steps:?}"))
}

#[tokio::test]
async fn a_push_makes_a_release_and_the_same_again_sends_nothing() {
    let world = World::start().await;
    world.create_site("demo").await;
    let first = build(&[("index.html", "<h1>one</h1>"), ("a.css", "p{}"), ("copy.css", "p{}")]);

    let created = world.create_build("demo", &first.build).await;
    assert_eq!(created.missing.len(), 2, "a blob at two paths is asked for once");
    assert_eq!(created.current, None);
    let steps = world.push("demo", &first).await;
    assert_eq!(released(&steps), (ReleaseNumber(1), Seq(1)));
    assert_eq!(steps.last(), Some(&Progress::Finished { confirmed: vec![], lagging: vec![] }));

    let again = world.create_build("demo", &first.build).await;
    assert_eq!(again.missing, []);
    let second = build(&[("index.html", "<h1>two</h1>"), ("a.css", "p{}"), ("b.css", "p{}")]);
    let created = world.create_build("demo", &second.build).await;
    assert_eq!(created.missing.len(), 1);
    assert_eq!(created.changes, BuildDiff { added: 1, changed: 1, removed: 1, unchanged: 1 });
    assert_eq!(created.current.map(|current| (current.release, current.files)), Some((ReleaseNumber(1), 3)));
    assert_eq!(released(&world.push("demo", &second).await), (ReleaseNumber(2), Seq(2)));

    let world = world.restart().await;
    let releases: Vec<Release> = ok(world.request(Method::GET, "/v1/sites/demo/releases").send().await.unwrap()).await;
    let numbers: Vec<_> = releases.iter().map(|release| (release.number.0, release.channels.len())).collect();
    assert_eq!(numbers, [(2, 1), (1, 0)]);
    world.stop().await;
}

#[tokio::test]
async fn what_came_before_a_cut_is_kept() {
    let world = World::start().await;
    world.create_site("demo").await;
    let pushed = build(&[("index.html", "<h1>one</h1>"), ("a.css", "p{}"), ("b.css", "q{}")]);
    let created = world.create_build("demo", &pushed.build).await;
    let whole = packed(&pushed.blobs);
    let cut = whole.slice(..whole.len() - 60);
    let (status, body) = error(world.post_pack("demo", &created, cut).await).await;
    assert_eq!((status, body.code.as_str()), (400, "bad_pack"));
    assert_eq!(body.message, "the pack was cut short");
    let again = world.create_build("demo", &pushed.build).await;
    assert_eq!(again.build, created.build);
    assert_eq!(again.missing.len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_rollback_moves_the_channel_and_uploads_nothing() {
    let world = World::start().await;
    world.create_site("demo").await;
    world.push("demo", &build(&[("index.html", "one")])).await;
    let (_, epoch) = released(&world.push("demo", &build(&[("index.html", "two")])).await);

    let back = |release, expected| {
        let wish = MoveChannel { release: ReleaseNumber(release), expected };
        world.request(Method::POST, "/v1/sites/demo/channels/live").json(&wish).send()
    };
    let steps = progress(back(1, Some(epoch)).await.unwrap()).await;
    assert_eq!(released(&steps), (ReleaseNumber(1), Seq(3)), "a rollback is a new epoch");
    let (status, body) = error(back(2, Some(epoch)).await.unwrap()).await;
    assert_eq!((status, body.code.as_str()), (409, "conflict"));
    let (status, body) = error(back(9, Some(Seq(3))).await.unwrap()).await;
    assert_eq!((status, body.code.as_str()), (404, "unknown_release"));
    assert_eq!(body.message, "site `demo` has no release v9");

    let site: Site = ok(world.request(Method::GET, "/v1/sites/demo").send().await.unwrap()).await;
    assert_eq!(site.channels[0].release, ReleaseNumber(1));
    assert_eq!(site.url, "http://demo.localhost/");
    world.stop().await;
}

#[tokio::test]
async fn of_two_pushes_one_wins_and_the_other_is_told() {
    let world = World::start().await;
    world.create_site("demo").await;
    let (one, two) = (build(&[("index.html", "one")]), build(&[("index.html", "two")]));
    for pushed in [&one, &two] {
        let created = world.create_build("demo", &pushed.build).await;
        assert_eq!(world.post_pack("demo", &created, packed(&pushed.blobs)).await.status(), StatusCode::OK);
    }
    let (one, two) = (world.create_build("demo", &one.build).await, world.create_build("demo", &two.build).await);
    let (a, b) = tokio::join!(world.publish("demo", &one, None), world.publish("demo", &two, None));
    let mut winners = 0;
    for answer in [a, b] {
        if answer.status() == StatusCode::CONFLICT {
            let (_, body) = error(answer).await;
            assert!(matches!(body.code.as_str(), "conflict" | "busy"), "{body:?}");
        } else {
            assert_eq!(released(&progress(answer).await), (ReleaseNumber(1), Seq(1)));
            winners += 1;
        }
    }
    assert_eq!(winners, 1);
    let status: Status = ok(world.request(Method::GET, "/v1/status").send().await.unwrap()).await;
    assert_eq!(status.position.to_string(), "1-1");
    world.stop().await;
}

#[tokio::test]
async fn a_name_that_looks_fingerprinted_but_is_reused_is_said() {
    let world = World::start().await;
    world.create_site("demo").await;
    world.push("demo", &build(&[("index.html", "x"), ("assets/a-0b1c2d3e.js", "one")])).await;
    let steps = world.push("demo", &build(&[("index.html", "x"), ("assets/a-0b1c2d3e.js", "two")])).await;
    let notices = steps.iter().find_map(|step| match step {
        Progress::Released { warnings: notices, .. } => Some(notices.clone()),
        _ => None,
    });
    assert!(notices.unwrap()[0].starts_with("assets/a-0b1c2d3e.js looks fingerprinted"));
    world.stop().await;
}
