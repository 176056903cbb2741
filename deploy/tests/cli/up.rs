//! `verge up` as a process: its output, the sites it serves, how it ends, and the files it leaves.

#[cfg(target_os = "linux")]
mod dns_client;
mod process;

use self::process::Home;

const TEMPORARY: [&str; 6] = ["--temp", "--port", "0", "--json", "--edges", "2"];

fn temporary<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&TEMPORARY[..], more].concat()
}

#[tokio::test]
async fn json_summary_has_working_addresses() {
    let home = Home::new();
    let mut up = home.up(&temporary(&["--site", "shop", "dist"]));
    let summary = up.ready().await;
    let fields = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&summary), ["dns", "edges", "name_server_private", "origin", "sites", "token", "zone"]);
    assert!(summary["token"].as_str().unwrap().starts_with("vrg_"), "{summary}");
    let edges = summary["edges"].as_array().unwrap();
    assert_eq!(edges.iter().map(|edge| edge["name"].as_str().unwrap()).collect::<Vec<_>>(), ["edge-1", "edge-2"]);
    assert_eq!(summary["sites"].as_array().unwrap().len(), 1);
    let site = &summary["sites"][0];
    assert_eq!((&site["name"], &site["release"]), (&"shop".into(), &"v1".into()));
    for edge in edges {
        assert_eq!(fields(edge), ["address", "city", "location", "name", "private", "url"]);
        let answer = process::get(edge["url"].as_str().unwrap(), "shop.localhost", "/").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("<!doctype html>one"), "{answer}");
    }
    let host = site["url"].as_str().unwrap().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let answer = process::get(edges[0]["url"].as_str().unwrap(), &host, "/").await;
    assert!(answer.ends_with("<!doctype html>one"), "at {host}: {answer}");
    let ended = up.end("TERM").await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
}

#[tokio::test]
async fn sources_are_not_published_but_their_output_is() {
    let home = Home::new();
    home.write("package.json", r#"{"name":"shop"}"#);
    home.write("index.html", "<script type=module src=/src/main.ts></script>");
    let mut up = home.up(&temporary(&["."]));
    let summary = up.ready().await;
    assert_eq!(summary["sites"][0]["name"], "shop");
    let answer = process::get(summary["edges"][0]["url"].as_str().unwrap(), "shop.localhost", "/").await;
    assert!(answer.ends_with("<!doctype html>one"), "{answer}");
    let ended = up.end("TERM").await;
    assert!(ended.stderr.contains("pushing dist (detected"), "{}", ended.stderr);
    assert_eq!(home.read("verge.toml"), None, "a temporary cluster has no site to stay linked to");
    std::fs::remove_dir_all(home.at("dist")).unwrap();
    let ended = home.up(&temporary(&["."])).ended().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("holds the sources of a site, and no output of a build\nhint: "), "{}", ended.stderr);
}

#[tokio::test]
async fn push_to_a_lasting_cluster_links_nothing_and_is_repeated_without_a_question() {
    let home = Home::new();
    let lasting = ["--data", "data", "--port", "0", "--json", "--edges", "1"];
    home.write("package.json", r#"{"name":"shop"}"#);
    for _ in 0..2 {
        let mut up = home.up(&[&lasting[..], &["."]].concat());
        up.ready().await;
        up.end("TERM").await;
        // Else a push to another origin, whose site of that name may be another project's, would not ask.
        assert_eq!(home.read("verge.toml"), None);
    }
}

#[tokio::test]
async fn site_of_another_project_is_not_replaced_without_a_person() {
    let home = Home::new();
    let lasting = ["--data", "data", "--port", "0", "--json", "--edges", "1"];
    for project in ["a", "b"] {
        home.write(&format!("{project}/package.json"), r#"{"name":"vite-project"}"#);
        home.write(&format!("{project}/dist/index.html"), "<!doctype html>");
        home.write(&format!("plain-{project}/index.html"), "<!doctype html>");
    }
    for (first, second, site) in [("a", "b", "vite-project"), ("plain-a", "plain-b", "demo")] {
        let mut up = home.up(&[&lasting[..], &[first]].concat());
        up.ready().await;
        up.end("TERM").await;
        let ended = home.up(&[&lasting[..], &[second]].concat()).ended().await;
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        let error = format!("error: site {site} may be another project's: it was last pushed from ");
        assert!(ended.stderr.contains(&error), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("hint: to replace it, use --site {site}\n")), "{}", ended.stderr);
    }
    let mut up = home.up(&[&lasting[..], &["b", "--site", "vite-project"]].concat());
    up.ready().await;
    up.end("TERM").await;
    let mut up = home.up(&[&lasting[..], &["b"]].concat());
    up.ready().await;
    up.end("TERM").await;
}

#[tokio::test]
async fn profile_that_cannot_be_written_is_a_warning() {
    let home = Home::new();
    // A file where the directory of the profile would be.
    std::fs::remove_dir(home.at("home")).unwrap();
    home.write("home", "");
    let mut up = home.up(&temporary(&["dist"]));
    up.ready().await;
    let ended = up.end("TERM").await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("warning: failed to write the profile"), "{}", ended.stderr);
}

#[tokio::test]
async fn https_serves_every_site_with_a_certificate_of_the_printed_authority() {
    let home = Home::new();
    let mut up = home.up(&temporary(&["--https", "--site", "shop", "dist"]));
    let summary = up.ready().await;
    let root = std::fs::read(summary["ca"].as_str().unwrap()).unwrap();
    let localhost = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let client = || {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        ["shop.localhost", "pr-1--shop.localhost", "unknown.localhost"]
            .iter()
            .fold(builder, |builder, host| builder.resolve(host, localhost))
    };
    let trusting = client().tls_certs_only([reqwest::Certificate::from_pem(&root).unwrap()]).build().unwrap();
    let site = summary["sites"][0]["url"].as_str().unwrap();
    assert!(site.starts_with("https://shop.localhost:"), "{site}");
    for edge in summary["edges"].as_array().unwrap() {
        let at = |host: &str| edge["https_url"].as_str().unwrap().replace("localhost", host);
        let answer = trusting.get(at("shop.localhost")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
        assert_eq!(answer.text().await.unwrap(), "<!doctype html>one");
        // The printed URL works as it is.
        let health = trusting.get(at("localhost") + "/.well-known/verge/health").send().await.unwrap();
        assert_eq!(health.status(), 200);
        // Who does not trust the authority gets no page, and an unknown name no certificate.
        client().build().unwrap().get(at("shop.localhost")).send().await.unwrap_err();
        trusting.get(at("unknown.localhost")).send().await.unwrap_err();
        let plain = edge["url"].as_str().unwrap().replace("127.0.0.1", "shop.localhost");
        let answer = trusting.get(&plain).send().await.unwrap();
        let location = answer.headers()["location"].to_str().unwrap();
        assert_eq!((answer.status().as_u16(), location), (308, format!("{}/", at("shop.localhost")).as_str()));
        // The origin does not know the certificate.
        let acme = "/.well-known/acme-challenge/token";
        for (path, status, may_redirect) in [("", 200, true), ("/%zz", 404, true), (acme, 404, false)] {
            let step = &home.verge(&["explain", &format!("{plain}{path}"), "--json"]).await["steps"][0];
            let told = (&step["status"], &step["may_redirect_to_tls"]);
            assert_eq!(told, (&status.into(), &may_redirect.into()), "{path}: {step}");
            let answer = trusting.get(format!("{plain}{path}")).send().await.unwrap();
            assert_eq!(answer.status() == 308, may_redirect, "{path}: {}", answer.status());
        }
    }
    // A host that is new has its certificate when the push says that it is live.
    home.verge(&["push", "dist", "--site", "shop", "--channel", "pr-1", "--json"]).await;
    for edge in summary["edges"].as_array().unwrap() {
        let preview = edge["https_url"].as_str().unwrap().replace("localhost", "pr-1--shop.localhost");
        assert_eq!(trusting.get(&preview).send().await.unwrap().status(), 200);
    }
    assert_eq!(up.end("TERM").await.code, Some(0));
    assert_eq!(home.temporary(), [""; 0]);
}

#[tokio::test]
async fn signal_ends_process_and_deletes_temporary_data() {
    let home = Home::new();
    for signal in ["TERM", "INT"] {
        let mut up = home.up(&temporary(&["dist"]));
        up.ready().await;
        assert!(!home.temporary().is_empty(), "data is in `TMPDIR`");
        let ended = up.end(signal).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.ends_with(&format!("SIG{signal}: stopping\n")), "{}", ended.stderr);
        assert_eq!(home.temporary(), [""; 0]);
    }
}

#[tokio::test]
async fn signal_during_start_ends_process_and_deletes_temporary_data() {
    let home = Home::new();
    // Early and late in the start: the signal is sent once this many daemons have a directory.
    for daemons in [0, 1, 2, 3, 4] {
        let up = home.up(&temporary(&["dist"]));
        home.until_dirs_exist(daemons).await;
        let ended = up.end("TERM").await;
        assert_eq!(ended.code, Some(0), "after {daemons}: {}", ended.stderr);
        assert_eq!(home.temporary(), [""; 0], "after {daemons}");
    }
}

/// Only Linux has an address for each edge.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn dns_returns_nearest_edge_which_serves_the_site() {
    let home = Home::new();
    let mut up = home.up(&["--temp", "--port", "0", "--json", "--edges", "4", "--site", "shop", "dist"]);
    let summary = up.ready().await;
    assert_eq!(summary["zone"], "verge.test");
    let server = summary["dns"].as_str().unwrap();
    for (network, city) in [
        ("192.0.2.0/24", "Frankfurt"),
        ("198.51.100.0/24", "New York"),
        ("203.0.113.0/24", "Singapore"),
        ("2001:db8:1::/48", "Frankfurt"),
        ("2001:db8:2::/48", "New York"),
        ("2001:db8:3::/48", "Singapore"),
    ] {
        let addresses = dns_client::addresses(server, "shop.verge.test", network).await;
        assert_eq!(addresses.len(), 2, "{network}");
        let edge = process::edge_at(&summary, addresses[0]);
        assert_eq!(edge["city"], city, "{network}");
        let answer =
            process::get(&format!("http://{}", edge["address"].as_str().unwrap()), "shop.verge.test", "/").await;
        assert!(answer.ends_with("<!doctype html>one"), "{answer}");
        let name = format!("verge-edge: {}\r\n", edge["name"].as_str().unwrap());
        assert!(answer.to_ascii_lowercase().contains(&name), "{answer}");

        // The explanation matches the answer.
        let reader = network.split('/').next().unwrap();
        let explained = home.verge(&["dns", "explain", reader, "shop.verge.test", "--json"]).await;
        let first = &explained["a"]["edges"][0];
        assert_eq!((&first["edge"], &first["address"]), (&edge["name"], &addresses[0].to_string().into()), "{network}");
    }
    let ended = up.end("TERM").await;
    assert_eq!((ended.code, ended.stderr.contains("WARN")), (Some(0), false), "{}", ended.stderr);
    let mut addresses: Vec<&str> =
        summary["edges"].as_array().unwrap().iter().map(|edge| edge["address"].as_str().unwrap()).collect();
    addresses.push(server);
    for address in addresses {
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{address}");
    }
    assert_eq!(home.temporary(), [""; 0]);
}

/// Edges that were shut down count as up at the next start, and edges that no longer exist are removed.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn restart_with_fewer_edges_removes_the_others_from_dns() {
    let home = Home::new();
    let arguments = ["--data", "data", "--port", "0", "--json", "--site", "shop", "dist", "--edges"];
    let mut first = home.up(&[&arguments[..], &["4"]].concat());
    first.ready().await;
    // Only a preview: a site without a live release has no name.
    home.verge(&["push", "dist", "--site", "draft", "--channel", "pr-1", "--json"]).await;
    assert_eq!(first.end("TERM").await.code, Some(0));
    let mut second = home.up(&[&arguments[..], &["2"]].concat());
    let summary = second.ready().await;
    let server = summary["dns"].as_str().unwrap();
    for (network, city) in
        [("192.0.2.0/24", "Frankfurt"), ("198.51.100.0/24", "New York"), ("203.0.113.0/24", "Frankfurt")]
    {
        let addresses = dns_client::addresses(server, "shop.verge.test", network).await;
        assert_eq!(addresses.len(), 2, "{network}");
        assert_eq!(process::edge_at(&summary, addresses[0])["city"], city, "{network}");
    }
    assert_eq!(second.end("TERM").await.code, Some(0));
}

#[tokio::test]
async fn taken_port_error_has_hint() {
    let home = Home::new();
    let taken = process::taken_port().await;
    let port = taken.local_addr().unwrap().port();
    // The port of the first edge is opened first, so the error does not depend on other processes.
    let base = (port - 1).to_string();
    let ended = home.up(&["--temp", "--edges", "1", "--port", &base, "dist"]).ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    let error = format!("error: failed to listen on 127.0.0.1:{port} for readers: the port is in use\nhint: ");
    assert!(ended.stderr.starts_with(&error) && ended.stderr.contains("--port 0 for free ones"), "{}", ended.stderr);
    assert_eq!(home.temporary(), [""; 0]);
}

#[tokio::test]
async fn data_directory_in_use_is_an_error() {
    let home = Home::new();
    let arguments = ["--data", "data", "--port", "0", "--json", "--edges", "1", "dist"];
    let mut first = home.up(&arguments);
    first.ready().await;
    let second = home.up(&arguments).ended().await;
    assert_eq!((second.code, second.stdout.as_str()), (Some(1), ""));
    assert!(second.stderr.contains("is in use by another process\nhint: "), "{}", second.stderr);
    let ended = first.end("TERM").await;
    assert_eq!(ended.code, Some(0), "the first keeps running: {}", ended.stderr);
}

#[tokio::test]
async fn site_is_served_again_after_restart() {
    let home = Home::new();
    let arguments = ["--data", "data", "--port", "0", "--json", "--edges", "2", "--site", "shop"];
    let mut first = home.up(&[&arguments[..], &["dist"]].concat());
    first.ready().await;
    assert_eq!(first.end("TERM").await.code, Some(0));
    let mut second = home.up(&arguments);
    let summary = second.ready().await;
    assert_eq!(
        (&summary["sites"][0]["name"], &summary["sites"][0]["release"]),
        (&"shop".into(), &"v1".into()),
        "{summary}"
    );
    assert_eq!(summary["sites"].as_array().unwrap().len(), 1);
    for edge in summary["edges"].as_array().unwrap() {
        let answer = process::get(edge["url"].as_str().unwrap(), "shop.localhost", "/").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("<!doctype html>one"), "{answer}");
    }
    assert_eq!(second.end("INT").await.code, Some(0));
}

/// The names and URLs of the edges that the demo lists.
#[cfg(target_os = "linux")]
async fn demo_edges(summary: &serde_json::Value) -> Vec<(String, String)> {
    let answer = process::get(summary["edges"][0]["url"].as_str().unwrap(), "demo.localhost", "/up.json").await;
    let data: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    data["edges"].as_array().unwrap().iter().map(|edge| (text(&edge["name"]), text(&edge["url"]))).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn demo_lists_the_edges_of_each_start_unless_other_files_were_pushed() {
    let home = Home::new();
    let arguments = ["--data", "data", "--port", "0", "--json", "--edges"];
    for (edges, release) in [("1", "v1"), ("2", "v2")] {
        let mut up = home.up(&[&arguments[..], &[edges]].concat());
        let summary = up.ready().await;
        assert_eq!(summary["sites"][0]["release"], release);
        let expected = summary["edges"].as_array().unwrap().iter().map(|edge| {
            let url = edge["url"].as_str().unwrap().replace("127.0.0.1", "demo.localhost");
            (edge["name"].as_str().unwrap().to_owned(), format!("{url}/"))
        });
        assert_eq!(demo_edges(&summary).await, expected.collect::<Vec<_>>());
        if release == "v2" {
            home.write("dist/up.json", "{}");
            home.verge(&["push", "dist", "--site", "demo", "--force", "--json"]).await;
        }
        up.end("TERM").await;
    }
    let mut up = home.up(&[&arguments[..], &["1"]].concat());
    assert_eq!(up.ready().await["sites"][0]["release"], "v3", "another's files stay");
    up.end("TERM").await;
}
