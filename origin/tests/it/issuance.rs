//! What the origin tells of its authorities, and what becomes of an order that it cannot record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};
use tokio::task::JoinSet;
use verge_protocol::DomainName;
use verge_protocol::api::RekeyRequest;
use verge_protocol::certificate::CaaState;
use verge_test_kit::{Pebble, until};

use super::authority_proxy::{Answer, AuthorityProxy, Seen};
use super::certificates::{Fleet, authority, claim, start, wait_for};
use super::test_origin::{TestOrigin, error};

const WWW: &str = "www.example.com";

async fn rekey(origin: &TestOrigin, request: RekeyRequest) -> Response {
    origin.request(Method::POST, "/v1/certificates/rekey").json(&request).send().await.unwrap()
}

#[tokio::test]
async fn caa_names_the_authority_as_its_directory_does_and_nobody_until_all_have_said_their_name() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let proxy = AuthorityProxy::start(&pebble).await;
    let name = |seen: &Seen, answer: Option<&Answer>| {
        let answer = answer.filter(|_| seen.path == "/dir")?;
        let mut directory = answer.json();
        directory["meta"]["caaIdentities"] = json!(["CA.example.org"]);
        Some(answer.with_body(directory.to_string()))
    };
    proxy.set(name);
    for (authorities, expected) in [
        (vec![proxy.authority()], Some(["ca.example.org".to_owned()].into())),
        // Pebble does not say its own.
        (vec![proxy.authority(), authority(&pebble)], None),
    ] {
        let fleet = Fleet::bind(&[WWW]).await;
        let origin = start(&fleet, authorities).await;
        let mut tasks = JoinSet::new();
        let mut rows = fleet.follow(&origin, &mut tasks).await;
        if let Some(issuers) = expected {
            let expected = Some(CaaState { issuers });
            wait_for(&mut rows, &pebble, |rows| rows.caa == expected).await;
            // An authority that is dropped from the configuration is not named any more.
            let origin = origin.restart_with(|config| config.authorities.clear()).await;
            let dns = Fleet::bind(&[]).await;
            let mut rows = dns.follow(&origin, &mut tasks).await;
            wait_for(&mut rows, &pebble, |rows| rows.caa.is_none() && rows.tickets.is_some()).await;
            origin.stop().await;
        } else {
            wait_for(&mut rows, &pebble, |rows| rows.tickets.is_some()).await;
            assert_eq!(rows.borrow().caa, expected.map(|issuers| CaaState { issuers }));
            origin.stop().await;
        }
    }
    proxy.stop().await;
}

#[tokio::test]
async fn certificate_that_cannot_be_stored_is_not_ordered_again_at_once() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let origin = start(&fleet, vec![authority(&pebble)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let path = origin.directory.path().join("origin/origin.db");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let refuse = "create trigger refuse before insert on secret when new.name like 'key/%' \
                  begin select raise(abort, 'refused'); end";
    sqlx::query(refuse).execute(&mut database).await.unwrap();
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    claim(&origin, &dns, WWW, None).await;
    let www: DomainName = WWW.parse().unwrap();
    // Its challenge is withdrawn when the order has ended.
    wait_for(&mut rows, &pebble, |rows| rows.answered == 1 && rows.challenges.is_empty()).await;
    // The issuer looks for what is due every 50 ms.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(pebble.orders(), 1);
    origin.clock.advance(Duration::from_mins(6));
    until("the second order", async || pebble.orders() == 2).await;
    sqlx::query("drop trigger refuse").execute(&mut database).await.unwrap();
    assert!(rows.borrow().certificates.is_empty());
    origin.clock.advance(Duration::from_mins(20));
    wait_for(&mut rows, &pebble, |rows| rows.certificates.contains_key(&www)).await;
    origin.stop().await;
}

#[tokio::test]
async fn account_that_the_authority_has_forgotten_is_made_anew_when_a_certificate_is_renewed() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let proxy = AuthorityProxy::start(&pebble).await;
    let origin = start(&fleet, vec![proxy.authority()]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    claim(&origin, &dns, WWW, None).await;
    let www: DomainName = WWW.parse().unwrap();
    let first = wait_for(&mut rows, &pebble, |rows| rows.certificates.contains_key(&www)).await.certificates[&www].key;
    let accounts = proxy.seen("/sign-me-up").len();
    let has_signed_up = AtomicBool::new(false);
    proxy.set(move |seen, answer| {
        if seen.path == "/sign-me-up" && answer.is_some_and(|answer| answer.status.is_success()) {
            has_signed_up.store(true, Ordering::Relaxed);
        }
        let is_unknown = seen.path == "/order-plz" && !has_signed_up.load(Ordering::Relaxed);
        (is_unknown && answer.is_none()).then(|| {
            let problem = json!({ "type": "urn:ietf:params:acme:error:accountDoesNotExist", "status": 400 });
            let mut answer = Answer::new(400, problem.to_string());
            answer.headers.insert("content-type", "application/problem+json".parse().unwrap());
            answer
        })
    });
    let rekeyed = rekey(&origin, RekeyRequest::Domains([www.clone()].into())).await;
    assert!(rekeyed.status().is_success());
    wait_for(&mut rows, &pebble, |rows| rows.certificates[&www].key != first).await;
    assert!(proxy.seen("/sign-me-up").len() > accounts);
    // Without an authority no key is said to be replaced, but the secret of session tickets is.
    let origin = origin.restart_with(|config| config.authorities.clear()).await;
    let refused = rekey(&origin, RekeyRequest::Domains([www].into())).await;
    assert_eq!(error(refused).await.1.code, "no_authority");
    assert!(rekey(&origin, RekeyRequest::All).await.status().is_success());
    origin.stop().await;
    proxy.stop().await;
}
