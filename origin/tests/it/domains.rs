//! Domains, from the wish to the proof.

use std::time::Duration;

use reqwest::Method;
use verge_protocol::DomainName;
use verge_protocol::api::{Domain, DomainRequest};
use verge_protocol::feed::FeedEvent;
use verge_protocol::fleet::DomainState;
use verge_protocol::state::Entry;

use super::dns::{Answer, Dns};
use super::world::{Feed, World, error, ok};

/// An origin that asks this name server, and looks at missing proofs every few milliseconds if told to.
async fn world(dns: &Dns, looks: bool) -> World {
    let world = World::start_with(|config| {
        config.resolver = Some(dns.address);
        config.resolver_patience = Duration::from_millis(200);
        config.domain_period = if looks { Duration::from_millis(5) } else { Duration::from_hours(1) };
    })
    .await;
    world.create_site("demo").await;
    world
}

fn wanted(site: &str, redirect_to: Option<&str>) -> DomainRequest {
    DomainRequest { site: site.parse().unwrap(), redirect_to: redirect_to.map(|target| target.parse().unwrap()) }
}

async fn want(world: &World, domain: &str, redirect_to: Option<&str>) -> Domain {
    ok(world.put(&format!("/v1/domains/{domain}"), wanted("demo", redirect_to)).await).await
}

/// Makes the record that the domain asks for.
fn prove(dns: &Dns, domain: &Domain) {
    let value: &'static str = domain.proof.value.clone().leak();
    dns.say(&domain.proof.name, Answer::Texts(vec![vec![value]]));
}

/// A feed that has told all that was there.
async fn tail(world: &World) -> Feed {
    let mut feed = world.follow(&world.node_token("ns-1").await, None).await;
    while !matches!(feed.next().await, Some((FeedEvent::CaughtUp(_), _))) {}
    feed
}

async fn next_domain(feed: &mut Feed) -> (DomainName, Option<DomainState>) {
    let row = feed.row().await;
    match row.entry() {
        Ok(Entry::Domain(name, state)) => (name, state),
        other => panic!("not a domain: {other:?}"),
    }
}

async fn position(world: &World) -> String {
    let status: serde_json::Value = ok(world.request(Method::GET, "/v1/status").send().await.unwrap()).await;
    status["position"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_domain_is_told_of_once_it_is_proven() {
    let dns = Dns::start().await;
    let world = world(&dns, false).await;
    let mut feed = tail(&world).await;

    let pending = want(&world, "www.example.com", None).await;
    assert_eq!(pending.proven, None);
    assert_eq!(pending.problem.as_deref(), Some("there is no name `_verge.www.example.com`"));
    assert_eq!(pending.proof.name, "_verge.www.example.com");
    assert!(pending.proof.value.starts_with("verge-demo-"), "{}", pending.proof.value);
    assert_eq!(position(&world).await, "1-0", "nothing to tell yet");
    assert_eq!(want(&world, "www.example.com", None).await, pending, "asking again changes nothing");

    prove(&dns, &pending);
    world.clock.advance(Duration::from_secs(1));
    let proven = want(&world, "www.example.com", None).await;
    assert_eq!((proven.proven, &proven.problem, &proven.proof), (Some(world.clock.now()), &None, &pending.proof));
    let (name, state) = next_domain(&mut feed).await;
    assert_eq!((name.as_str(), state.unwrap().site.as_str()), ("www.example.com", "demo"));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(want(&world, "www.example.com", None).await, proven);
    assert_eq!(position(&world).await, "1-1");

    // The record is tidied away: that takes no site down.
    dns.forget(&proven.proof.name);
    let kept = want(&world, "www.example.com", None).await;
    assert_eq!(kept.proven, proven.proven);
    assert!(kept.problem.as_deref().unwrap().ends_with("is still served"), "{kept:?}");
    assert_eq!(position(&world).await, "1-1");
    // A resolver that says nothing is no news.
    for nothing in [Answer::Failure, Answer::Silence] {
        dns.say(&proven.proof.name, nothing);
        assert_eq!(want(&world, "www.example.com", None).await, kept);
    }
    prove(&dns, &proven);
    assert_eq!(want(&world, "www.example.com", None).await, proven);
    dns.say(&proven.proof.name, Answer::Failure);
    assert_eq!(want(&world, "www.example.com", None).await, proven);

    let world = world.restart().await;
    let list: Vec<Domain> = ok(world.request(Method::GET, "/v1/domains").send().await.unwrap()).await;
    assert_eq!(list, std::slice::from_ref(&proven));
    let mut feed = tail(&world).await;
    assert_eq!(world.delete("/v1/domains/www.example.com").await.status(), 204);
    assert_eq!(next_domain(&mut feed).await, ("www.example.com".parse().unwrap(), None));
    assert_ne!(want(&world, "www.example.com", None).await.proof, proven.proof, "what proved it once does not again");
    world.stop().await;
}

#[tokio::test]
async fn redirects_are_told_and_stand_in_the_way_of_removing() {
    let dns = Dns::start().await;
    let world = world(&dns, false).await;
    prove(&dns, &want(&world, "example.com", None).await);
    prove(&dns, &want(&world, "www.example.com", Some("example.com")).await);
    want(&world, "example.com", None).await;
    let mut feed = tail(&world).await;
    let target: DomainName = "example.com".parse().unwrap();
    assert_eq!(want(&world, "www.example.com", Some("example.com")).await.redirect_to, Some(target.clone()));
    let (_, state) = next_domain(&mut feed).await;
    assert_eq!(state.unwrap().redirect_to, Some(target));
    assert_eq!(error(world.delete("/v1/domains/example.com").await).await.1.code, "redirected_to");
    want(&world, "www.example.com", None).await;
    assert_eq!(next_domain(&mut feed).await.1.unwrap().redirect_to, None);
    assert_eq!(world.delete("/v1/domains/example.com").await.status(), 204);
    world.stop().await;
}

#[tokio::test]
async fn what_dns_says_is_told() {
    let dns = Dns::start().await;
    let world = world(&dns, false).await;
    dns.say("_verge.notext.example", Answer::NoText);
    dns.say("_verge.others.example", Answer::Texts(vec![vec!["v=spf1 -all"], vec!["verge-demo-", "00"]]));
    dns.say("_verge.failing.example", Answer::Failure);
    dns.say("_verge.silent.example", Answer::Silence);
    dns.say("_verge.dangling.example", Answer::Alias("nowhere.example"));
    let mut lines = Vec::new();
    for name in ["absent", "notext", "others", "failing", "silent", "dangling"] {
        let domain = want(&world, &format!("{name}.example"), None).await;
        assert_eq!(domain.proven, None, "{name}");
        lines.push(format!("{name}: {}", domain.problem.unwrap()));
    }
    insta::assert_snapshot!(lines.join("\n"));
    world.stop().await;
}

#[tokio::test]
async fn the_record_is_found_in_whatever_shape_it_comes() {
    let dns = Dns::start().await;
    let world = world(&dns, false).await;
    let shapes = ["among-others.example", "in-pieces.example", "long.example", "elsewhere.example", "quoted.example"];
    for domain in shapes {
        let pending = want(&world, domain, None).await;
        assert_eq!(pending.proven, None);
        let value: &'static str = pending.proof.value.clone().leak();
        let quoted: &'static str = format!("\"{value}\"").leak();
        let answer = match domain {
            "among-others.example" => Answer::Texts(vec![vec!["v=spf1 -all"], vec![value], vec!["other"]]),
            "in-pieces.example" => Answer::Texts(vec![vec![&value[..9], &value[9..]]]),
            "long.example" => Answer::Long(vec![vec![value]]),
            "quoted.example" => Answer::Texts(vec![vec![quoted]]),
            _ => Answer::Alias("proofs.example.net"),
        };
        dns.say(&pending.proof.name, answer);
        dns.say("proofs.example.net", Answer::Texts(vec![vec![value]]));
        assert!(want(&world, domain, None).await.proven.is_some(), "{domain}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_record_that_is_made_later_is_found_by_itself() {
    let dns = Dns::start().await;
    let world = world(&dns, true).await;
    let mut feed = tail(&world).await;
    let pending = want(&world, "www.example.com", None).await;
    dns.until_asked(&pending.proof.name, 3).await;
    prove(&dns, &pending);
    assert_eq!(next_domain(&mut feed).await.0, pending.name);
    world.stop().await;
}

#[tokio::test]
async fn a_domain_is_looked_at_for_a_week_after_it_was_wanted() {
    let dns = Dns::start().await;
    let world = world(&dns, true).await;
    let old = want(&world, "old.example.com", None).await;
    world.clock.advance(Duration::from_hours(24 * 7));
    let young = want(&world, "young.example.com", None).await;
    // A round that began before the clock moved may still ask for both.
    dns.until_asked(&young.proof.name, 3).await;
    let (asked_old, asked_young) = (dns.asked(&old.proof.name), dns.asked(&young.proof.name));
    dns.until_asked(&young.proof.name, asked_young + 5).await;
    assert_eq!(dns.asked(&old.proof.name), asked_old);
    want(&world, "old.example.com", None).await;
    dns.until_asked(&old.proof.name, asked_old + 5).await;
    world.stop().await;
}

#[tokio::test]
async fn an_end_does_not_wait_for_a_silent_resolver() {
    let dns = Dns::start().await;
    let world = World::start_with(|config| {
        config.resolver = Some(dns.address);
        config.resolver_patience = Duration::from_mins(10);
        config.domain_period = Duration::from_millis(5);
    })
    .await;
    world.create_site("demo").await;
    let pending = want(&world, "www.example.com", None).await;
    dns.say(&pending.proof.name, Answer::Silence);
    let asked = dns.asked(&pending.proof.name);
    dns.until_asked(&pending.proof.name, asked + 1).await;
    world.stop().await;
}
