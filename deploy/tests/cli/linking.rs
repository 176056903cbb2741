//! Which site a project is pushed to: projects are linked to theirs by the first push, and do not take that of another.

use std::fs;

use verge::Exit;

use crate::origin::Site;
use crate::world::{Ran, TOKEN, World, verge, verge_answering};

/// Pushes from another project, whose package has the same name.
async fn push_from_another(world: &World, arguments: &[&str], answers: Option<&'static str>) -> Ran {
    world.write("other/package.json", r#"{"name":"app"}"#);
    world.write("other/dist/index.html", "<!doctype html>other");
    let arguments = [&["push"], arguments].concat();
    verge_answering(&world.path().join("other"), &world.origin.url, TOKEN, &arguments, answers).await
}

fn releases(world: &World, site: &str) -> usize {
    world.origin.memory().sites.get(&site.parse().unwrap()).map_or(0, |site| site.releases.len())
}

fn settings(world: &World, path: &str) -> Option<String> {
    fs::read_to_string(world.path().join(path)).ok()
}

#[tokio::test]
async fn first_push_links_the_project_and_the_second_goes_on() {
    let world = World::new().await;
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    assert!(
        ran.stderr.contains("  wrote `site = \"app\"` and `dir = \"dist\"` to verge.toml: commit it"),
        "{}",
        ran.stderr
    );
    let written = settings(&world, "verge.toml").unwrap();
    assert!(written.ends_with("site = \"app\"\ndir = \"dist\"\n"), "{written}");
    world.write("dist/app.js", "let a = 2;");
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    assert!(!ran.stderr.contains("wrote"), "{}", ran.stderr);
    assert_eq!((settings(&world, "verge.toml").unwrap(), releases(&world, "app")), (written, 2));
}

#[tokio::test]
async fn second_project_with_the_same_package_name_is_refused_without_a_terminal() {
    let world = World::new().await;
    world.verge(&["push"]).await.ended(Exit::Success);
    for arguments in [&[][..], &["--channel", "pr-1"], &["--force", "--quiet"]] {
        let ran = push_from_another(&world, arguments, None).await.ended(Exit::Refused);
        let error = ran.stderr.split_once("error: ").unwrap().1;
        assert!(error.starts_with("site app may be another project's"), "{error}");
        assert!(error.contains("--site app") && error.contains("commit a verge.toml with `site = \"app\"`"), "{error}");
    }
    assert_eq!((releases(&world, "app"), settings(&world, "other/verge.toml")), (1, None));
    push_from_another(&world, &["--site", "app"], None).await.ended(Exit::Success);
    assert_eq!((releases(&world, "app"), settings(&world, "other/verge.toml")), (2, None));
    push_from_another(&world, &["--force"], None).await.ended(Exit::Refused);
}

#[tokio::test]
async fn site_of_the_command_line_is_linked_only_by_a_person() {
    let world = World::new().await;
    let push = async |arguments: &[&str], answers| {
        let arguments = [&["push", "--site", "shop", "--force"], arguments].concat();
        verge_answering(world.path(), &world.origin.url, TOKEN, &arguments, answers).await.ended(Exit::Success);
        settings(&world, "verge.toml")
    };
    for (arguments, answers) in
        [(&[][..], None), (&["--quiet"], Some("y\n")), (&["--json"], Some("y\n")), (&[], Some("n\n")), (&[], Some(""))]
    {
        assert_eq!(push(arguments, answers).await, None, "{arguments:?} {answers:?}");
    }
    assert!(push(&[], Some("y\n")).await.unwrap().contains("site = \"shop\""));
}

#[tokio::test]
async fn quiet_push_says_what_it_has_written() {
    let world = World::new().await;
    let ran = world.verge(&["push", "--quiet"]).await.ended(Exit::Success);
    assert!(ran.stderr.contains("wrote `site = \"app\"` and `dir = \"dist\"` to verge.toml"), "{}", ran.stderr);
}

#[tokio::test]
async fn second_project_with_the_same_package_name_asks_on_a_terminal() {
    let world = World::new().await;
    world.verge(&["push"]).await.ended(Exit::Success);
    let ran = push_from_another(&world, &[], Some("n\n")).await.ended(Exit::Refused);
    assert!(ran.stderr.contains("It has v1 on live, at http://app.localhost:8080/. Push to it"), "{}", ran.stderr);
    assert_eq!(releases(&world, "app"), 1);
    push_from_another(&world, &[], Some("")).await.ended(Exit::Refused);
    // One question, then no more.
    push_from_another(&world, &[], Some("y\n")).await.ended(Exit::Success);
    assert!(settings(&world, "other/verge.toml").unwrap().contains("site = \"app\""));
    let ran = push_from_another(&world, &["--force"], Some("")).await.ended(Exit::Success);
    assert!(!ran.stderr.contains("[y/N]") && !ran.stderr.contains("[Y/n]"), "{}", ran.stderr);
}

#[tokio::test]
async fn site_that_only_the_package_names_is_not_changed_without_a_person() {
    let world = World::new().await;
    world.verge(&["push"]).await.ended(Exit::Success);
    world.write("other/package.json", r#"{"name":"app"}"#);
    let other = world.path().join("other");
    let run =
        async |arguments: &[&str], answers| verge_answering(&other, &world.origin.url, TOKEN, arguments, answers).await;
    for arguments in [
        &["rollback"][..],
        &["promote", "v1"],
        &["purge", "/x"],
        &["erase", "/x", "--yes"],
        &["channels", "delete", "pr-1", "--yes"],
    ] {
        let ran = run(arguments, None).await.ended(Exit::Refused);
        assert!(ran.stderr.contains("site app may be another project's"), "{arguments:?}: {}", ran.stderr);
        run(arguments, Some("n\n")).await.ended(Exit::Refused);
    }
    // There is nothing to roll back to: the origin was asked.
    for (arguments, answers) in [(&["rollback"][..], Some("y\n")), (&["rollback", "--site", "app"], None)] {
        let ran = run(arguments, answers).await;
        assert!(ran.exit != Exit::Refused, "{}", ran.stderr);
    }
}

#[tokio::test]
async fn site_whose_previews_have_expired_is_still_anothers() {
    let world = World::new().await;
    world.verge(&["push", "--channel", "pr-1"]).await.ended(Exit::Success);
    world.origin.memory().sites.get_mut(&"app".parse().unwrap()).unwrap().channels.clear();
    let ran = push_from_another(&world, &[], Some("n\n")).await.ended(Exit::Refused);
    assert!(ran.stderr.contains("It has v1, at http://app.localhost:8080/. Push to it"), "{}", ran.stderr);
}

#[tokio::test]
async fn site_without_a_release_is_nobodys_yet() {
    let world = World::new().await;
    world.origin.memory().sites.insert("app".parse().unwrap(), Site::default());
    world.verge(&["push"]).await.ended(Exit::Success);
}

#[tokio::test]
async fn person_decides_whether_the_project_is_linked() {
    let world = World::new().await;
    let push = async |arguments: &[&str], answers| {
        verge_answering(world.path(), &world.origin.url, TOKEN, &[&["push"], arguments].concat(), Some(answers)).await
    };
    let ran = push(&[], "n\n").await.ended(Exit::Success);
    assert!(ran.stderr.contains("Write `site = \"app\"` and `dir = \"dist\"` to verge.toml"), "{}", ran.stderr);
    assert_eq!(settings(&world, "verge.toml"), None);
    push(&["--site", "app", "--force"], "\n").await.ended(Exit::Success);
    assert!(settings(&world, "verge.toml").is_some());
}

#[tokio::test]
async fn link_is_added_to_existing_settings() {
    let world = World::new().await;
    world.write("verge.toml", "# ours\nspa = false # no app\n\n[preview]\nexpires = \"2d\"\n");
    world.verge(&["push"]).await.ended(Exit::Success);
    let expected = "# ours\nspa = false # no app\nsite = \"app\"\ndir = \"dist\"\n\n[preview]\nexpires = \"2d\"\n";
    assert_eq!(settings(&world, "verge.toml").unwrap(), expected);
}

#[tokio::test]
async fn failed_push_does_not_link() {
    let world = World::new().await;
    world.origin.memory().faults.overtaken = true;
    world.verge(&["push"]).await.ended(Exit::Conflict);
    assert_eq!(settings(&world, "verge.toml"), None);
}

#[tokio::test]
async fn link_that_cannot_be_written_is_said_and_the_push_goes_on() {
    let world = World::new().await;
    // Neither a file nor absent, for whoever runs this.
    fs::create_dir(world.path().join("app")).unwrap();
    world.write("app/package.json", r#"{"name":"app"}"#);
    world.write("app/dist/index.html", "");
    let app = world.path().join("app");
    let racing = async {
        while world.origin.memory().received.is_empty() && world.origin.memory().requests.len() < 3 {
            tokio::task::yield_now().await;
        }
        fs::create_dir(app.join("verge.toml")).unwrap();
    };
    let (ran, ()) = tokio::join!(verge(&app, &world.origin.url, TOKEN, &["push", "--quiet"]), racing);
    let ran = ran.ended(Exit::Success);
    assert!(ran.stderr.contains("warning: the project is not linked to app: failed to write `"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("hint: write `site = \"app\"` and `dir = \"dist\"` to verge.toml, or use --site app"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn unbuilt_sources_are_not_pushed() {
    let world = World::new().await;
    world.write("index.html", "<div id=app></div><script type=module src=/src/main.ts></script>");
    let ran = world.verge(&["push", "."]).await.ended(Exit::Success);
    assert!(ran.stderr.contains("pushing dist to app (detected"), "{}", ran.stderr);
    fs::remove_dir_all(world.path().join("dist")).unwrap();
    fs::remove_file(world.path().join("verge.toml")).unwrap();
    let ran = world.verge(&["push", ".", "--site", "new"]).await.ended(Exit::Usage);
    assert!(
        ran.stderr.contains("holds the sources of a site, and no output of a build\nhint: run the build"),
        "{}",
        ran.stderr
    );
    assert_eq!(releases(&world, "new"), 0);
    // By force once, and the next push looks for the output of a build again.
    let arguments = ["push", ".", "--force", "--site", "new"];
    let ran = verge_answering(world.path(), &world.origin.url, TOKEN, &arguments, Some("\n")).await;
    let ran = ran.ended(Exit::Success);
    assert!(ran.stderr.contains("Write `site = \"new\"` to verge.toml"), "{}", ran.stderr);
    assert!(settings(&world, "verge.toml").unwrap().ends_with("\nsite = \"new\"\n"));
    world.write("dist/index.html", "<!doctype html>");
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    assert!(ran.stderr.contains("pushing dist to new"), "{}", ran.stderr);
}

#[tokio::test]
async fn push_inside_the_output_directory_is_that_of_the_project() {
    let world = World::new().await;
    let dist = world.path().join("dist");
    let ran = verge(&dist, &world.origin.url, TOKEN, &["push"]).await.ended(Exit::Success);
    assert!(ran.stderr.contains("pushing the current directory to app"), "{}", ran.stderr);
    assert!(settings(&world, "verge.toml").unwrap().ends_with("site = \"app\"\ndir = \"dist\"\n"));
    verge(&dist, &world.origin.url, TOKEN, &["push", "--force"]).await.ended(Exit::Success);
    assert_eq!((releases(&world, "app"), settings(&world, "dist/verge.toml")), (2, None));
}

#[tokio::test]
async fn other_output_directories_are_named() {
    let world = World::new().await;
    world.write("storybook-static/index.html", "");
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    assert!(
        ran.stderr.contains("pushing dist to app") && ran.stderr.contains("also found storybook-static"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn schema_is_printed() {
    let world = World::new().await;
    let ran = world.verge(&["schema"]).await.ended(Exit::Success);
    let schema: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(schema["title"], "verge.toml");
    assert_eq!(world.verge(&["schema", "--json"]).await.ended(Exit::Success).json(), schema);
}
