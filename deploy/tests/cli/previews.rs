//! Previews: how their channels are named, how long they exist, their deletion and promotion.

use std::process::Command;

use verge::Exit;

use crate::origin::Early;
use crate::world::{Ran, TOKEN, World, verge_answering, verge_with};

/// Runs `verge` as in a CI job with these variables.
async fn in_ci(world: &World, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let variables = [&[("VERGE_TOKEN", TOKEN)], variables].concat();
    verge_with(world.path(), &world.origin.url, &variables, arguments, None).await
}

fn git(world: &World, arguments: &[&str]) {
    let status = Command::new("git").current_dir(world.path()).args(arguments).output().unwrap().status;
    assert!(status.success(), "git {arguments:?}");
}

fn expiries(world: &World) -> Vec<Option<u64>> {
    world.origin.memory().expires_seconds.clone()
}

#[tokio::test]
async fn branch_that_is_no_channel_name_is_converted_and_said() {
    let world = World::new().await;
    let ran = world.verge(&["push", "--channel", "feature/login-2"]).await.ended(Exit::Success);
    let channels: Vec<String> =
        world.origin.memory().sites[&"app".parse().unwrap()].channels.keys().map(ToString::to_string).collect();
    assert_eq!(channels.len(), 1);
    assert!(channels[0].starts_with("feature-login-") && channels[0].len() == 21, "{channels:?}");
    let said = format!("  channel {} (named after `feature/login-2`)\n", channels[0]);
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    let line = world.verge(&["rollback", "--channel", "feature/login-2", "--to", "v1", "--json"]).await;
    assert_eq!(line.ended(Exit::Success).json()["channel"], channels[0].as_str());
    let ran = world.verge(&["push", "--channel", "pr-1"]).await.ended(Exit::Success);
    assert!(ran.stderr.contains("  channel pr-1\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn preview_is_named_after_pull_request_or_branch_of_ci_else_of_git() {
    let world = World::new().await;
    let pushed = async |variables: &[(&str, &str)]| {
        in_ci(&world, variables, &["push", "--preview", "--json"]).await.ended(Exit::Success).json()["channel"].clone()
    };
    assert_eq!(pushed(&[("GITHUB_REF", "refs/pull/12/merge"), ("GITHUB_HEAD_REF", "login")]).await, "pr-12");
    assert_eq!(pushed(&[("CI_COMMIT_REF_NAME", "login")]).await, "login");
    git(&world, &["init", "--initial-branch", "logout"]);
    assert_eq!(pushed(&[]).await, "logout");
}

#[tokio::test]
async fn preview_of_default_or_unknown_branch_is_refused() {
    let world = World::new().await;
    let error = async |variables: &[(&str, &str)]| {
        in_ci(&world, variables, &["push", "--preview"]).await.ended(Exit::Refused).stderr
    };
    let default = error(&[("CI_COMMIT_REF_NAME", "trunk"), ("CI_DEFAULT_BRANCH", "trunk")]).await;
    assert!(
        default.contains("error: `trunk` is the default branch: it has no preview\nhint: leave out --preview"),
        "{default}"
    );
    git(&world, &["init", "--initial-branch", "main"]);
    assert!(error(&[]).await.contains("error: `main` is the default branch"));
    let detached = error(&[("CI_COMMIT_TAG", "v1"), ("CI_COMMIT_REF_NAME", "v1")]).await;
    assert!(detached.contains("error: `main` is the default branch"), "{detached}");
    assert!(world.origin.memory().requests.is_empty());
}

#[tokio::test]
async fn expiry_is_sent_as_given_or_as_set_for_previews() {
    let world = World::new().await;
    world.verge(&["push", "--channel", "pr-1"]).await.ended(Exit::Success);
    world.verge(&["push", "--channel", "pr-1", "--expires", "12h"]).await.ended(Exit::Success);
    world.verge(&["push", "--channel", "pr-1", "--expires", "never"]).await.ended(Exit::Success);
    world.write("verge.toml", "site = \"app\"\nchannel = \"staging\"\n[preview]\nexpires = \"14d\"\n");
    let line = world.verge(&["push", "--json"]).await.ended(Exit::Success).json();
    assert_eq!(line["channel"], "staging");
    in_ci(&world, &[("REVIEW_ID", "7")], &["push", "--preview"]).await.ended(Exit::Success);
    assert_eq!(expiries(&world), [None, Some(43_200), Some(0), None, Some(14 * 86_400)]);
    let ran = world.verge(&["push", "--channel", "live", "--expires", "14d"]).await.ended(Exit::Usage);
    assert!(ran.stderr.contains("error: channel `live` cannot expire\nhint: "), "{}", ran.stderr);
}

#[tokio::test]
async fn push_to_a_channel_that_expires_says_when_and_is_released_also_if_unchanged() {
    let world = World::new().await;
    let push = ["push", "--channel", "pr-1"];
    let ran = world.verge(&[&push[..], &["--expires", "12h"]].concat()).await.ended(Exit::Success);
    assert!(ran.stdout.contains("\n  ends   in 11 h\n"), "{}", ran.stdout);
    for arguments in [&["--json"][..], &["--json", "--expires", "never"]] {
        let line = world.verge(&[&push[..], arguments].concat()).await.ended(Exit::Success).json();
        assert_eq!(line["new_release"], true, "its time begins anew: {line}");
        assert_eq!(line["expires"].is_null(), arguments.len() > 1, "{line}");
    }
    let ran = world.verge(&push).await.ended(Exit::Success);
    assert!(ran.stdout.starts_with("app v3 has exactly these files: nothing to release\n"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("\n  ends "), "{}", ran.stdout);
}

#[tokio::test]
async fn promotion_whose_response_is_lost_is_repeated_with_the_same_key() {
    let world = World::new().await;
    world.verge(&["push", "--channel", "pr-1"]).await.ended(Exit::Success);
    world.origin.memory().faults.ends_early = [Early::BeforeReleased].into();
    let ran = world.verge(&["promote", "pr-1"]).await.ended(Exit::Success);
    assert!(ran.stdout.starts_with("app v1 of pr-1 is live\n"), "{}", ran.stdout);
    let memory = world.origin.memory();
    assert_eq!((memory.keys.len(), memory.epoch), (3, 2), "the second request moved nothing");
    assert_eq!(memory.keys[1], memory.keys[2]);
}

#[tokio::test]
async fn channel_is_deleted_after_a_yes_and_live_never() {
    let world = World::new().await;
    world.verge(&["push"]).await.ended(Exit::Success);
    world.verge(&["push", "--channel", "pr-1"]).await.ended(Exit::Success);
    let ran = world.verge(&["channels"]).await.ended(Exit::Success);
    assert!(ran.stdout.contains("live") && ran.stdout.contains("pr-1"), "{}", ran.stdout);
    let delete = async |answers| {
        let arguments = ["channels", "delete", "pr-1"];
        verge_answering(world.path(), &world.origin.url, TOKEN, &arguments, answers).await
    };
    for answers in [None, Some("n\n")] {
        delete(answers).await.ended(Exit::Refused);
    }
    let ran = world.verge(&["channels", "delete", "live", "--yes"]).await.ended(Exit::Refused);
    assert!(
        ran.stderr.contains("error: channel `live` cannot be deleted\nhint: use `verge rollback`"),
        "{}",
        ran.stderr
    );
    world.origin.memory().faults.overtaken = true;
    delete(Some("y\n")).await.ended(Exit::Conflict);
    delete(Some("y\n")).await.ended(Exit::Success);
    let requests = world.origin.memory().requests.clone();
    let deletion = requests.iter().rfind(|request| request.starts_with("DELETE ")).unwrap();
    assert!(deletion.contains("/channels/pr-1?expected=") && deletion.contains("&author="), "{deletion}");
    let ran = world.verge(&["channels", "delete", "pr-1", "--yes"]).await.ended(Exit::Failure);
    assert!(ran.stderr.starts_with("error: app has no channel pr-1\nhint: "), "{}", ran.stderr);
    let channels = world.verge(&["channels", "--json"]).await.ended(Exit::Success).json();
    assert_eq!(channels.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn promotion_moves_live_to_the_release_of_a_preview_without_upload() {
    let world = World::new().await;
    world.verge(&["push"]).await.ended(Exit::Success);
    world.write("dist/app.js", "let a = 2;");
    world.verge(&["push", "--channel", "pr-1"]).await.ended(Exit::Success);
    world.origin.memory().requests.clear();
    let ran = world.verge(&["promote", "pr-1"]).await.ended(Exit::Success);
    assert!(ran.stdout.starts_with("app v2 of pr-1 is live, replacing v1\n"), "{}", ran.stdout);
    assert_eq!(
        world.origin.memory().requests,
        ["GET /v1/sites/app", "POST /v1/sites/app/channels/live", "GET /v1/edges"]
    );
    let line = world.verge(&["promote", "v1", "--to", "staging", "--json"]).await.ended(Exit::Success).json();
    assert_eq!((&line["release"], &line["channel"], &line["from"]), (&"v1".into(), &"staging".into(), &().into()));
    let ran = world.verge(&["promote", "v2"]).await.ended(Exit::Success);
    assert!(ran.stdout.starts_with("app v2 was already live\n"), "{}", ran.stdout);
    world.origin.memory().faults.overtaken = true;
    world.verge(&["promote", "v1"]).await.ended(Exit::Conflict);
    for (source, message) in [("pr-9", "error: app has no channel pr-9\n"), ("v9", "error: app has no release v9\n")] {
        let ran = world.verge(&["promote", source]).await.ended(Exit::Failure);
        assert!(ran.stderr.starts_with(message), "{}", ran.stderr);
    }
}
