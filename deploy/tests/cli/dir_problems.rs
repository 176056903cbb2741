//! Directories that cannot be pushed. Nothing is sent to the origin.

use verge::Exit;

use crate::world::{Ran, World};

/// Pushes, expects an error, and returns its text.
async fn push_error(world: &World, arguments: &[&str]) -> String {
    let ran = world.verge(&[&["push"], arguments].concat()).await.ended(Exit::Refused);
    let is_write = |request: &String| !request.starts_with("GET ");
    assert!(!world.origin.memory().requests.iter().any(is_write), "something was sent");
    format!("error:{}", ran.stderr.split_once("error:").unwrap().1)
}

async fn pushed(world: &World, arguments: &[&str]) -> Ran {
    world.verge(&[&["push"], arguments].concat()).await.ended(Exit::Success)
}

fn paths(world: &World) -> Vec<String> {
    let memory = world.origin.memory();
    memory.sites.values().next().unwrap().releases[0].0.files.keys().map(ToString::to_string).collect()
}

#[tokio::test]
async fn all_problems_are_reported_at_once() {
    let world = World::new().await;
    world.write("dist/.env.production", "KEY=1");
    world.write("dist/keys/server.pem", "-----BEGIN PRIVATE KEY-----\n");
    world.write("dist/cert.pem", "-----BEGIN CERTIFICATE-----\n");
    world.write("dist/back\\slash.js", "");
    world.write("dist/tab\there.js", "");
    world.write("dist/_redirects", "/old\n");
    world.write("dist/_headers", "# all\n/*\n  X-A\n");
    world.write("dist/.assetsignore", "*.map\n[z-a]\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("/etc/hostname", world.path().join("dist/out")).unwrap();
        symlink("nothing", world.path().join("dist/dangling")).unwrap();
        symlink("..", world.path().join("dist/keys/up")).unwrap();
        symlink(".env.production", world.path().join("dist/config.txt")).unwrap();
        let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"dist/latin-\xe9.html");
        std::fs::write(world.path().join(name), "").unwrap();
        drop(std::os::unix::net::UnixListener::bind(world.path().join("dist/socket")).unwrap());
    }
    std::fs::remove_file(world.path().join("dist/index.html")).unwrap();
    insta::assert_snapshot!(push_error(&world, &["dist"]).await);
}

#[tokio::test]
async fn empty_directory_is_rejected_even_with_force() {
    let world = World::new().await;
    std::fs::create_dir_all(world.path().join("empty/.git")).unwrap();
    for arguments in [&["empty"][..], &["empty", "--force"]] {
        let error = push_error(&world, arguments).await;
        assert!(error.contains("\n  the directory has no files to serve\n"), "{error}");
    }
}

#[tokio::test]
async fn directory_without_index_is_pushed_only_with_force() {
    let world = World::new().await;
    world.write("files/a.txt", "a");
    let error = push_error(&world, &["files"]).await;
    assert!(error.contains("index.html is missing"), "{error}");
    let error = push_error(&world, &["files", "--force", "--spa"]).await;
    assert!(error.contains("index.html is missing, which a single-page app requires"), "{error}");
    pushed(&world, &["files", "--force"]).await;
}

#[tokio::test]
async fn missing_directory_is_named() {
    let world = World::new().await;
    let ran = world.verge(&["push", "nowhere"]).await.ended(Exit::Usage);
    assert!(ran.stderr.contains("error: directory `") && ran.stderr.contains("nowhere"), "{}", ran.stderr);
    let ran = world.verge(&["push", "package.json"]).await.ended(Exit::Usage);
    assert!(ran.stderr.contains("package.json` is not a directory"), "{}", ran.stderr);
}

#[tokio::test]
async fn skipped_files_are_named() {
    let world = World::new().await;
    for path in [".git/config", ".DS_Store", "a/.htaccess", "b/.x", "node_modules/m/i.js", "__MACOSX/x", "a.js.map"] {
        world.write(&format!("dist/{path}"), "");
    }
    world.write("dist/.well-known/security.txt", "Contact: x");
    world.write("dist/.assetsignore", "*.map\n");
    world.write("dist/_redirects", "# nothing but a comment\n");
    world.write("dist/verge.toml", "");
    let ran = pushed(&world, &["dist"]).await;
    let skipped: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("skipped")).collect();
    insta::assert_snapshot!(skipped.join("\n"));
    assert_eq!(paths(&world), [".well-known/security.txt", "app.js", "index.html"]);
}

#[tokio::test]
async fn secrets_are_rejected_unless_allowed() {
    let world = World::new().await;
    world.write("dist/.env", "KEY=1");
    world.write("dist/server.key", "-----BEGIN RSA PRIVATE KEY-----\n");
    let error = push_error(&world, &["dist"]).await;
    assert!(error.contains(".env: environment file") && error.contains("server.key: private key"), "{error}");
    pushed(&world, &["dist", "--allow-secrets"]).await;
    assert_eq!(paths(&world), ["app.js", "index.html", "server.key"]);
}

#[tokio::test]
async fn unsupported_rules_are_rejected_unless_ignored() {
    let world = World::new().await;
    world.write("dist/404.html", "");
    world.write("dist/_redirects", "/old /new 301 Country=de\r\n/*\t/index.html\t200\r\n");
    let error = push_error(&world, &["dist"]).await;
    let reason = "_redirects:1: rules for a country of readers are not supported yet";
    assert!(error.contains(&format!("\n  {reason}\nhint: correct the rules, or use --ignore-rules")), "{error}");
    let ran = pushed(&world, &["dist", "--ignore-rules", "--json"]).await;
    assert!(ran.stderr.contains(&format!("warning: {reason}: left out\n")), "{}", ran.stderr);
    assert_eq!(ran.json()["warnings"][0], format!("{reason}: left out"));
    let memory = world.origin.memory();
    let build = &memory.sites.values().next().unwrap().releases[0].0;
    assert_ne!(build.fallback, verge_protocol::Fallback::NotFound, "the supported rule still applies");
    let redirects: Vec<String> = build.rules.redirects.iter().map(ToString::to_string).collect();
    assert_eq!(redirects, ["/* /index.html 200"]);
}

#[tokio::test]
async fn password_without_a_valid_path_stops_the_push_whatever_flags_say() {
    let world = World::new().await;
    let push_error = async |arguments: &[&str]| push_error(&world, arguments).await;
    for (headers, line) in [
        ("https://shop.example/staff/*\n  Basic-Auth: ann:secret\n", 2),
        ("/staff/*\n  Basic-Auth:\n", 2),
        ("Basic-Auth: ann:secret\n", 1),
        ("/*\n  X-A: 1\nstaff/*\n  Basic-Auth: ann:secret\n", 4),
    ] {
        world.write("dist/_headers", headers);
        for arguments in [&["dist"][..], &["dist", "--ignore-rules"]] {
            let error = push_error(arguments).await;
            assert!(error.contains(&format!("\n  _headers:{line}: ")), "{headers}: {error}");
            assert!(error.contains("\nhint: correct the rules: without them, what has a password"), "{error}");
            assert!(!error.contains("--ignore-rules to push") && !error.contains("secret\n"), "{error}");
        }
    }
    assert!(world.origin.memory().sites.values().all(|site| site.releases.is_empty()));
}

#[tokio::test]
async fn rules_beyond_a_limit_are_rejected() {
    let world = World::new().await;
    let rules: String =
        (0..4000).map(|number| format!("/{number}{} /t\n", "/a".repeat(120))).collect::<Vec<_>>().concat();
    world.write("dist/_redirects", &rules);
    for arguments in [&["dist"][..], &["dist", "--ignore-rules"]] {
        let error = push_error(&world, arguments).await;
        assert!(error.contains("\n  the rules of the build have more than 400000 segments"), "{error}");
        assert!(error.contains("\nhint: combine rules"), "{error}");
    }
}

#[tokio::test]
async fn only_top_level_junk_is_skipped_unless_it_is_brought_back() {
    let world = World::new().await;
    for path in
        ["assets/node_modules/@acme/Icons.ttf", "node_modules/m/i.js", ".htaccess", ".config/a.json", ".config/b.json"]
    {
        world.write(&format!("dist/{path}"), "");
    }
    pushed(&world, &["dist"]).await;
    assert_eq!(paths(&world), ["app.js", "assets/node_modules/@acme/Icons.ttf", "index.html"]);
    world.write("dist/.assetsignore", "!node_modules\n!.htaccess\n!.config/a.json\n!.never\n");
    let ran = pushed(&world, &["dist"]).await;
    let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("warning")).collect();
    assert!(
        matches!(warnings[..], [warning] if warning.contains(".assetsignore:4: `!.never` brings nothing back")),
        "{warnings:?}"
    );
    assert!(ran.stderr.contains("skipped hidden files: .config/b.json\n"), "{}", ran.stderr);
    let memory = world.origin.memory();
    let files = memory.sites.values().next().unwrap().releases[1].0.files.keys().map(ToString::to_string);
    assert_eq!(
        files.collect::<Vec<_>>(),
        [
            ".config/a.json",
            ".htaccess",
            "app.js",
            "assets/node_modules/@acme/Icons.ttf",
            "index.html",
            "node_modules/m/i.js"
        ]
    );
}

#[tokio::test]
async fn decomposed_names_are_pushed_composed() {
    let world = World::new().await;
    world.write("dist/cafe\u{301}/men\u{fc}.html", "");
    pushed(&world, &["dist"]).await;
    assert_eq!(paths(&world), ["app.js", "caf\u{e9}/men\u{fc}.html", "index.html"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn two_names_that_become_one_are_named() {
    let world = World::new().await;
    world.write("dist/cafe\u{301}.html", "1");
    world.write("dist/caf\u{e9}.html", "2");
    let error = push_error(&world, &["dist"]).await;
    let named = "caf\u{e9}.html: two files have this name in Unicode normalization form C: `cafe\\u{301}.html` and `caf\\u{e9}.html`";
    assert!(error.contains(named) && error.contains("hint: delete or rename one of them"), "{error}");
    // Directories become one, too.
    std::fs::remove_file(world.path().join("dist/cafe\u{301}.html")).unwrap();
    world.write("dist/a\u{30a}/x.html", "");
    world.write("dist/\u{e5}/y.html", "");
    pushed(&world, &["dist"]).await;
    assert_eq!(paths(&world), ["app.js", "caf\u{e9}.html", "index.html", "\u{e5}/x.html", "\u{e5}/y.html"]);
}

#[cfg(unix)]
#[tokio::test]
async fn links_inside_the_directory_are_followed() {
    use std::os::unix::fs::symlink;

    let world = World::new().await;
    world.write("dist/real/a.txt", "a");
    symlink("real", world.path().join("dist/alias")).unwrap();
    symlink("real/a.txt", world.path().join("dist/b.txt")).unwrap();
    symlink("/nowhere", world.path().join("dist/node_modules")).unwrap();
    symlink("dist", world.path().join("current")).unwrap();
    pushed(&world, &["current"]).await;
    assert_eq!(paths(&world), ["alias/a.txt", "app.js", "b.txt", "index.html", "real/a.txt"]);
}

#[cfg(unix)]
#[tokio::test]
async fn link_to_hidden_file_is_rejected_even_if_its_target_is_ignored() {
    use std::os::unix::fs::symlink;

    let world = World::new().await;
    for path in [".env", ".git/config", "a/.cache/b/c.js"] {
        world.write(&format!("dist/{path}"), "KEY=1");
    }
    world.write("dist/.well-known/security.txt", "Contact: x");
    world.write("dist/.assetsignore", ".env*\n.git\n.cache\nignored.txt\n");
    for (end, link) in [
        (".env", "config.txt"),
        (".git/config", "cfg.txt"),
        (".git", "gitlink"),
        ("a/.cache/b", "cached"),
        (".env", "ignored.txt"),
        (".well-known/security.txt", "security.txt"),
    ] {
        symlink(end, world.path().join("dist").join(link)).unwrap();
    }
    for arguments in [&["dist"][..], &["dist", "--allow-secrets"]] {
        insta::assert_snapshot!("links_to_hidden_files", push_error(&world, arguments).await);
    }
    for link in ["config.txt", "cfg.txt", "gitlink", "cached"] {
        std::fs::remove_file(world.path().join("dist").join(link)).unwrap();
    }
    pushed(&world, &["dist"]).await;
    assert_eq!(paths(&world), [".well-known/security.txt", "app.js", "index.html", "security.txt"]);
}

#[cfg(unix)]
#[tokio::test]
async fn link_to_file_that_configures_the_push_is_rejected() {
    use std::os::unix::fs::symlink;

    let world = World::new().await;
    world.write("dist/_headers", "/staff/*\n  Basic-Auth: ann:secret\n");
    world.write("dist/Netlify.toml", "");
    world.write("dist/sub/_headers", "a page");
    for (end, link) in [("_headers", "headers.txt"), ("Netlify.toml", "n.txt"), ("../_headers", "sub/h.txt")] {
        symlink(end, world.path().join("dist").join(link)).unwrap();
    }
    symlink("_headers", world.path().join("dist/sub/fine.txt")).unwrap();
    let error = push_error(&world, &["dist", "--allow-secrets"]).await;
    for line in ["headers.txt: symbolic link to _headers, which configures", "n.txt: symbolic link to Netlify.toml"] {
        assert!(error.contains(line), "{error}");
    }
    assert!(error.contains("sub/h.txt: symbolic link to _headers") && !error.contains("fine.txt"), "{error}");
    for link in ["headers.txt", "n.txt", "sub/h.txt", "Netlify.toml"] {
        std::fs::remove_file(world.path().join("dist").join(link)).unwrap();
    }
    pushed(&world, &["dist"]).await;
    assert_eq!(paths(&world), ["app.js", "index.html", "sub/_headers", "sub/fine.txt"]);
}

#[tokio::test]
async fn file_that_configures_the_push_under_a_name_in_another_case_is_rejected() {
    let world = World::new().await;
    world.write("dist/_Headers", "/staff/*\n  Basic-Auth: ann:secret\n");
    let error = push_error(&world, &["dist", "--allow-secrets", "--ignore-rules"]).await;
    assert!(error.contains("  _Headers: not read, because the name is `_headers`\nhint: rename the file\n"), "{error}");
}

#[tokio::test]
async fn file_changed_during_the_push_is_named() {
    let world = World::new().await;
    let changed = world.path().join("dist/app.js");
    let changing = async {
        while !world.origin.memory().requests.iter().any(|request| request.starts_with("PUT")) {
            tokio::task::yield_now().await;
        }
        std::fs::write(&changed, "let a = 3;").unwrap();
    };
    let arguments = ["push"];
    let (ran, ()) = tokio::join!(world.verge(&arguments), changing);
    let ran = ran.ended(Exit::Failure);
    assert!(ran.stderr.contains("error: app.js was changed during the push\nhint: push again"), "{}", ran.stderr);
    assert!(world.origin.memory().sites.values().all(|site| site.releases.is_empty()));
}
