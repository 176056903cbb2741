//! The certificate of the API's own name, issued by Pebble.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate as Root, Client};
use serde_json::json;
use tokio::task::JoinSet;
use verge_origin::{Config, SiteCertificates};
use verge_protocol::api::{Certificate, Problem, Status};
use verge_test_kit::{Answer, FakeDns, Pebble, files_with, free_port, until};

use super::certificates::{Fleet, authority, delegate};
use super::test_origin::{TestOrigin, error};

/// A name whose DNS is elsewhere.
const NAME: &str = "origin.example.com";
/// A name that the fleet's name servers answer for.
const WITHIN_BASE: &str = "origin.sites.example.org";

fn with_name(config: &mut Config, name: &str, dns: SocketAddr, pebble: &Pebble) {
    config.sites_url = "https://sites.example.org".parse().unwrap();
    config.resolver = Some(dns);
    config.dns_port = dns.port();
    config.authorities = vec![authority(pebble)];
    config.certificate_interval = Duration::from_millis(50);
    config.tls_listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()];
    config.api_name = Some(name.parse().unwrap());
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
