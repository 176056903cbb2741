//! Domains: claims, proofs and removal.

use std::time::Duration;

use reqwest::Method;
use verge_protocol::DomainName;
use verge_protocol::api::{Domain, DomainRequest, EdgeSettings, FindingKind};
use verge_protocol::fleet::DomainState;
use verge_protocol::state::ParsedRow;
use verge_test_kit::{Answer, FakeDns};

use super::test_origin::{Feed, TestOrigin, error, ok};

/// Starts an origin that queries this name server, and that checks unproven domains every few milliseconds if `checks` is set.
async fn start_origin(dns: &FakeDns, checks: bool) -> TestOrigin {
    let origin = TestOrigin::start_with(|config| {
        config.resolver = Some(dns.address);
        config.resolver_timeout = Duration::from_millis(200);
        config.domain_check_interval = if checks { Duration::from_millis(5) } else { Duration::from_hours(1) };
    })
    .await;
    origin.create_site("demo").await;
    origin
}

fn request(site: &str, redirect_to: Option<&str>) -> DomainRequest {
    DomainRequest { site: site.parse().unwrap(), redirect_to: redirect_to.map(|target| target.parse().unwrap()) }
}

async fn claim(origin: &TestOrigin, domain: &str, redirect_to: Option<&str>) -> Domain {
    ok(origin.put(&format!("/v1/domains/{domain}"), request("demo", redirect_to)).await).await
}

/// Creates the TXT record that proves the domain.
fn prove(dns: &FakeDns, domain: &Domain) {
    let value: &'static str = domain.proof.value.clone().leak();
    dns.set(&domain.proof.name, Answer::Texts(vec![vec![value]]));
}

/// A subscription that has received the whole table.
async fn tail(origin: &TestOrigin) -> Feed {
    let mut feed = origin.subscribe(&origin.name_server_token("ns-1").await, None).await;
    feed.caught_up().await;
    feed
}

async fn next_domain(feed: &mut Feed) -> (DomainName, Option<DomainState>) {
    let row = feed.row().await;
    match row.parse() {
        Ok(ParsedRow::Domain(name, state)) => (name, state),
        other => panic!("not a domain: {other:?}"),
    }
}

async fn position(origin: &TestOrigin) -> String {
    let status: serde_json::Value = ok(origin.request(Method::GET, "/v1/status").send().await.unwrap()).await;
    status["position"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_domain_is_published_once_proven_and_stays_when_its_record_is_gone() {
    let dns = FakeDns::start().await;
    let origin = start_origin(&dns, false).await;
    dns.set("www.example.com", Answer::Host);
    let mut feed = tail(&origin).await;

    let pending = claim(&origin, "www.example.com", None).await;
    assert_eq!(pending.proven, None);
    assert_eq!(pending.problem.as_deref(), Some("`_verge.www.example.com` does not exist in DNS"));
    assert_eq!(pending.proof.name, "_verge.www.example.com");
    assert!(pending.proof.value.starts_with("verge-demo-"), "{}", pending.proof.value);
    assert_eq!(position(&origin).await, "1-0", "an unproven domain is not published");
    assert_eq!(claim(&origin, "www.example.com", None).await, pending, "a second claim changes nothing");

    prove(&dns, &pending);
    origin.clock.advance(Duration::from_secs(1));
    let proven = claim(&origin, "www.example.com", None).await;
    assert_eq!((proven.proven, &proven.problem, &proven.proof), (Some(origin.clock.now()), &None, &pending.proof));
    let (name, state) = next_domain(&mut feed).await;
    assert_eq!((name.as_str(), state.unwrap().site.as_str()), ("www.example.com", "demo"));
    origin.clock.advance(Duration::from_secs(1));
    assert_eq!(claim(&origin, "www.example.com", None).await, proven);
    assert_eq!(position(&origin).await, "1-1");

    // A deleted record takes no site down.
    dns.remove(&proven.proof.name);
    let kept = claim(&origin, "www.example.com", None).await;
    assert_eq!(kept.proven, proven.proven);
    assert!(kept.problem.as_deref().unwrap().ends_with("is still served"), "{kept:?}");
    assert_eq!(position(&origin).await, "1-1");
    // A failed query changes nothing.
    for failure in [Answer::ServFail, Answer::Timeout] {
        dns.set(&proven.proof.name, failure);
        assert_eq!(claim(&origin, "www.example.com", None).await, kept);
    }
    prove(&dns, &proven);
    assert_eq!(claim(&origin, "www.example.com", None).await, proven);
    dns.set(&proven.proof.name, Answer::ServFail);
    assert_eq!(claim(&origin, "www.example.com", None).await, proven);

    let origin = origin.restart().await;
    let list: Vec<Domain> = ok(origin.request(Method::GET, "/v1/domains").send().await.unwrap()).await;
    assert_eq!(list, std::slice::from_ref(&proven));
    let mut feed = tail(&origin).await;
    assert_eq!(origin.delete("/v1/domains/www.example.com").await.status(), 204);
    assert_eq!(next_domain(&mut feed).await, ("www.example.com".parse().unwrap(), None));
    assert_ne!(claim(&origin, "www.example.com", None).await.proof, proven.proof, "a new claim needs a new proof");
    origin.stop().await;
}

#[tokio::test]
async fn a_redirect_is_published_and_prevents_removing_its_target() {
    let dns = FakeDns::start().await;
    let origin = start_origin(&dns, false).await;
    prove(&dns, &claim(&origin, "example.com", None).await);
    prove(&dns, &claim(&origin, "www.example.com", Some("example.com")).await);
    claim(&origin, "example.com", None).await;
    let mut feed = tail(&origin).await;
    let target: DomainName = "example.com".parse().unwrap();
    assert_eq!(claim(&origin, "www.example.com", Some("example.com")).await.redirect_to, Some(target.clone()));
    let (_, state) = next_domain(&mut feed).await;
    assert_eq!(state.unwrap().redirect_to, Some(target));
    assert_eq!(error(origin.delete("/v1/domains/example.com").await).await.1.code, "redirected_to");
    claim(&origin, "www.example.com", None).await;
    assert_eq!(next_domain(&mut feed).await.1.unwrap().redirect_to, None);
    assert_eq!(origin.delete("/v1/domains/example.com").await.status(), 204);
    origin.stop().await;
}

#[tokio::test]
async fn an_unproven_domain_names_the_problem() {
    let dns = FakeDns::start().await;
    let origin = start_origin(&dns, false).await;
    dns.set("_verge.notext.example", Answer::NoTxtRecord);
    dns.set("_verge.others.example", Answer::Texts(vec![vec!["v=spf1 -all"], vec!["verge-demo-", "00"]]));
    dns.set("_verge.failing.example", Answer::ServFail);
    dns.set("_verge.silent.example", Answer::Timeout);
    dns.set("_verge.dangling.example", Answer::Cname("nowhere.example"));
    let mut lines = Vec::new();
    for name in ["absent", "notext", "others", "failing", "silent", "dangling"] {
        let domain = claim(&origin, &format!("{name}.example"), None).await;
        assert_eq!(domain.proven, None, "{name}");
        lines.push(format!("{name}: {}", domain.problem.unwrap()));
    }
    insta::assert_snapshot!(lines.join("\n"));
    origin.stop().await;
}

#[tokio::test]
async fn the_record_is_found_among_others_in_pieces_over_tcp_by_cname_and_in_quotes() {
    let dns = FakeDns::start().await;
    let origin = start_origin(&dns, false).await;
    let shapes = ["among-others.example", "in-pieces.example", "long.example", "elsewhere.example", "quoted.example"];
    for domain in shapes {
        let pending = claim(&origin, domain, None).await;
        assert_eq!(pending.proven, None);
        let value: &'static str = pending.proof.value.clone().leak();
        let quoted: &'static str = format!("\"{value}\"").leak();
        let answer = match domain {
            "among-others.example" => Answer::Texts(vec![vec!["v=spf1 -all"], vec![value], vec!["other"]]),
            "in-pieces.example" => Answer::Texts(vec![vec![&value[..9], &value[9..]]]),
            "long.example" => Answer::Long(vec![vec![value]]),
            "quoted.example" => Answer::Texts(vec![vec![quoted]]),
            _ => Answer::Cname("proofs.example.net"),
        };
        dns.set(&pending.proof.name, answer);
        dns.set("proofs.example.net", Answer::Texts(vec![vec![value]]));
        assert!(claim(&origin, domain, None).await.proven.is_some(), "{domain}");
    }
    origin.stop().await;
}

#[tokio::test]
async fn a_record_created_later_is_found_by_a_periodic_check() {
    let dns = FakeDns::start().await;
    let origin = start_origin(&dns, true).await;
    let mut feed = tail(&origin).await;
    let pending = claim(&origin, "www.example.com", None).await;
    dns.wait_for_queries(&pending.proof.name, 3).await;
    prove(&dns, &pending);
    assert_eq!(next_domain(&mut feed).await.0, pending.name);
    origin.stop().await;
}

#[tokio::test]
async fn an_unproven_domain_is_checked_for_a_week_after_its_last_claim() {
    let dns = FakeDns::start().await;
    let origin = start_origin(&dns, true).await;
    let old = claim(&origin, "old.example.com", None).await;
    origin.clock.advance(Duration::from_hours(24 * 7));
    let young = claim(&origin, "young.example.com", None).await;
    // A round that began before the clock moved may still query both.
    dns.wait_for_queries(&young.proof.name, 3).await;
    let (queries_old, queries_young) = (dns.queries(&old.proof.name), dns.queries(&young.proof.name));
    dns.wait_for_queries(&young.proof.name, queries_young + 5).await;
    assert_eq!(dns.queries(&old.proof.name), queries_old);
    claim(&origin, "old.example.com", None).await;
    dns.wait_for_queries(&old.proof.name, queries_old + 5).await;
    origin.stop().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_silent_resolver() {
    let dns = FakeDns::start().await;
    let origin = TestOrigin::start_with(|config| {
        config.resolver = Some(dns.address);
        config.resolver_timeout = Duration::from_mins(10);
        config.domain_check_interval = Duration::from_millis(5);
    })
    .await;
    origin.create_site("demo").await;
    let pending = claim(&origin, "www.example.com", None).await;
    dns.set(&pending.proof.name, Answer::Timeout);
    let queries = dns.queries(&pending.proof.name);
    dns.wait_for_queries(&pending.proof.name, queries + 1).await;
    origin.stop().await;
}

/// Configures the only edge.
async fn set_edge_address(origin: &TestOrigin, address: &str) {
    let settings = EdgeSettings {
        addresses: vec![address.parse().unwrap()],
        port: 80,
        scheme: None,
        location: None,
        regions: [].into(),
        weight: 1,
    };
    assert!(origin.put("/v1/edges/fra-1", settings).await.status().is_success());
}

#[tokio::test]
async fn findings_are_renewed_by_periodic_checks_and_gone_with_the_domain() {
    let dns = FakeDns::start().await;
    let origin = start_origin(&dns, true).await;
    set_edge_address(&origin, "127.0.0.2").await;
    dns.set("www.example.com", Answer::Host);
    prove(&dns, &claim(&origin, "www.example.com", None).await);
    let proven = claim(&origin, "www.example.com", None).await;
    let [finding] = &*proven.findings else { panic!("{proven:?}") };
    assert_eq!((finding.kind, &*finding.seen), (FindingKind::AddressElsewhere, "127.0.0.1"));
    assert_eq!(finding.wanted, "CNAME demo.localhost (127.0.0.2)");

    let findings = async || origin.get::<Vec<Domain>>("/v1/domains").await.remove(0).findings;
    assert_eq!(findings().await, proven.findings);
    set_edge_address(&origin, "127.0.0.1").await;
    origin.clock.advance(Duration::from_mins(10));
    verge_test_kit::until("a check to find nothing", async || findings().await.is_empty()).await;

    set_edge_address(&origin, "127.0.0.2").await;
    let origin = origin.restart().await;
    let findings = async || origin.get::<Vec<Domain>>("/v1/domains").await.remove(0).findings;
    verge_test_kit::until("the first check after a start", async || findings().await == proven.findings).await;
    assert_eq!(origin.delete("/v1/domains/www.example.com").await.status(), 204);
    dns.set("_verge.www.example.com", Answer::ServFail);
    let again = claim(&origin, "www.example.com", None).await;
    assert_eq!((again.proven, again.findings[0].kind), (None, FindingKind::LookupFailed));
    origin.stop().await;
}
