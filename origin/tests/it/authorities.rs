//! Certificate authorities that fail, and what they ask for: Pebble, and a proxy that answers some requests in its place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;
use verge_daemon::{Clock, Secret};
use verge_origin::{AuthoritySettings, ExternalAccount};
use verge_protocol::api::{Certificate, Domain, DomainFinding, FindingKind, RekeyRequest};
use verge_protocol::{DomainName, Timestamp};
use verge_test_kit::{Pebble, PebbleSettings, until};

use super::authority_proxy::{Answer, AuthorityProxy, Seen};
use super::certificates::{Fleet, Rows, authority, claim, start, wait_for};
use super::test_origin::TestOrigin;

const WWW: &str = "www.example.com";
const OTHER: &str = "other.example.com";

/// Which requests are refused.
type IsRefused = fn(&Seen) -> bool;
/// The body in place of that of an answer.
type Change = Arc<dyn Fn(&Answer) -> String + Send + Sync>;

/// The certificate of [`WWW`] as it is listed; `None`: it is not wanted, because the domain is not proven yet.
async fn listed(origin: &TestOrigin) -> Option<Certificate> {
    let listed: Vec<Certificate> = origin.get("/v1/certificates").await;
    listed.into_iter().find(|certificate| certificate.domain.as_str() == WWW)
}

/// What is wrong with it.
async fn problem(origin: &TestOrigin) -> Option<String> {
    listed(origin).await?.problem
}

/// What is wrong with the certificate of another domain.
async fn problem_of(origin: &TestOrigin, domain: &str) -> Option<String> {
    let listed: Vec<Certificate> = origin.get("/v1/certificates").await;
    listed.into_iter().find(|certificate| certificate.domain.as_str() == domain)?.problem
}

/// What is said of limits of authorities, by domain.
async fn rate_limits(origin: &TestOrigin) -> BTreeMap<String, DomainFinding> {
    let domains: Vec<Domain> = origin.get("/v1/domains").await;
    let limit = |domain: Domain| {
        let is_limit = |finding: &DomainFinding| finding.kind == FindingKind::RateLimited;
        Some((domain.name.to_string(), domain.findings.into_iter().find(is_limit)?))
    };
    domains.into_iter().filter_map(limit).collect()
}

/// Waits for a problem that has this text.
async fn until_problem(origin: &TestOrigin, text: &str) {
    let mut last = None;
    let found = tokio::time::timeout(Duration::from_secs(40), async {
        loop {
            last = problem(origin).await;
            if last.as_ref().is_some_and(|problem| problem.contains(text)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("no problem with `{text}`: {last:?}"));
}

fn is_issued(rows: &Rows) -> bool {
    rows.certificates.contains_key(&WWW.parse::<DomainName>().unwrap())
}

/// The answer of an authority that limits orders, with what it says of when to come back, in seconds.
fn limited(retry_after: Option<&'static str>) -> Answer {
    let problem =
        json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many orders", "status": 429 });
    let mut answer = Answer::new(429, problem.to_string());
    if let Some(seconds) = retry_after {
        answer.headers.insert("retry-after", seconds.parse().unwrap());
    }
    answer.headers.insert("content-type", "application/problem+json".parse().unwrap());
    answer
}

#[tokio::test]
async fn second_authority_issues_while_the_first_one_answers_429_or_500() {
    if !Pebble::is_installed() {
        return;
    }
    let cases: [(_, IsRefused, _); 3] = [
        ("429", |seen| seen.path == "/order-plz", limited(Some("86400"))),
        ("429 without a time", |seen| seen.path == "/order-plz", limited(None)),
        ("500", |_| true, Answer::new(500, "out of order")),
    ];
    for (case, is_refused, answer) in cases {
        let fleet = Fleet::bind(&[WWW]).await;
        let first = Pebble::start(fleet.dns.address, fleet.address.port()).await;
        let second = Pebble::start(fleet.dns.address, fleet.address.port()).await;
        let proxy = AuthorityProxy::start(&first).await;
        proxy.set(move |seen, _| is_refused(seen).then(|| answer.clone()));
        let origin = start(&fleet, vec![proxy.authority(), authority(&second)]).await;
        let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
        claim(&origin, &dns, WWW, None).await;
        let mut rows = fleet.follow(&origin, &mut tasks).await;
        let is_limited = case.starts_with("429");
        if !is_limited {
            until_problem(&origin, "HTTP 500").await;
        }
        // Without a certificate the second one is asked after minutes; at once, if the first one has asked to wait longer.
        let advance = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                origin.clock.advance(Duration::from_mins(1));
            }
        };
        tokio::select! {
            _ = wait_for(&mut rows, &second, is_issued) => {}
            () = advance, if !is_limited => {}
        }
        // The first one was not bothered again.
        let asked = proxy.seen("/order-plz").len();
        assert_eq!(asked, usize::from(is_limited), "{case}");
        assert_eq!((first.orders(), second.orders()), (0, 1), "{case}");
        assert_eq!(problem(&origin).await, None, "{case}");
        if case == "429" {
            // It has asked to wait for a day: the success of the second one changes nothing of that.
            let request = RekeyRequest::Domains([WWW.parse().unwrap()].into());
            let answer = origin.request(Method::POST, "/v1/certificates/rekey").json(&request).send().await.unwrap();
            assert!(answer.status().is_success());
            until("another order", async || second.orders() == 2).await;
            assert_eq!(proxy.seen("/order-plz").len(), asked);
        }
        origin.stop().await;
        proxy.stop().await;
    }
}

#[tokio::test]
async fn authority_that_says_when_to_come_back_is_named_with_that_time() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW, OTHER]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let proxy = AuthorityProxy::start(&pebble).await;
    proxy.set(|seen, _| (seen.path == "/order-plz").then(|| limited(Some("86400"))));
    let origin = start(&fleet, vec![proxy.authority()]).await;
    claim(&origin, &fleet.dns, WWW, None).await;
    until_problem(&origin, "too many orders").await;
    let Certificate { problem, next_try, .. } = listed(&origin).await.unwrap();
    let (directory, time) = (proxy.authority().directory, next_try.unwrap());
    let expected = format!("rate-limited by {directory} until {time}: too many orders");
    assert_eq!(problem.unwrap(), expected);
    // A certificate that was not ordered because of that says the same, though the authority is asked for it once before.
    claim(&origin, &fleet.dns, OTHER, None).await;
    until("the other one to have the reason", async || problem_of(&origin, OTHER).await.as_ref() == Some(&expected))
        .await;
    let findings = rate_limits(&origin).await;
    assert_eq!(findings.len(), 2);
    for finding in findings.values() {
        assert_eq!((&finding.server, &*finding.seen), (&directory, "too many orders"));
    }
    assert_eq!(findings[WWW].until, Some(time));
    assert_eq!(findings[WWW].wanted, format!("no further order before {time}"));
    let next = findings[OTHER].until.unwrap();
    assert_eq!(findings[OTHER].wanted, format!("no further order before {time}; asked once before, at {next}"));
    assert!(findings[OTHER].until.unwrap() < time);
    // An origin that starts anew goes on waiting.
    let origin = origin.restart().await;
    until("what is known", async || problem_of(&origin, OTHER).await.as_ref() == Some(&expected)).await;
    assert_eq!(rate_limits(&origin).await, findings);
    assert_eq!(proxy.seen("/order-plz").len(), 1);
    origin.stop().await;
    proxy.stop().await;
}

#[tokio::test]
async fn short_wait_that_an_authority_asks_for_is_named_and_kept_to_for_all_certificates() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW, OTHER]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let (first, second) = (AuthorityProxy::start(&pebble).await, AuthorityProxy::start(&pebble).await);
    first.set(|seen, _| (seen.path == "/order-plz").then(|| limited(Some("120"))));
    let origin = start(&fleet, vec![first.authority(), second.authority()]).await;
    claim(&origin, &fleet.dns, WWW, None).await;
    until_problem(&origin, "too many orders").await;
    let next = listed(&origin).await.unwrap().next_try.unwrap();
    claim(&origin, &fleet.dns, OTHER, None).await;
    until("both to be limited", async || rate_limits(&origin).await.len() == 2).await;
    for finding in rate_limits(&origin).await.values() {
        assert_eq!((&finding.server, &*finding.seen), (&first.authority().directory, "too many orders"));
        assert_eq!((&finding.wanted, finding.until), (&format!("no further order before {next}"), Some(next)));
    }
    // From here on an edge answers challenges.
    let mut tasks = JoinSet::new();
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    first.set(|_, _| None);
    origin.clock.advance(Duration::from_mins(2));
    wait_for(&mut rows, &pebble, |rows| rows.certificates.len() == 2).await;
    // Not by requests: Pebble rejects some nonces, so that one is sent again.
    assert_eq!((pebble.orders(), second.seen("/order-plz").len()), (2, 0));
    assert!(rate_limits(&origin).await.is_empty());
    origin.stop().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn limit_of_the_first_authority_is_named_while_the_second_one_fails() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW, OTHER]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let (first, second) = (AuthorityProxy::start(&pebble).await, AuthorityProxy::start(&pebble).await);
    first.set(|seen, _| (seen.path == "/order-plz").then(|| limited(Some("86400"))));
    second.set(|_, _| Some(Answer::new(500, "out of order")));
    let origin = start(&fleet, vec![first.authority(), second.authority()]).await;
    claim(&origin, &fleet.dns, WWW, None).await;
    until_problem(&origin, "HTTP 500").await;
    let Certificate { next_try, .. } = listed(&origin).await.unwrap();
    // `verge domains check` asks anew; the list does not.
    let request = json!({ "site": "demo" });
    let checked = origin.request(Method::PUT, &format!("/v1/domains/{WWW}")).json(&request).send().await.unwrap();
    let checked: Domain = checked.json().await.unwrap();
    for domain in [checked, origin.get::<Vec<Domain>>("/v1/domains").await.remove(0)] {
        let limits = domain.findings.iter().filter(|finding| finding.kind == FindingKind::RateLimited);
        let [limit] = &*limits.collect::<Vec<_>>() else { panic!("{:?}", domain.findings) };
        assert_eq!(limit.server, first.authority().directory);
        assert!(limit.seen.starts_with("too many orders; ") && limit.seen.contains("HTTP 500"), "{limit:?}");
        let next = format!("{} is asked next, at {}", second.authority().directory, next_try.unwrap());
        assert!(limit.wanted.ends_with(&next) && limit.until == next_try, "{limit:?}");
    }
    // Another certificate is not ordered from the first one meanwhile, which has asked to wait for a day, but from the second one at once.
    claim(&origin, &fleet.dns, OTHER, None).await;
    until("the other one to have a reason", async || {
        problem_of(&origin, OTHER).await.is_some_and(|problem| problem.contains("HTTP 500"))
    })
    .await;
    assert_eq!(first.seen("/order-plz").len(), 1);
    // Once the first one is asked again, and refuses again, the failure of the second one is named all the same.
    let day = Duration::from_hours(25);
    first.set(move |seen, answer| {
        let refused = (seen.path == "/order-plz").then(|| limited(Some("86400")));
        Some(dated(refused.or_else(|| answer.cloned())?, Clock::system().now().after(day)))
    });
    second.set(move |_, _| Some(dated(Answer::new(500, "out of order"), Clock::system().now().after(day))));
    origin.clock.advance(day);
    until("another refusal", async || first.seen("/order-plz").len() > 1).await;
    until("both to be named", async || {
        let limits = rate_limits(&origin).await;
        limits.len() == 2
            && limits
                .values()
                .all(|limit| limit.seen.starts_with("too many orders; ") && limit.seen.contains("HTTP 500"))
    })
    .await;
    origin.stop().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn account_is_bound_to_one_that_the_operator_has_at_the_authority() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW]).await;
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let settings = PebbleSettings {
        dns: fleet.dns.address,
        http_port: fleet.address.port(),
        rejected_nonces: 5,
        external_accounts: BTreeMap::from([("kid-1".to_owned(), key.to_owned())]),
    };
    let pebble = Pebble::start_with(settings).await;
    let with = |key: &str| {
        let external_account =
            ExternalAccount { key_id: "kid-1".to_owned(), hmac_key: Secret::new(key), hmac_key_file: None };
        AuthoritySettings { external_account: Some(external_account), ..authority(&pebble) }
    };
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    for (settings, text) in [
        (authority(&pebble), "externalAccountRequired"),
        (with("b3RoZXI"), "external account binding JWS verification error"),
        (with("no base64!"), "expected base64url"),
    ] {
        let origin = start(&fleet, vec![settings]).await;
        claim(&origin, &dns, WWW, None).await;
        until_problem(&origin, text).await;
        origin.stop().await;
    }
    let origin = start(&fleet, vec![with(key)]).await;
    claim(&origin, &dns, WWW, None).await;
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    wait_for(&mut rows, &pebble, is_issued).await;
    assert_eq!(problem(&origin).await, None);
    origin.stop().await;
}

/// An answer at this time, by the clock of the authority.
fn dated(mut answer: Answer, time: Timestamp) -> Answer {
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(time.0));
    answer.headers.insert("date", date.parse().unwrap());
    answer
}

/// What Pebble 2.4 knows nothing of: profiles, and the renewal window of each certificate, in which `past` names one that is past. The clock of
/// the authority is ahead by `ahead`; whether it `reflects` which certificate an order replaces.
fn with_extensions(
    renewal_info: String,
    past: Option<String>,
    ahead: Duration,
    reflects: bool,
) -> impl Fn(&Seen, Option<&Answer>) -> Option<Answer> {
    move |seen, answer| {
        let answer = match answer {
            Some(answer) if seen.path == "/dir" => {
                let mut directory = answer.json();
                directory["renewalInfo"] = renewal_info.clone().into();
                directory["meta"]["profiles"] = json!({ "shortlived": "six days" });
                answer.with_body(directory.to_string())
            }
            Some(answer) if seen.path == "/order-plz" && reflects && answer.status.is_success() => {
                let mut order = answer.json();
                order["replaces"] = seen.payload["replaces"].clone();
                answer.with_body(order.to_string())
            }
            Some(answer) => answer.clone(),
            None if seen.path.starts_with("/renewal-info/") => {
                let is_past = past.as_ref() == Some(&seen.path);
                let start = Timestamp(if is_past { 1_000_000_000_000 } else { 4_000_000_000_000 });
                let end = start.after(Duration::from_hours(1));
                let window = json!({ "start": start.to_string(), "end": end.to_string() });
                let mut answer = Answer::new(200, json!({ "suggestedWindow": window }).to_string());
                answer.headers.insert("retry-after", "21600".parse().unwrap());
                answer
            }
            None => return None,
        };
        Some(dated(answer, Clock::system().now().after(ahead)))
    }
}

#[tokio::test]
async fn profile_is_asked_for_and_certificate_is_renewed_in_the_window_of_its_authority() {
    if !Pebble::is_installed() {
        return;
    }
    for reflects in [true, false] {
        let fleet = Fleet::bind(&[WWW]).await;
        let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
        let proxy = AuthorityProxy::start(&pebble).await;
        let renewal_info = proxy.url("/renewal-info");
        proxy.set(with_extensions(renewal_info.clone(), None, Duration::ZERO, reflects));
        let settings = AuthoritySettings { profile: Some("shortlived".to_owned()), ..proxy.authority() };
        let origin = start(&fleet, vec![settings]).await;
        let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
        claim(&origin, &dns, WWW, None).await;
        let mut rows = fleet.follow(&origin, &mut tasks).await;
        let first = wait_for(&mut rows, &pebble, is_issued).await.certificates.into_values().next().unwrap();
        let ordered = proxy.seen("/order-plz").pop().unwrap().payload;
        assert_eq!(ordered["profile"], "shortlived");
        assert!(ordered.get("replaces").is_none());
        // A window that far away has it renewed with a sixth of its lifetime left, no window with a third.
        let sixth = first.not_before.age(first.not_after) / 6;
        until("the window", async || {
            let renewal = listed(&origin).await.unwrap().renewal;
            renewal.is_some_and(|renewal| renewal.age(first.not_after) <= sixth)
        })
        .await;
        let path = proxy.seen("/renewal-info/").pop().unwrap().path;
        let id = path.trim_start_matches("/renewal-info/").to_owned();

        // A day later the authority wants the certificate back.
        let day = Duration::from_hours(25);
        proxy.set(with_extensions(renewal_info, Some(path), day, reflects));
        origin.clock.advance(day);
        let is_renewed = |rows: &Rows| rows.certificates.values().any(|certificate| certificate.key != first.key);
        wait_for(&mut rows, &pebble, is_renewed).await;
        let renewals: Vec<_> = proxy.seen("/order-plz").iter().map(|seen| seen.payload["replaces"].clone()).collect();
        let renewals = &renewals[renewals.iter().position(|replaces| !replaces.is_null()).unwrap()..];
        // The client repeats a request whose nonce was rejected.
        assert!(renewals.contains(&json!(id)), "{renewals:?}");
        assert_eq!(renewals.last().unwrap().is_null(), !reflects, "{renewals:?}");
        let orders = pebble.orders();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(pebble.orders(), orders, "once");
        origin.stop().await;
        proxy.stop().await;
    }
}

#[tokio::test]
async fn wrong_answers_end_in_a_problem_that_names_them_and_what_is_served_stays() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW, "example.com"]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let proxy = AuthorityProxy::start(&pebble).await;
    let settings = AuthoritySettings { poll_timeout: Duration::from_secs(1), ..proxy.authority() };
    let origin = start(&fleet, vec![settings]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    claim(&origin, &dns, WWW, None).await;
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    let first = wait_for(&mut rows, &pebble, is_issued).await.certificates.into_values().next().unwrap();
    let other = rcgen::generate_simple_self_signed(vec![WWW.to_owned(), "example.com".to_owned()]).unwrap().cert.pem();
    let processing = |answer: &Answer| {
        let mut order = answer.json();
        order["status"] = "processing".into();
        order.as_object_mut().unwrap().remove("certificate");
        order.to_string()
    };
    let constant = |text: &str| -> Change {
        let text = text.to_owned();
        Arc::new(move |_| text.clone())
    };
    // The paths are Pebble's; a finalized order is polled.
    let cases: [(&'static [&'static str], Change, &str); 7] = [
        (&["/order-plz"], constant("{"), "the authority gave a wrong answer: making an order: "),
        (&["/order-plz"], constant("<html>busy</html>"), "/order-plz answered something that is not JSON"),
        (&["/authZ/"], constant("[]"), "the authority gave a wrong answer: reading an authorization: "),
        (&["/finalize-order/"], constant("no"), "the authority gave a wrong answer: requesting the certificate: "),
        (&["/certZ/"], constant("no certificate"), "the authority gave a wrong answer: the chain holds no certificate"),
        (&["/certZ/"], constant(&other), "the authority gave a wrong answer: the certificate is for another key"),
        (
            &["/finalize-order/", "/my-order/"],
            Arc::new(processing),
            "the authority did not finish within 1 s: issuing the certificate",
        ),
    ];
    let mut is_claimed = false;
    for (paths, change, text) in cases {
        let has_finalized = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let clock = origin.clock.clone();
        proxy.set(move |seen, answer| {
            use std::sync::atomic::Ordering::Relaxed;
            has_finalized.fetch_or(seen.path.starts_with("/finalize-order/"), Relaxed);
            let is_early = seen.path.starts_with("/my-order/") && !has_finalized.load(Relaxed);
            let is_changed = !is_early && paths.iter().any(|path| seen.path.starts_with(path));
            let answer = answer?;
            let changed = if is_changed && answer.status.is_success() {
                answer.with_body(change(answer))
            } else {
                answer.clone()
            };
            Some(dated(changed, clock.now()))
        });
        if !is_claimed {
            // One name more: the certificate is due.
            claim(&origin, &dns, "example.com", Some(WWW)).await;
            is_claimed = true;
        }
        let advance = async {
            loop {
                tokio::time::sleep(Duration::from_millis(300)).await;
                origin.clock.advance(Duration::from_hours(14));
            }
        };
        tokio::select! {
            () = until_problem(&origin, text) => {}
            () = advance => {}
        }
        assert_eq!(rows.borrow().certificates.values().map(|state| state.key).collect::<Vec<_>>(), [first.key]);
    }
    let clock = origin.clock.clone();
    proxy.set(move |_, answer| Some(dated(answer?.clone(), clock.now())));
    origin.clock.advance(Duration::from_hours(14));
    wait_for(&mut rows, &pebble, |rows| rows.certificates.values().any(|state| state.names.len() == 2)).await;
    assert_eq!(problem(&origin).await, None);
    origin.stop().await;
    proxy.stop().await;
}

#[tokio::test]
async fn authority_that_rejects_every_nonce_is_a_problem() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[WWW]).await;
    let (dns, http_port) = (fleet.dns.address, fleet.address.port());
    let settings = PebbleSettings { dns, http_port, rejected_nonces: 100, external_accounts: BTreeMap::new() };
    let pebble = Pebble::start_with(settings).await;
    let origin = start(&fleet, vec![authority(&pebble)]).await;
    claim(&origin, &fleet.dns, WWW, None).await;
    until_problem(&origin, "badNonce").await;
    origin.stop().await;
}
