//! Commands of operators, against a real origin.

mod collection;
mod regions;
mod resolver;
mod world;

use verge::Exit;
use verge_protocol::JoinCode;
use verge_protocol::api::TokenOwner;
use verge_protocol::report::EdgeReport;

use self::world::World;
use crate::world::verge;

#[tokio::test]
async fn keys_are_replaced_on_request_and_after_a_compromised_edge_was_removed() {
    let world = World::new().await;
    let notice = "0 certificates to be issued anew with other keys; `verge certs` shows when they are on all edges\n";
    assert_eq!(world.verge("certs rekey --all").await.ended(Exit::Success).stdout, notice);
    let json = world.verge("certs rekey --all --json").await.ended(Exit::Success).json();
    assert_eq!(json, serde_json::json!({ "rekeyed": [] }));
    let unknown = world.verge("certs rekey www.example.com").await.ended(Exit::Failure);
    assert!(unknown.stderr.contains("there is no certificate for www.example.com"), "{}", unknown.stderr);
    assert!(unknown.stderr.ends_with("\nhint: use `verge certs` to list certificates\n"), "{}", unknown.stderr);
    world.verge("edges add fra-1 --address 192.0.2.1 --at Frankfurt").await.ended(Exit::Success);
    let removed = world.verge("edges remove fra-1 --compromised --yes").await.ended(Exit::Success);
    let cut_off = "removed fra-1 and revoked its token: it is cut off from the origin";
    assert_eq!(removed.stdout, format!("{cut_off}\n{notice}"));
}

#[tokio::test]
async fn edge_is_added_changed_forced_and_removed() {
    let world = World::new().await;
    let none = world.verge("edges").await.ended(Exit::Success);
    assert_eq!(
        (none.stdout.as_str(), none.stderr.as_str()),
        ("", "no edges yet; register one with `verge edges add`\n")
    );
    let added =
        world.verge("edges add fra-1 --address 192.0.2.1,2001:db8::1 --at frankfurt").await.ended(Exit::Success);
    let code =
        |command: &str| command.trim_end().strip_prefix("verge-edge join ").unwrap().parse::<JoinCode>().unwrap();
    let join = code(&added.stdout);
    assert_eq!(
        (join.owner, join.origins, join.pin),
        (TokenOwner::Edge("fra-1".parse().unwrap()), vec![world.url()], None)
    );
    insta::assert_snapshot!(added.stderr.replace(&world.url(), "ORIGIN"));

    world.verge("edges token fra-1").await.ended(Exit::Success);
    let again = world.verge("edges add fra-1 --address 192.0.2.1 --at Frankfurt --weight 2").await.ended(Exit::Success);
    assert_eq!(again.stdout, "", "its token is not replaced");
    assert!(again.stderr.contains("fra-1 has joined; use `verge edges join-code fra-1`"), "{}", again.stderr);
    let url = "https://192.0.2.10:7443";
    let another = world.verge(&format!("edges join-code fra-1 --join-url {url}")).await.ended(Exit::Success);
    assert_eq!(code(&another.stdout).origins, [url]);
    assert!(!another.stderr.contains("this machine only"), "{}", another.stderr);
    world.verge("edges join-code fra-1 --join-url http://192.0.2.10:7400").await.ended(Exit::Usage);
    let plain = world.verge("edges join-code fra-1 --insecure --join-url http://192.0.2.10:7400").await;
    assert!(plain.stdout.ends_with(" --insecure\n"), "{}", plain.stdout);
    let add =
        "edges add syd-1 --address 192.0.2.2 --location -33.87,151.21 --region oc --port 8080 --no-join-code --json";
    let json = world.verge(add).await.ended(Exit::Success).json();
    assert_eq!((&json["edge"], &json["join"]), (&"syd-1".into(), &serde_json::Value::Null));
    assert_eq!(json["state"]["location"], "-33.87,151.21");
    let json = world.verge("edges add fra-1 --address 192.0.2.1 --at Frankfurt --json").await.json();
    assert_eq!(
        (&json["state"]["weight"], &json["join"]),
        (&2.into(), &serde_json::Value::Null),
        "options not given keep their values"
    );
    let json = world.verge(add).await.ended(Exit::Success).json();
    assert_eq!((&json["state"]["port"], &json["state"]["addresses"][0]), (&8080.into(), &"192.0.2.2".into()));
    world.verge("edges token lon-1").await.ended(Exit::Success);

    world.verge("edges set fra-1 --weight 3").await.ended(Exit::Success);
    world.verge("edges force fra-1 down --yes").await.ended(Exit::Success);
    insta::assert_snapshot!(world.verge("edges").await.ended(Exit::Success).stdout);
    let json = world.verge("edges set syd-1 --at Tokyo --json").await.json();
    assert_eq!(json["state"]["regions"], serde_json::json!(["as", "jp"]));
    assert_eq!(world.verge("edges force syd-1 up --json").await.json()["state"]["force"], "up");

    let removed = world.verge("edges remove fra-1").await.ended(Exit::Success);
    assert!(removed.stdout.starts_with("removed fra-1"), "{}", removed.stdout);
    let gone = world.verge("edges remove fra-1").await.ended(Exit::Failure);
    let hint = "\nhint: use `verge edges` to list edges, or `verge edges add` to configure one\n";
    assert!(gone.stderr.contains("`fra-1`") && gone.stderr.ends_with(hint), "{}", gone.stderr);
    assert_eq!(world.verge("edges remove lon-1 --json").await.json()["removed"], true);
    world.stop().await;
}

#[tokio::test]
async fn last_edge_is_taken_out_of_dns_only_after_confirmation() {
    let world = World::new().await;
    world.verge("edges add fra-1 --address 192.0.2.1 --at Frankfurt").await.ended(Exit::Success);
    let force = async || world.verge("edges --json").await.json()[0]["state"]["force"].clone();
    let effect = "no live edge is left without fra-1: DNS would return no address for any site";
    for typed in ["edges force fra-1 down", "edges remove fra-1", "edges remove fra-1 --json"] {
        let refused = world.verge(typed).await.ended(Exit::Refused);
        assert_eq!(refused.stderr, format!("error: {effect}\nhint: use --yes to do it anyway\n"), "{typed}");
        assert_eq!((refused.stdout.as_str(), force().await), ("", "auto".into()), "{typed}");
    }
    let cancelled = world.verge_answering("edges force fra-1 down", "n\n").await.ended(Exit::Refused);
    assert_eq!(cancelled.stderr, format!("{effect}. Continue? [y/N] error: cancelled: nothing was changed\n"));
    assert_eq!(force().await, "auto");
    world.verge_answering("edges force fra-1 down", "y\n").await.ended(Exit::Success);
    assert_eq!(force().await, "down");
    for typed in
        ["edges force fra-1 down", "edges force fra-1 auto", "edges force fra-1 up", "edges remove fra-1 --yes"]
    {
        let unasked = world.verge(typed).await.ended(Exit::Success);
        assert_eq!(unasked.stderr, "", "{typed}");
    }
    world.stop().await;
}

#[tokio::test]
async fn errors_of_operators_have_hints() {
    let world = World::new().await;
    world.verge("edges add fra-1 --address 192.0.2.1 --at Frankfurt").await.ended(Exit::Success);
    let mut errors = Vec::new();
    for (typed, exit) in [
        ("edges add ams-1 --address 192.0.2.1 --at Amsterdam", Exit::Conflict),
        ("edges add ams-1 --address 0.0.0.0 --at Amsterdam", Exit::Refused),
        ("edges add ams-1 --address 192.0.2.9 --at Amsterdan", Exit::Usage),
        ("edges set ams-1 --weight 2", Exit::Failure),
        ("edges force ams-1 down", Exit::Failure),
        ("sites regions demo na", Exit::Refused),
        ("domains check www.example.com", Exit::Failure),
        ("domains add x.sites.example.org --site demo", Exit::Refused),
    ] {
        let ran = world.verge(typed).await.ended(exit);
        assert_eq!(ran.stdout, "", "{typed}");
        errors.push(format!("$ verge {typed}\n{}", ran.stderr));
    }
    insta::assert_snapshot!(errors.join("\n"));
    world.stop().await;
}

#[tokio::test]
async fn site_is_restricted_to_regions() {
    let world = World::new().await;
    world.verge("edges add fra-1 --address 192.0.2.1 --at Frankfurt").await.ended(Exit::Success);
    let restricted = world.verge("sites regions demo eu de").await.ended(Exit::Success);
    assert_eq!(restricted.stdout, "demo is restricted to edges in: de eu\n");
    assert_eq!(world.verge("sites --json").await.json()[0]["regions"], serde_json::json!(["de", "eu"]));
    let unrestricted = world.verge("sites regions demo --none").await.ended(Exit::Success);
    assert_eq!(unrestricted.stdout, "demo is not restricted to regions\n");
    assert_eq!(world.verge("sites regions demo eu --json").await.json()["regions"], serde_json::json!(["eu"]));
    world.stop().await;
}

#[tokio::test]
async fn domain_is_added_proven_and_removed() {
    let world = World::new().await;
    let none = world.verge("domains").await.ended(Exit::Success);
    assert_eq!(
        (none.stdout.as_str(), none.stderr.as_str()),
        ("", "no domains yet; add one with `verge domains add`\n")
    );
    let pending = world.verge("domains add WWW.example.com. --site demo").await.ended(Exit::Success);
    let (record, value) = pending.stdout.trim_end().split_once(" 300 IN TXT ").unwrap();
    assert_eq!(record, "_verge.www.example.com.");
    let value = value.trim_matches('"');
    insta::assert_snapshot!(pending.stderr);
    let unproven = world.verge("domains check www.example.com").await.ended(Exit::Pending);
    assert_eq!(unproven.stdout, pending.stdout, "the same record");

    world.resolver.set_text(value);
    let proven = world.verge("domains check www.example.com").await.ended(Exit::Success);
    assert_eq!(proven.stdout, "www.example.com. 300 IN CNAME demo.sites.example.org.\n");
    let redirect = "domains add example.com --site demo --redirect-to www.example.com";
    assert_eq!(world.verge(&format!("{redirect} --json")).await.json()["redirect_to"], "www.example.com");
    world.verge("domains check example.com").await.ended(Exit::Pending);
    assert_eq!(
        world.verge("domains --json").await.json()[0]["redirect_to"],
        "www.example.com",
        "a check changes nothing"
    );
    let list = world.verge("domains").await.ended(Exit::Success).stdout;
    insta::with_settings!({ filters => [("[0-9a-f]{32}", "[random]")] }, { insta::assert_snapshot!(list) });

    let held = world.verge("domains remove www.example.com").await.ended(Exit::Conflict);
    assert!(held.stderr.starts_with("error: `example.com` redirects to `www.example.com`"), "{}", held.stderr);
    assert_eq!(world.verge("domains remove example.com --json").await.json()["removed"], true);
    let removed = world.verge("domains remove www.example.com").await.ended(Exit::Success);
    assert!(removed.stdout.starts_with("removed www.example.com"), "{}", removed.stdout);
    world.stop().await;
}

#[tokio::test]
async fn truncated_token_error_has_hint() {
    let world = World::new().await;
    let token = world.origin.admin_token().expose();
    let truncated = verge(world.dir.path(), &world.url(), &token[..20], &["sites"]).await.ended(Exit::NotAllowed);
    let error = "error: invalid token in VERGE_TOKEN: malformed token: expected 52 characters, found 20";
    let hint =
        "hint: copy the whole token; that of the administrator is in `admin-token` in the data directory of the origin";
    assert_eq!(truncated.stderr, format!("{error}\n{hint}\n"));
    world.stop().await;
}

#[tokio::test]
async fn name_server_token_is_issued_listed_and_revoked() {
    let world = World::new().await;
    let messages = world.verge("dns token ns-1").await.ended(Exit::Success).stderr;
    assert!(
        messages.starts_with("new token for ns-1 (shown only once") && messages.contains("`token_file`"),
        "{messages}"
    );
    let token = world.verge("dns token ns-1 --quiet").await.ended(Exit::Success);
    assert!(token.stdout.starts_with("vrg_") && token.stderr.is_empty(), "{}", token.stdout);
    assert_eq!(world.verge("dns token ns-1 --json").await.json()["name_server"], "ns-1");
    let list = world.verge("dns servers").await.ended(Exit::Success).stdout;
    assert!(list.contains("\nns-1  "), "{list}");
    let removed = world.verge("dns remove ns-1").await.ended(Exit::Success).stdout;
    assert!(removed.starts_with("revoked the token of ns-1"), "{removed}");
    let none = world.verge("dns servers").await.ended(Exit::Success);
    assert!(none.stdout.is_empty() && none.stderr.contains("`verge dns token`"), "{}", none.stderr);
    assert_eq!(world.verge("dns servers --json").await.json(), serde_json::json!([]));
    let unknown = world.verge("dns remove ns-1").await.ended(Exit::Failure);
    assert!(unknown.stderr.starts_with("error: ") && unknown.stderr.contains("`ns-1`"), "{}", unknown.stderr);
    world.stop().await;
}

#[tokio::test]
async fn orphans_are_listed_and_removed() {
    let world = World::new().await;
    let none = world.verge("orphans").await.ended(Exit::Success);
    assert_eq!(
        (none.stdout.as_str(), none.stderr.as_str()),
        ("", "no orphans: edges serve nothing that the origin does not know\n")
    );
    let token = world.verge("edges token fra-1 --quiet").await.ended(Exit::Success).stdout;
    let orphans = ["channel/news/live", "domain/news.example", "future/key"].map(str::to_owned).to_vec();
    let report = EdgeReport { orphans, ..EdgeReport::new("1-0".parse().unwrap(), "0.1.0") };
    let sent =
        reqwest::Client::new().post(format!("{}/v1/edges/report", world.url())).bearer_auth(token.trim()).json(&report);
    assert_eq!(sent.send().await.unwrap().status(), 204);

    let listed = world.verge("orphans").await.ended(Exit::Success);
    assert_eq!(listed.stdout, "channel/news/live\ndomain/news.example\nfuture/key\n");
    assert_eq!(listed.stderr, "served by fra-1, but unknown to the origin:\n");
    let status = world.verge("status").await.ended(Exit::Success).stdout;
    assert!(
        status.contains("problems:\n  served by fra-1, but unknown to the origin: channel/news/live, domain"),
        "{status}"
    );
    let refused = world.verge("orphans remove channel/news/live").await.ended(Exit::Refused);
    assert!(
        refused.stderr.ends_with(
            "edges will no longer serve 1 key that the origin does not know\nhint: use --yes to do it anyway\n"
        ),
        "{}",
        refused.stderr
    );
    let removed = world.verge("orphans remove channel/news/live --yes").await.ended(Exit::Success);
    assert_eq!(removed.stdout, "removed 1 key\n");
    let again = world.verge("orphans remove channel/news/live --yes").await.ended(Exit::Success);
    assert!(again.stderr.contains("`channel/news/live` is no orphan"), "{}", again.stderr);
    let all = world.verge("orphans remove --all --yes --json").await.ended(Exit::Success).json();
    assert_eq!(all["removed"], serde_json::json!(["domain/news.example", "future/key"]));
    assert_eq!(world.verge("orphans").await.ended(Exit::Success).stdout, "");
    world.stop().await;
}
