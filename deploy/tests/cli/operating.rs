//! What an operator types, against the origin that Verge is.

mod dns;
mod fences;

use std::time::Duration;

use verge::Exit;
use verge_daemon::Clock;
use verge_origin::{Config, Origin};
use verge_protocol::Timestamp;

use self::dns::Dns;
use crate::world::{Ran, verge};

/// An origin with a site, and a name server that it asks.
struct World {
    folder: tempfile::TempDir,
    origin: Origin,
    dns: Dns,
}

impl World {
    async fn new() -> Self {
        let (folder, dns) = (tempfile::tempdir().unwrap(), Dns::start().await);
        let config = Config {
            resolver: Some(dns.address),
            domain_check_interval: Duration::from_hours(1),
            ..Config::new(folder.path().join("origin"), "https://sites.example.org".parse().unwrap())
        };
        let origin = Origin::bind_at(config, Clock::manual(Timestamp(3_600_000))).await.unwrap();
        let world = Self { folder, origin, dns };
        let client = verge::client::Client::new(world.url().parse().unwrap(), &world.token()).unwrap();
        client.create_site(&"demo".parse().unwrap()).await.unwrap();
        world
    }

    fn url(&self) -> String {
        format!("http://{}", self.origin.addr())
    }

    fn token(&self) -> verge::client::Token {
        verge::client::Token::new(self.origin.admin_token().expose())
    }

    /// Runs `verge` with what stands between the spaces.
    async fn verge(&self, typed: &str) -> Ran {
        let arguments: Vec<&str> = typed.split_whitespace().collect();
        verge(self.folder.path(), &self.url(), self.origin.admin_token().expose(), &arguments).await
    }

    async fn stop(self) {
        self.origin.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_edge_is_added_changed_forced_and_removed() {
    let world = World::new().await;
    let none = world.verge("edges").await.ended(Exit::Success);
    assert_eq!(none.stdout, "no edge yet: `verge edges add` makes one\n");
    let added =
        world.verge("edges add fra-1 --address 192.0.2.1,2001:db8::1 --at frankfurt").await.ended(Exit::Success);
    assert!(added.stdout.starts_with("vrg_") && added.stdout.lines().count() == 1, "{}", added.stdout);
    insta::assert_snapshot!(added.stderr);

    let again = world.verge("edges add fra-1 --address 192.0.2.1 --at Frankfurt --weight 2").await.ended(Exit::Success);
    assert_eq!(again.stdout, "", "its token goes on working");
    assert!(again.stderr.contains("`verge edges token fra-1` issues another"), "{}", again.stderr);
    let place = "edges add syd-1 --address 192.0.2.2 --place -33.87,151.21 --region oc --port 8080 --no-token --json";
    let told = world.verge(place).await.ended(Exit::Success).json();
    assert_eq!((&told["edge"], &told["token"]), (&"syd-1".into(), &serde_json::Value::Null));
    assert_eq!(told["state"]["location"], "-33.87,151.21");
    let again = world.verge("edges add syd-1 --address 192.0.2.3 --at Sydney").await.ended(Exit::Success);
    assert!(again.stdout.starts_with("vrg_"), "it had none: {}", again.stderr);
    let told = world.verge("edges add fra-1 --address 192.0.2.1 --at Frankfurt --json").await.json();
    assert_eq!(
        (&told["state"]["weight"], &told["token"]),
        (&2.into(), &serde_json::Value::Null),
        "what was said stays"
    );
    let told = world.verge(place).await.ended(Exit::Success).json();
    assert_eq!((&told["state"]["port"], &told["state"]["addresses"][0]), (&8080.into(), &"192.0.2.2".into()));
    world.verge("edges token lon-1").await.ended(Exit::Success);

    world.verge("edges set fra-1 --weight 3").await.ended(Exit::Success);
    world.verge("edges force fra-1 down").await.ended(Exit::Success);
    insta::assert_snapshot!(world.verge("edges").await.ended(Exit::Success).stdout);
    let json = world.verge("edges set syd-1 --at Tokyo --json").await.json();
    assert_eq!(json["state"]["regions"], serde_json::json!(["as", "jp"]));
    assert_eq!(world.verge("edges force syd-1 up --json").await.json()["state"]["force"], "up");

    let removed = world.verge("edges remove fra-1").await.ended(Exit::Success);
    assert!(removed.stdout.starts_with("fra-1 is removed"), "{}", removed.stdout);
    let gone = world.verge("edges remove fra-1").await.ended(Exit::Failure);
    assert_eq!(gone.stderr, "error: there is no edge `fra-1`\nhint: `verge edges` lists what there is\n");
    assert_eq!(world.verge("edges remove lon-1 --json").await.json()["removed"], true);
    world.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_edge_is_said_with_a_way_out() {
    let world = World::new().await;
    world.verge("edges add fra-1 --address 192.0.2.1 --at Frankfurt").await.ended(Exit::Success);
    let mut said = Vec::new();
    for (typed, exit) in [
        ("edges add ams-1 --address 192.0.2.1 --at Amsterdam", Exit::Conflict),
        ("edges add ams-1 --address 0.0.0.0 --at Amsterdam", Exit::Refused),
        ("edges add ams-1 --address 192.0.2.9 --at Amsterdan", Exit::Usage),
        ("edges set ams-1 --weight 2", Exit::Failure),
        ("edges force ams-1 down", Exit::Failure),
        ("sites fence demo na", Exit::Refused),
        ("domains check www.example.com", Exit::Failure),
        ("domains add x.sites.example.org --site demo", Exit::Refused),
    ] {
        let ran = world.verge(typed).await.ended(exit);
        assert_eq!(ran.stdout, "", "{typed}");
        said.push(format!("$ verge {typed}\n{}", ran.stderr));
    }
    insta::assert_snapshot!(said.join("\n"));
    world.stop().await;
}

#[tokio::test]
async fn a_site_is_fenced() {
    let world = World::new().await;
    world.verge("edges add fra-1 --address 192.0.2.1 --at Frankfurt").await.ended(Exit::Success);
    let fenced = world.verge("sites fence demo eu de").await.ended(Exit::Success);
    assert_eq!(fenced.stdout, "readers of demo are sent only to edges in: de eu\n");
    assert_eq!(world.verge("sites --json").await.json()[0]["regions"], serde_json::json!(["de", "eu"]));
    let free = world.verge("sites fence demo --none").await.ended(Exit::Success);
    assert_eq!(free.stdout, "readers of demo are sent to any edge\n");
    assert_eq!(world.verge("sites fence demo eu --json").await.json()["regions"], serde_json::json!(["eu"]));
    world.stop().await;
}

#[tokio::test]
async fn a_domain_is_added_proven_and_given_up() {
    let world = World::new().await;
    let none = world.verge("domains").await.ended(Exit::Success);
    assert_eq!(none.stdout, "no domain yet: `verge domains add` adds one\n");
    let pending = world.verge("domains add WWW.example.com. --site demo").await.ended(Exit::Success);
    let (record, value) = pending.stdout.trim_end().split_once(" 300 IN TXT ").unwrap();
    assert_eq!(record, "_verge.www.example.com.");
    let value = value.trim_matches('"');
    insta::assert_snapshot!(pending.stderr);
    let unproven = world.verge("domains check www.example.com").await.ended(Exit::Pending);
    assert_eq!(unproven.stdout, pending.stdout, "the record to make is the same");

    world.dns.say(value);
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
    assert!(removed.stdout.starts_with("www.example.com is given up"), "{}", removed.stdout);
    world.stop().await;
}

#[tokio::test]
async fn a_token_that_is_not_taken_may_be_mangled() {
    let world = World::new().await;
    let whole = world.origin.admin_token().expose();
    let cut = verge(world.folder.path(), &world.url(), &whole[..20], &["sites"]).await.ended(Exit::NotAllowed);
    assert!(
        cut.stderr
            .starts_with("error: the token is not whole\nhint: the token is that of --token-file, else of VERGE_TOKEN")
    );
    assert!(!cut.stderr.contains("set VERGE_TOKEN"), "it is set: {}", cut.stderr);
    world.stop().await;
}

#[tokio::test]
async fn a_node_gets_a_token_of_its_own() {
    let world = World::new().await;
    let said = world.verge("dns token ns-1").await.ended(Exit::Success).stderr;
    assert!(said.starts_with("a token for ns-1, shown once ") && said.contains("`token_file`"), "{said}");
    let token = world.verge("dns token ns-1 --quiet").await.ended(Exit::Success);
    assert!(token.stdout.starts_with("vrg_") && token.stderr.is_empty(), "{}", token.stdout);
    assert_eq!(world.verge("dns token ns-1 --json").await.json()["name_server"], "ns-1");
    let list = world.verge("dns nodes").await.ended(Exit::Success).stdout;
    assert!(list.contains("\nns-1  ") && list.starts_with("name server "), "{list}");
    let removed = world.verge("dns remove ns-1").await.ended(Exit::Success).stdout;
    assert!(removed.starts_with("revoked the token of ns-1"), "{removed}");
    let list = world.verge("dns nodes").await.ended(Exit::Success).stdout;
    assert!(list.starts_with("no name server has a token yet"), "{list}");
    assert_eq!(world.verge("dns nodes --json").await.json(), serde_json::json!([]));
    let unknown = world.verge("dns remove ns-1").await.ended(Exit::Failure);
    assert!(unknown.stderr.contains("there is no node `ns-1`"), "{}", unknown.stderr);
    world.stop().await;
}
