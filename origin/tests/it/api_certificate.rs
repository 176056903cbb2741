//! The certificate of the API's own name, issued by Pebble.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate as Root, Client, Method};
use serde_json::json;
use tokio::task::JoinSet;
use verge_daemon::Clock;
use verge_origin::{AuthoritySettings, Config, SiteCertificates};
use verge_protocol::Timestamp;
use verge_protocol::api::{Certificate, Problem, Status};
use verge_test_kit::{AcmeAuthority, Answer, FakeDns, Pebble, files_with, free_port, until};

use super::certificates::{Fleet, authority, delegate, local_authority};
use super::test_origin::{TestOrigin, error};

/// A name whose DNS is elsewhere.
const NAME: &str = "origin.example.com";
/// A name that the fleet's name servers answer for.
const WITHIN_BASE: &str = "origin.sites.example.org";

const DAY: Duration = Duration::from_hours(24);

fn with_name(config: &mut Config, name: &str, dns: SocketAddr, pebble: &Pebble) {
    config.sites_url = "https://sites.example.org".parse().unwrap();
    config.resolver = Some(dns);
    config.dns_port = dns.port();
    config.authorities = vec![authority(pebble)];
    config.certificate_interval = Duration::from_millis(50);
    config.tls_listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()];
    config.api_name = Some(name.parse().unwrap());
    // The edge that answers challenges does not report.
    config.rollout_timing.live = Duration::from_millis(100);
}

/// Reads the status as a client does that verifies the name.
async fn status_by_name(origin: &TestOrigin, name: &str, root: &Root) -> reqwest::Result<Status> {
    let address = origin.daemon.tls_addrs()[0];
    let client = Client::builder().no_proxy().tls_certs_only([root.clone()]).resolve(name, address).build()?;
    let url = format!("https://{name}:{}/v1/status", address.port());
    client.get(url).bearer_auth(origin.daemon.admin_token().expose()).send().await?.json().await
}

/// Reads it as a client does that has the pin.
async fn status_by_pin(origin: &TestOrigin) -> reqwest::Result<Status> {
    let pin = origin.daemon.pin().unwrap();
    let client = Client::builder().no_proxy().tls_backend_preconfigured(verge_trust::pinned(pin)).build()?;
    let url = format!("https://{}/v1/status", origin.daemon.tls_addrs()[0]);
    client.get(url).bearer_auth(origin.daemon.admin_token().expose()).send().await?.json().await
}

async fn root(pebble: &Pebble) -> Root {
    Root::from_pem(pebble.root().await.as_bytes()).unwrap()
}

/// Waits for the certificate of the name.
async fn until_verified(origin: &TestOrigin, name: &str, root: &Root) {
    until("the certificate", async || {
        let problem = listed(origin).await.problem;
        assert_eq!(problem, None);
        status_by_name(origin, name, root).await.is_ok()
    })
    .await;
}

async fn listed(origin: &TestOrigin) -> Certificate {
    origin.get::<Vec<Certificate>>("/v1/certificates").await.into_iter().find(|listed| listed.is_api).unwrap()
}

#[tokio::test]
async fn name_of_the_api_is_proven_at_the_origin_and_clients_verify_it_or_the_same_pin_as_before() {
    if !Pebble::is_installed() {
        return;
    }
    let dns = FakeDns::start().await;
    dns.set(NAME, Answer::Host);
    // The authority connects to this port.
    let port = free_port();
    let pebble = Pebble::start(dns.address, port).await;
    let origin = TestOrigin::start_with(|config| {
        with_name(config, NAME, dns.address, &pebble);
        config.site_certificates = SiteCertificates::None;
        config.challenge_listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into());
    })
    .await;
    let (root, pin) = (root(&pebble).await, origin.daemon.pin().unwrap());
    assert_eq!(status_by_pin(&origin).await.unwrap().pin, Some(pin), "with or without the certificate");
    until_verified(&origin, NAME, &root).await;
    assert_eq!(status_by_pin(&origin).await.unwrap().pin, Some(pin));
    let certificate = listed(&origin).await;
    assert_eq!((certificate.domain.as_str(), certificate.problem.as_deref()), (NAME, None));
    assert!(certificate.issuer.is_some() && certificate.not_after.is_some() && certificate.renewal.is_some());
    // A later request at the listener finds nothing.
    let url = format!("http://127.0.0.1:{port}/.well-known/acme-challenge/token");
    assert_eq!(reqwest::get(url).await.unwrap().status(), 404);
    // No site can have the name.
    origin.create_site("demo").await;
    let refused = origin.put(&format!("/v1/domains/{NAME}"), json!({ "site": "demo" })).await;
    assert_eq!(error(refused).await.1.code, "invalid_domain");

    // It is there after a restart, whether or not the authority is.
    let orders = pebble.orders();
    assert_eq!(orders, 1);
    let origin = origin.restart().await;
    status_by_name(&origin, NAME, &root).await.unwrap();
    let data = origin.directory.path().join("origin");
    // A damaged file is not presented: another certificate is ordered.
    let path = data.join("api-certificate.pem");
    std::fs::write(&path, "no certificate").unwrap();
    let origin = origin.restart().await;
    assert_eq!(status_by_pin(&origin).await.unwrap().pin, Some(pin));
    until_verified(&origin, NAME, &root).await;
    assert_eq!(pebble.orders(), orders + 1);
    // Its key is in its own file alone.
    let key = std::fs::read_to_string(data.join("identity.key")).unwrap();
    let base64: String = key.lines().filter(|line| !line.starts_with("---")).collect();
    let key = STANDARD.decode(base64).unwrap();
    // Behind the head that all keys of this kind have.
    let found: Vec<String> =
        files_with(&data, &key[36..66]).into_iter().filter(|file| file != "identity.key").collect();
    assert!(found.is_empty(), "{found:?}");
    origin.stop().await;
}

#[tokio::test]
async fn name_of_the_api_within_the_base_domain_is_proven_by_the_name_servers_of_the_fleet() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[]).await;
    delegate(&fleet.dns);
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let (address, mut tasks) = (fleet.dns.address, JoinSet::new());
    let origin = TestOrigin::start_with(|config| with_name(config, WITHIN_BASE, address, &pebble)).await;
    let rows = fleet.follow(&origin, &mut tasks).await;
    let root = root(&pebble).await;
    until_verified(&origin, WITHIN_BASE, &root).await;
    until("the wildcard", async || rows.borrow().certificates.len() == 1).await;
    assert!(!rows.borrow().certificates.contains_key(&WITHIN_BASE.parse().unwrap()), "no edge is given it");
    origin.stop().await;
}

#[tokio::test]
async fn name_of_the_api_that_cannot_be_verified_is_a_problem_that_names_the_record() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[NAME]).await;
    delegate(&fleet.dns);
    // Nothing answers there.
    let pebble = Pebble::start(fleet.dns.address, free_port()).await;
    let (address, dns, mut tasks) = (fleet.dns.address, Arc::clone(&fleet.dns), JoinSet::new());
    let origin = TestOrigin::start_with(|config| with_name(config, NAME, address, &pebble)).await;
    let _rows = fleet.follow(&origin, &mut tasks).await;
    until("the problem", async || listed(&origin).await.problem.is_some()).await;
    let problem = listed(&origin).await.problem.unwrap();
    let (_, rest) = problem.split_once("have `_acme-challenge.origin.example.com` be a CNAME to `").unwrap();
    let (target, _) = rest.split_once('`').unwrap();
    let overdue = async || {
        let status: Status = origin.get("/v1/status").await;
        status.problems.into_iter().find(|problem| problem.kind() == "certificates_overdue")
    };
    until("the status", async || overdue().await.is_some()).await;
    assert_eq!(
        overdue().await,
        Some(Problem::CertificatesOverdue {
            domains: vec![NAME.parse().unwrap()],
            expires: None,
            reason: problem.clone()
        })
    );
    // The operator creates that record.
    dns.set("_acme-challenge.origin.example.com", Answer::Cname(target.to_owned().leak()));
    origin.clock.advance(Duration::from_hours(1));
    let root = root(&pebble).await;
    until("the certificate", async || status_by_name(&origin, NAME, &root).await.is_ok()).await;
    assert_eq!(listed(&origin).await.problem, None);
    until("the status without it", async || overdue().await.is_none()).await;
    origin.stop().await;
}

#[tokio::test]
async fn name_of_the_api_is_that_of_no_site_and_of_no_domain() {
    let dns = FakeDns::start().await;
    // Nothing is ordered: there is nobody at this address.
    let without_name = |config: &mut Config| {
        config.sites_url = "https://sites.example.org".parse().unwrap();
        config.resolver = Some(dns.address);
        config.authorities = vec![AuthoritySettings::new("https://127.0.0.1:9/directory")];
        config.tls_listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()];
    };
    let origin = TestOrigin::start_with(without_name).await;
    for site in ["origin", "demo"] {
        origin.create_site(site).await;
    }
    let claim = json!({ "site": "demo" });
    assert!(origin.put(&format!("/v1/domains/{NAME}"), &claim).await.status().is_success());

    // What was there before the setting keeps the origin from starting.
    let named = |name: &'static str| move |config: &mut Config| config.api_name = Some(name.parse().unwrap());
    let (origin, error_of_site) = origin.fail_to_restart_with(named(WITHIN_BASE)).await;
    assert_eq!(error_of_site, "`api_name` is origin.sites.example.org, the host of site `origin`: set another name");
    let (origin, error_of_domain) = origin.fail_to_restart_with(named(NAME)).await;
    let expected =
        "`api_name` is origin.example.com, a domain of site `demo`: remove the domain first, or set another name";
    assert_eq!(error_of_domain, expected, "it is not proven, but may be any time");

    // What would come later is refused.
    assert!(origin.delete(&format!("/v1/domains/{NAME}")).await.status().is_success());
    let origin = origin.restart_with(named(NAME)).await;
    let (status, body) = error(origin.put(&format!("/v1/domains/{NAME}"), &claim).await).await;
    assert_eq!((status, body.code.as_str()), (400, "invalid_domain"));
    assert!(body.message.contains("origin's API"), "{}", body.message);
    let origin = origin.restart_with(named("api.sites.example.org")).await;
    let (status, body) = error(origin.put("/v1/sites/api", json!({})).await).await;
    assert_eq!((status, body.code.as_str()), (400, "invalid_name"));
    assert_eq!(body.message, "api would answer at the name of the origin's API");
    origin.create_site("api-2").await;
    let (status, _) = error(origin.request(Method::GET, "/v1/sites/api").send().await.unwrap()).await;
    assert_eq!(status, 404);
    origin.stop().await;
}

#[tokio::test]
async fn certificate_of_the_api_that_was_renewed_has_a_renewal_window_of_its_own() {
    let (dns, port, time) = (FakeDns::start().await, free_port(), Clock::manual(Timestamp(1_000)));
    let authority = AcmeAuthority::start("authority", time.clone(), DAY * 90).await;
    // It is to be renewed in the eleventh day.
    let window = |not_before: Timestamp| (not_before.after(DAY * 10), not_before.after(DAY * 11));
    authority.set_renewal_rule(move |issued, _| window(issued.not_before));
    authority.set_edges(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]);
    let origin = TestOrigin::start_with(|config| {
        config.sites_url = "https://sites.example.org".parse().unwrap();
        config.resolver = Some(dns.address);
        config.authorities = vec![local_authority(&authority)];
        config.site_certificates = SiteCertificates::None;
        config.certificate_interval = Duration::from_millis(50);
        config.tls_listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()];
        config.challenge_listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into());
        config.api_name = Some(NAME.parse().unwrap());
    })
    .await;
    let renewal_is_in_window_of = async |issued: Timestamp| {
        let listed = listed(&origin).await;
        assert_eq!(listed.problem, None);
        let (start, end) = window(issued);
        listed.renewal.is_some_and(|renewal| (start..end).contains(&renewal))
    };
    let first = time.now();
    until("the first window", async || renewal_is_in_window_of(first).await).await;
    assert_eq!(authority.counts().orders, 1);

    let advance = |by: Duration| {
        time.advance(by);
        origin.clock.advance(by);
    };
    advance(DAY * 11);
    let second = time.now();
    // Neither clock moves, so that a window of before would stay.
    until("the second window", async || renewal_is_in_window_of(second).await).await;
    assert_eq!(authority.counts().orders, 2);
    origin.stop().await;
}
