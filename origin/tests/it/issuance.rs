//! What the origin tells of its authorities, and what becomes of an order that it cannot record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tokio::sync::watch;
use tokio::task::JoinSet;
use verge_daemon::Clock;
use verge_daemon::sealing::EdgeKey;
use verge_daemon::tls::Certificate as TlsCertificate;
use verge_protocol::api::{Certificate, Problem, RekeyRequest, SecretsAnswer, SecretsRequest, Status};
use verge_protocol::certificate::{CaaState, CertificateState};
use verge_protocol::report::EdgeReport;
use verge_protocol::{Digest, DomainName, Timestamp};
use verge_test_kit::{Absence, AcmeAuthority, Answer as DnsAnswer, Pebble, in_time, until};

use super::authority_proxy::{Answer, AuthorityProxy, Seen};
use super::certificates::{Fleet, Rows, authority, claim, local_authority, start, start_with_wildcard, wait_for};
use super::test_origin::{TestOrigin, error, ok};

const WWW: &str = "www.example.com";

const DAY: Duration = Duration::from_hours(24);

/// An authority whose certificates are valid for 90 days, that asks this fleet.
async fn local_authority_for(fleet: &Fleet, time: &Clock) -> AcmeAuthority {
    let authority = AcmeAuthority::start("authority", time.clone(), DAY * 90).await;
    authority.set_edges(vec![fleet.address]);
    authority
}

/// The certificate of [`WWW`], once it is as the condition says.
async fn certificate(
    rows: &mut watch::Receiver<Rows>,
    condition: impl Fn(&CertificateState) -> bool,
) -> CertificateState {
    let www: DomainName = WWW.parse().unwrap();
    let found = rows.wait_for(|rows| rows.certificates.get(&www).is_some_and(&condition));
    in_time("the certificate", found).await.unwrap().certificates[&www].clone()
}

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
    proxy.set(named("CA.example.org"));
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
            let expected = Some(CaaState { issuers, directories: [proxy.authority().directory].into() });
            wait_for(&mut rows, &pebble, |rows| rows.caa == expected).await;
            // An authority that is dropped from the configuration is not named any more.
            let origin = origin.restart_with(|config| config.authorities.clear()).await;
            let dns = Fleet::bind(&[]).await;
            let mut rows = dns.follow(&origin, &mut tasks).await;
            wait_for(&mut rows, &pebble, |rows| rows.caa.is_none() && rows.tickets.is_some()).await;
            origin.stop().await;
        } else {
            wait_for(&mut rows, &pebble, |rows| rows.tickets.is_some()).await;
            assert_eq!(rows.borrow().caa, None);
            origin.stop().await;
        }
    }
    proxy.stop().await;
}

/// Has the directory of an authority say this name.
fn named(name: &'static str) -> impl Fn(&Seen, Option<&Answer>) -> Option<Answer> + Send + Sync {
    move |seen, answer| {
        let answer = answer.filter(|_| seen.path == "/dir")?;
        let mut directory = answer.json();
        directory["meta"]["caaIdentities"] = json!([name]);
        Some(answer.with_body(directory.to_string()))
    }
}

#[tokio::test]
async fn caa_stays_at_a_start_while_an_authority_is_away_and_is_completed_when_it_returns() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let (first, second) = (AuthorityProxy::start(&pebble).await, AuthorityProxy::start(&pebble).await);
    first.set(named("first.example.org"));
    second.set(named("second.example.org"));
    let origin = start(&fleet, vec![first.authority(), second.authority()]).await;
    let mut tasks = JoinSet::new();
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    let of = |names: [&str; 2]| {
        let directories = [first.authority().directory, second.authority().directory].into();
        Some(CaaState { issuers: names.map(str::to_owned).into(), directories })
    };
    let before = of(["first.example.org", "second.example.org"]);
    wait_for(&mut rows, &pebble, |rows| rows.caa == before).await;

    second.set(|_, answer| answer.is_none().then(|| Answer::new(503, "")));
    let asked = first.seen("/dir").len();
    let origin = origin.restart().await;
    let dns = Fleet::bind(&[]).await;
    let mut rows = dns.follow(&origin, &mut tasks).await;
    until("the first authority to be asked", async || first.seen("/dir").len() > asked).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rows.borrow_and_update().caa, before);

    // Once its clock has gone on by the interval.
    second.set(named("other.example.org"));
    origin.clock.advance(Duration::from_hours(6));
    let after = of(["first.example.org", "other.example.org"]);
    wait_for(&mut rows, &pebble, |rows| rows.caa == after).await;
    // It was not said of this authority alone.
    second.set(|_, answer| answer.is_none().then(|| Answer::new(503, "")));
    let origin = origin.restart_with(|config| drop(config.authorities.remove(0))).await;
    let mut rows = Fleet::bind(&[]).await.follow(&origin, &mut tasks).await;
    wait_for(&mut rows, &pebble, |rows| rows.caa.is_none() && rows.tickets.is_some()).await;
    origin.stop().await;
    first.stop().await;
    second.stop().await;
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
    let mut database = refusing(&origin, "secret", "new.name like 'key/%'").await;
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
    allow(&mut database, "secret").await;
    assert!(rows.borrow().certificates.is_empty());
    origin.clock.advance(Duration::from_mins(20));
    wait_for(&mut rows, &pebble, |rows| rows.certificates.contains_key(&www)).await;
    origin.stop().await;
}

#[tokio::test]
async fn account_that_cannot_be_stored_is_not_made_again_at_once() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let proxy = AuthorityProxy::start(&pebble).await;
    // No nonce that is rejected has a request repeated.
    let accounts = Arc::new(AtomicUsize::new(0));
    let made = Arc::clone(&accounts);
    proxy.set(move |seen, answer| {
        if seen.path == "/sign-me-up" && answer.is_some_and(|answer| answer.status.is_success()) {
            made.fetch_add(1, Ordering::Relaxed);
        }
        None
    });
    let origin = start(&fleet, vec![proxy.authority()]).await;
    // As on a full disk.
    let mut database = refusing(&origin, "secret", "new.name like 'account/%'").await;
    refusing(&origin, "issuance", "new.problem is not null").await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    claim(&origin, &dns, WWW, None).await;
    let made = || accounts.load(Ordering::Relaxed);
    until("the account", async || made() > 0).await;
    // The issuer looks for what is due every 50 ms.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(made(), 1);
    for table in ["secret", "issuance"] {
        allow(&mut database, table).await;
    }
    origin.clock.advance(Duration::from_mins(6));
    wait_for(&mut rows, &pebble, |rows| rows.certificates.contains_key(&WWW.parse().unwrap())).await;
    assert_eq!(made(), 2);
    origin.stop().await;
    proxy.stop().await;
}

#[tokio::test]
async fn certificate_is_not_ordered_again_at_once_after_a_failure_that_cannot_be_recorded() {
    let (fleet, time) = (Fleet::bind(&[WWW]).await, Clock::manual(Timestamp(1_000)));
    let authority = local_authority_for(&fleet, &time).await;
    authority.set_unreachable([WWW.to_owned()]);
    let origin = start(&fleet, vec![local_authority(&authority)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let _rows = fleet.follow(&origin, &mut tasks).await;
    for (number, table) in ["issuance", "failed_name"].into_iter().enumerate() {
        let mut database = refusing(&origin, table, "new.problem is not null").await;
        if number == 0 {
            claim(&origin, &dns, WWW, None).await;
        } else {
            time.advance(Duration::from_hours(1));
            origin.clock.advance(Duration::from_hours(1));
        }
        until("the order", async || authority.counts().orders == number + 1).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(authority.counts().orders, number + 1, "{table}");
        allow(&mut database, table).await;
    }
    origin.stop().await;
}

/// Has the database of the origin refuse new rows of a table for which this holds.
async fn refusing(origin: &TestOrigin, table: &str, condition: &str) -> SqliteConnection {
    let path = origin.directory.path().join("origin/origin.db");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let trigger = format!(
        "create trigger refuse_{table} before insert on {table} when {condition} begin select raise(abort, 'refused'); end"
    );
    sqlx::query(AssertSqlSafe(trigger)).execute(&mut database).await.unwrap();
    database
}

/// Ends what [`refusing`] did.
async fn allow(database: &mut SqliteConnection, table: &str) {
    sqlx::query(AssertSqlSafe(format!("drop trigger refuse_{table}"))).execute(database).await.unwrap();
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

#[tokio::test]
async fn certificate_that_is_overdue_is_a_problem_also_while_a_name_is_left_out_of_it() {
    let (fleet, time) = (Fleet::bind(&[WWW]).await, Clock::manual(Timestamp(1_000)));
    let authority = local_authority_for(&fleet, &time).await;
    authority.set_unreachable(["gone.example.net".to_owned()]);
    let origin = start(&fleet, vec![local_authority(&authority)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    claim(&origin, &dns, WWW, None).await;
    let first = certificate(&mut rows, |_| true).await;
    claim(&origin, &dns, "gone.example.net", Some(WWW)).await;
    until("the name to be left out", async || {
        let listed: Vec<Certificate> = origin.get("/v1/certificates").await;
        let problem = listed.into_iter().find(|listed| listed.domain.as_str() == WWW).unwrap().problem;
        problem.is_some_and(|problem| problem.starts_with("gone.example.net: "))
    })
    .await;
    // What is overdue is looked for at the start, and then every few seconds.
    let origin = origin.restart().await;
    assert_eq!(overdue(&origin).await, None, "a name that is to be added does not make it overdue");

    // It is to be renewed after 60 days. That the name is left out then, too, is no failure.
    time.advance(DAY * 61);
    origin.clock.advance(DAY * 61);
    let origin = origin.restart().await;
    assert_eq!(overdue(&origin).await, None, "no order has failed yet");

    authority.set_absence(Absence::Closed);
    time.advance(DAY * 9);
    origin.clock.advance(DAY * 9);
    let origin = origin.restart().await;
    until("the problem", async || overdue(&origin).await.is_some()).await;
    let Some(Problem::CertificatesOverdue { domains, expires, reason }) = overdue(&origin).await else {
        panic!("it is not said to be overdue");
    };
    assert_eq!((domains, expires), (vec![WWW.parse().unwrap()], Some(first.not_after)));
    assert!(reason.contains("gone.example.net: nothing answers at this name"), "{reason}");
    origin.stop().await;
}

#[tokio::test]
async fn certificate_without_the_master_key_says_so_and_is_not_rekeyed() {
    let (fleet, time) = (Fleet::bind(&[WWW]).await, Clock::manual(Timestamp(1_000)));
    let authority = local_authority_for(&fleet, &time).await;
    let origin = start(&fleet, vec![local_authority(&authority)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    claim(&origin, &dns, WWW, None).await;
    certificate(&mut rows, |_| true).await;
    let problem = async |origin: &TestOrigin| {
        let listed: Vec<Certificate> = origin.get("/v1/certificates").await;
        listed.into_iter().find(|listed| listed.domain.as_str() == WWW).unwrap().problem
    };
    assert_eq!(problem(&origin).await, None);
    std::fs::remove_file(origin.directory.path().join("origin/master.key")).unwrap();
    let origin = origin.restart().await;
    let locked = problem(&origin).await.unwrap();
    assert!(locked.starts_with("its key cannot be read: ") && locked.contains("does not exist"), "{locked}");
    let refused = error(rekey(&origin, RekeyRequest::Domains([WWW.parse().unwrap()].into())).await).await;
    assert_eq!((refused.0, refused.1.code.as_str()), (503, "master_key"));

    time.advance(DAY * 61);
    origin.clock.advance(DAY * 61);
    // The authority may have been asked for the time just before: then it is asked again.
    let is_due = async || problem(&origin).await.unwrap().starts_with("it is not ordered, its key cannot be stored: ");
    until("the certificate to be due", is_due).await;
    assert_eq!(authority.counts().orders, 1);
    origin.stop().await;
}

#[tokio::test]
async fn name_that_cannot_be_verified_keeps_its_valid_certificate_while_another_name_gets_one() {
    let (fleet, time) = (Fleet::bind(&[WWW]).await, Clock::manual(Timestamp(1_000)));
    let authority = local_authority_for(&fleet, &time).await;
    let origin = start(&fleet, vec![local_authority(&authority)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    let advance = |by: Duration| {
        time.advance(by);
        origin.clock.advance(by);
    };
    claim(&origin, &dns, WWW, None).await;
    claim(&origin, &dns, "gone.example.net", Some(WWW)).await;
    let first = certificate(&mut rows, |state| state.names.len() == 2).await;

    authority.set_unreachable(["gone.example.net".to_owned()]);
    claim(&origin, &dns, "new.example.net", Some(WWW)).await;
    let new: DomainName = "new.example.net".parse().unwrap();
    until("the certificate of the new name", async || {
        // Each time, an order fails because of the other name.
        advance(Duration::from_mins(10));
        tokio::time::sleep(Duration::from_millis(100)).await;
        rows.borrow().certificates.contains_key(&new)
    })
    .await;
    assert_eq!(rows.borrow().certificates[&WWW.parse().unwrap()], first);
    assert_eq!(authority.counts().failed, 3);

    // Both are in one certificate again once the name can be verified, at the latest when the certificate is renewed.
    authority.set_unreachable([]);
    advance(DAY * 61);
    certificate(&mut rows, |state| state.names.len() == 3).await;
    let token = origin.edge_token("ams-1").await;
    until("the end of the other one", async || {
        report_as_edges_present(&origin, &token).await;
        !rows.borrow().certificates.contains_key(&new)
    })
    .await;
    origin.stop().await;
}

/// The problem of the certificate of [`WWW`].
async fn problem(origin: &TestOrigin) -> Option<String> {
    let listed: Vec<Certificate> = origin.get("/v1/certificates").await;
    listed.into_iter().find(|listed| listed.domain.as_str() == WWW)?.problem
}

#[tokio::test]
async fn all_names_whose_delegation_cannot_be_found_out_fail_in_one_order() {
    let (fleet, time) = (Fleet::bind(&[WWW]).await, Clock::manual(Timestamp(1_000)));
    let authority = local_authority_for(&fleet, &time).await;
    // It orders a wildcard too, which this authority does not issue.
    let origin = start_with_wildcard(&fleet, local_authority(&authority)).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    claim(&origin, &dns, WWW, None).await;
    let others = ["a.example.net", "b.example.net"];
    for other in others {
        claim(&origin, &dns, other, Some(WWW)).await;
    }
    certificate(&mut rows, |state| state.names.len() == 3).await;

    for other in others {
        dns.set(&format!("_acme-challenge.{other}"), DnsAnswer::ServFail);
    }
    claim(&origin, &dns, "c.example.net", Some(WWW)).await;
    until("the problem", async || problem(&origin).await.is_some()).await;
    let problem = problem(&origin).await.unwrap();
    for other in others {
        let expected = format!("{other}: it cannot be found out whether `_acme-challenge.{other}` is delegated: ");
        assert!(problem.contains(&expected), "{problem}");
    }
    origin.stop().await;
}

#[tokio::test]
async fn name_whose_delegation_cannot_be_found_out_is_proven_over_http_in_the_end() {
    let (fleet, time) = (Fleet::bind(&[WWW]).await, Clock::manual(Timestamp(1_000)));
    let authority = local_authority_for(&fleet, &time).await;
    fleet.dns.set(&format!("_acme-challenge.{WWW}"), DnsAnswer::ServFail);
    let origin = start_with_wildcard(&fleet, local_authority(&authority)).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let rows = fleet.follow(&origin, &mut tasks).await;
    claim(&origin, &dns, WWW, None).await;
    until("the problem", async || problem(&origin).await.is_some()).await;
    until("the certificate", async || {
        time.advance(Duration::from_mins(10));
        origin.clock.advance(Duration::from_mins(10));
        tokio::time::sleep(Duration::from_millis(100)).await;
        rows.borrow().certificates.contains_key(&WWW.parse().unwrap())
    })
    .await;
    assert_eq!(problem(&origin).await, None);
    origin.stop().await;
}

/// An edge reports that it presents all certificates.
async fn report_as_edges_present(origin: &TestOrigin, token: &str) {
    let position = origin.get::<Status>("/v1/status").await.position;
    let report = EdgeReport { certificates: Some(Vec::new()), ..EdgeReport::new(position, "0") };
    let sent = origin.request_as(token, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap();
    assert!(sent.status().is_success());
}

async fn overdue(origin: &TestOrigin) -> Option<Problem> {
    let status: Status = origin.get("/v1/status").await;
    status.problems.into_iter().find(|problem| problem.kind() == "certificates_overdue")
}

#[tokio::test]
async fn certificate_whose_key_is_damaged_in_the_database_is_ordered_anew_with_another_key() {
    let (fleet, time) = (Fleet::bind(&[WWW]).await, Clock::manual(Timestamp(1_000)));
    let authority = local_authority_for(&fleet, &time).await;
    let origin = start(&fleet, vec![local_authority(&authority)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    claim(&origin, &dns, WWW, None).await;
    let first = certificate(&mut rows, |_| true).await;
    let (token, edge, key) = (origin.edge_token("ams-1").await, "ams-1".parse().unwrap(), EdgeKey::generate());
    let secrets = async |origin: &TestOrigin, names: &[Digest]| {
        let body = SecretsRequest { public_key: key.public(), secrets: names.to_vec() };
        let sent = origin.request_as(&token, Method::POST, "/v1/secrets").json(&body).send().await.unwrap();
        ok::<SecretsAnswer>(sent).await.sealed
    };
    assert!(secrets(&origin, &[first.key]).await.contains_key(&first.key));
    let tickets = rows.borrow().tickets.unwrap();

    let path = origin.directory.path().join("origin/origin.db");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let (mut current, mut orders) = (first.key, 1);
    // It cannot be decrypted, or is no text.
    for damage in ["substr(sealed, 2)", "cast(x'ff' as text)"] {
        sqlx::query(AssertSqlSafe(format!("update secret set sealed = {damage} where name = $1")))
            .bind(format!("key/{current}"))
            .execute(&mut database)
            .await
            .unwrap();
        // It is noticed when an edge needs it, such as one whose disk was lost. The edge gets all others.
        let sent: Vec<Digest> = secrets(&origin, &[current, tickets]).await.into_keys().collect();
        assert_eq!(sent, [tickets], "{damage}");
        let renewed = certificate(&mut rows, |state| state.key != current).await;
        orders += 1;
        assert_eq!((authority.counts().orders, authority.counts().failed), (orders, 0), "{damage}");
        assert_eq!(renewed.names, first.names);
        // The edge gets the key that the authority has certified.
        let sealed = secrets(&origin, &[renewed.key]).await;
        let private = key.open(&edge, renewed.key, &sealed[&renewed.key]).unwrap();
        let private = rcgen::KeyPair::try_from(private.as_slice()).unwrap().serialize_pem();
        let presented = TlsCertificate::from_pem(renewed.chain.as_bytes(), private.as_bytes());
        assert!(presented.is_ok(), "the key is not that of the certificate");
        current = renewed.key;
    }

    // One that another master key has encrypted may be readable again.
    sqlx::query("update secret set sealed = substr(sealed, 2), master = 'other' where name = $1")
        .bind(format!("key/{current}"))
        .execute(&mut database)
        .await
        .unwrap();
    let sent: Vec<Digest> = secrets(&origin, &[current, tickets]).await.into_keys().collect();
    assert_eq!(sent, [tickets]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(authority.counts().orders, orders);
    origin.stop().await;
}
