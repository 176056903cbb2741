//! `verge up` as a person runs it: what it prints, what it serves, how it ends, and what it leaves behind.

#[cfg(target_os = "linux")]
mod dns;
mod running;

use self::running::Home;

const TEMPORARY: [&str; 6] = ["--temp", "--port", "0", "--json", "--edges", "2"];

fn temporary<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&TEMPORARY[..], more].concat()
}

#[tokio::test]
async fn one_line_of_json_says_where_everything_is_and_the_site_is_there() {
    let home = Home::new();
    let mut up = home.up(&temporary(&["--site", "shop", "dist"]));
    let told = up.told().await;
    let fields = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&told), ["dns", "edges", "node", "origin", "sites", "token", "zone"]);
    assert!(told["token"].as_str().unwrap().starts_with("vrg_"), "{told}");
    let edges = told["edges"].as_array().unwrap();
    assert_eq!(edges.iter().map(|edge| edge["name"].as_str().unwrap()).collect::<Vec<_>>(), ["edge-1", "edge-2"]);
    assert_eq!(told["sites"].as_array().unwrap().len(), 1);
    let site = &told["sites"][0];
    assert_eq!((&site["name"], &site["release"]), (&"shop".into(), &"v1".into()));
    for edge in edges {
        assert_eq!(fields(edge), ["address", "admin", "city", "name", "place", "url"]);
        let answer = running::get(edge["url"].as_str().unwrap(), "shop.localhost", "/").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("<!doctype html>one"), "{answer}");
    }
    let host = site["url"].as_str().unwrap().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let answer = running::get(edges[0]["url"].as_str().unwrap(), &host, "/").await;
    assert!(answer.ends_with("<!doctype html>one"), "at {host}: {answer}");
    let ended = up.end("TERM").await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
}

#[tokio::test]
async fn either_signal_ends_it_and_nothing_temporary_stays() {
    let home = Home::new();
    for signal in ["TERM", "INT"] {
        let mut up = home.up(&temporary(&["dist"]));
        up.told().await;
        assert!(!home.temporary().is_empty(), "it keeps its data where `TMPDIR` says");
        let ended = up.end(signal).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.ends_with(&format!("SIG{signal}: stopping\n")), "{}", ended.stderr);
        assert_eq!(home.temporary(), [""; 0]);
    }
}

#[tokio::test]
async fn a_signal_while_it_starts_ends_it_and_nothing_temporary_stays() {
    let home = Home::new();
    // Early and late in the start: signalled once so many of its parts have a folder.
    for parts in [0, 1, 2, 3, 4] {
        let up = home.up(&temporary(&["dist"]));
        home.until_parts_exist(parts).await;
        let ended = up.end("TERM").await;
        assert_eq!(ended.code, Some(0), "after {parts}: {}", ended.stderr);
        assert_eq!(home.temporary(), [""; 0], "after {parts}");
    }
}

/// Only Linux has an address for each edge.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn dns_leads_each_reader_to_the_nearest_edge_and_the_site_is_there() {
    let home = Home::new();
    let mut up = home.up(&["--temp", "--port", "0", "--json", "--edges", "4", "--site", "shop", "dist"]);
    let told = up.told().await;
    assert_eq!(told["zone"], "verge.test");
    let server = told["dns"].as_str().unwrap();
    for (network, city) in [
        ("192.0.2.0/24", "Frankfurt"),
        ("198.51.100.0/24", "New York"),
        ("203.0.113.0/24", "Singapore"),
        ("2001:db8:1::/48", "Frankfurt"),
        ("2001:db8:2::/48", "New York"),
        ("2001:db8:3::/48", "Singapore"),
    ] {
        let addresses = dns::addresses(server, "shop.verge.test", network).await;
        assert_eq!(addresses.len(), 2, "{network}");
        let edge = running::edge_at(&told, addresses[0]);
        assert_eq!(edge["city"], city, "{network}");
        let answer =
            running::get(&format!("http://{}", edge["address"].as_str().unwrap()), "shop.verge.test", "/").await;
        assert!(answer.ends_with("<!doctype html>one"), "{answer}");
        let name = format!("verge-edge: {}\r\n", edge["name"].as_str().unwrap());
        assert!(answer.to_ascii_lowercase().contains(&name), "{answer}");

        // What is explained is what is answered.
        let reader = network.split('/').next().unwrap();
        let explained = home.verge(&["dns", "explain", reader, "shop.verge.test", "--json"]).await;
        let first = &explained["a"]["edges"][0];
        assert_eq!((&first["edge"], &first["address"]), (&edge["name"], &addresses[0].to_string().into()), "{network}");
    }
    let ended = up.end("TERM").await;
    assert_eq!((ended.code, ended.stderr.contains("WARN")), (Some(0), false), "{}", ended.stderr);
    let mut addresses: Vec<&str> =
        told["edges"].as_array().unwrap().iter().map(|edge| edge["address"].as_str().unwrap()).collect();
    addresses.push(server);
    for address in addresses {
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{address}");
    }
    assert_eq!(home.temporary(), [""; 0]);
}

/// Edges that shut down and those that are gone: neither are to be known for it at the next start.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn after_a_restart_with_fewer_edges_dns_names_those_there_are() {
    let home = Home::new();
    let arguments = ["--data", "data", "--port", "0", "--json", "--site", "shop", "dist", "--edges"];
    let mut first = home.up(&[&arguments[..], &["4"]].concat());
    first.told().await;
    // Only a preview: nothing is live that there could be a name for.
    home.verge(&["push", "dist", "--site", "draft", "--channel", "pr-1", "--json"]).await;
    assert_eq!(first.end("TERM").await.code, Some(0));
    let mut second = home.up(&[&arguments[..], &["2"]].concat());
    let told = second.told().await;
    let server = told["dns"].as_str().unwrap();
    for (network, city) in
        [("192.0.2.0/24", "Frankfurt"), ("198.51.100.0/24", "New York"), ("203.0.113.0/24", "Frankfurt")]
    {
        let addresses = dns::addresses(server, "shop.verge.test", network).await;
        assert_eq!(addresses.len(), 2, "{network}");
        assert_eq!(running::edge_at(&told, addresses[0])["city"], city, "{network}");
    }
    assert_eq!(second.end("TERM").await.code, Some(0));
}

#[tokio::test]
async fn a_taken_port_is_named_with_a_way_out() {
    let home = Home::new();
    let taken = running::taken_port().await;
    let port = taken.local_addr().unwrap().port();
    // The first port that is opened is the first edge's: whoever else runs here has no part in what is said.
    let base = (port - 1).to_string();
    let ended = home.up(&["--temp", "--edges", "1", "--port", &base, "dist"]).ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    let error = format!("error: port {port} of 127.0.0.1 is taken (for readers)\nhint: ");
    assert!(ended.stderr.starts_with(&error) && ended.stderr.contains("--port 0 takes free ones"), "{}", ended.stderr);
    assert_eq!(home.temporary(), [""; 0]);
}

#[tokio::test]
async fn a_data_folder_has_one_user_at_a_time() {
    let home = Home::new();
    let arguments = ["--data", "data", "--port", "0", "--json", "--edges", "1", "dist"];
    let mut first = home.up(&arguments);
    first.told().await;
    let second = home.up(&arguments).ended().await;
    assert_eq!((second.code, second.stdout.as_str()), (Some(1), ""));
    assert!(second.stderr.contains("is in use by another process\nhint: "), "{}", second.stderr);
    let ended = first.end("TERM").await;
    assert_eq!(ended.code, Some(0), "the first is unharmed: {}", ended.stderr);
}

#[tokio::test]
async fn what_was_pushed_is_served_again_after_a_restart() {
    let home = Home::new();
    let arguments = ["--data", "data", "--port", "0", "--json", "--edges", "2", "--site", "shop"];
    let mut first = home.up(&[&arguments[..], &["dist"]].concat());
    first.told().await;
    assert_eq!(first.end("TERM").await.code, Some(0));
    let mut second = home.up(&arguments);
    let told = second.told().await;
    assert_eq!((&told["sites"][0]["name"], &told["sites"][0]["release"]), (&"shop".into(), &"v1".into()), "{told}");
    assert_eq!(told["sites"].as_array().unwrap().len(), 1);
    for edge in told["edges"].as_array().unwrap() {
        let answer = running::get(edge["url"].as_str().unwrap(), "shop.localhost", "/").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("<!doctype html>one"), "{answer}");
    }
    assert_eq!(second.end("INT").await.code, Some(0));
}
