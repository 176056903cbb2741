//! Certificates, issued by Pebble.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use verge_daemon::sealing::EdgeKey;
use verge_origin::{AuthoritySettings, Config, SiteCertificates};
use verge_protocol::api::{Certificate, Domain, DomainRequest, RekeyRequest, SecretsAnswer, SecretsRequest, Status};
use verge_protocol::certificate::{CaaState, CertificateState, ChallengeState};
use verge_protocol::report::{CertificateLag, EdgeReport};
use verge_protocol::state::ParsedRow;
use verge_protocol::{Digest, DomainName, Seq};
use verge_test_kit::{AcmeAuthority, Answer, FakeDns, Pebble, files_with, until};

use super::test_origin::{TestOrigin, error, ok};

/// What the feed says.
#[derive(Default, Clone)]
pub(super) struct Rows {
    pub(super) certificates: BTreeMap<DomainName, CertificateState>,
    pub(super) challenges: BTreeMap<DomainName, ChallengeState>,
    /// How many challenges there were, ever.
    pub(super) answered: usize,
    /// The name of the secret of session tickets.
    pub(super) tickets: Option<Digest>,
    /// Who may issue certificates.
    pub(super) caa: Option<CaaState>,
}

/// The edges and name servers of a fleet: they answer challenges as the feed says.
pub(super) struct Fleet {
    pub(super) address: SocketAddr,
    http: TcpListener,
    pub(super) dns: Arc<FakeDns>,
}

impl Fleet {
    /// Binds the port where the authority will look.
    pub(super) async fn bind(hosts: &[&str]) -> Self {
        let dns = FakeDns::start().await;
        for host in hosts {
            dns.set(host, Answer::Host);
        }
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: http.local_addr().unwrap(), http, dns: Arc::new(dns) }
    }

    /// Answers from now on.
    pub(super) async fn follow(self, origin: &TestOrigin, tasks: &mut JoinSet<()>) -> watch::Receiver<Rows> {
        let token = origin.edge_token("fra-1").await;
        self.follow_as(&token, origin, tasks).await
    }

    /// Likewise, with the token of an edge.
    async fn follow_as(self, token: &str, origin: &TestOrigin, tasks: &mut JoinSet<()>) -> watch::Receiver<Rows> {
        let Self { http, dns, .. } = self;
        let mut feed = origin.subscribe(token, None).await;
        let (sender, rows) = watch::channel(Rows::default());
        tasks.spawn(async move {
            while let Some(message) = feed.next().await {
                let verge_protocol::feed::FeedEvent::Row(row) = message.event else { continue };
                let parsed = row.parse();
                sender.send_modify(|rows| match parsed {
                    Ok(ParsedRow::Certificate(domain, Some(state))) => drop(rows.certificates.insert(domain, state)),
                    Ok(ParsedRow::Certificate(domain, None)) => drop(rows.certificates.remove(&domain)),
                    Ok(ParsedRow::Challenge(domain, Some(state))) => {
                        for (owner, texts) in &state.dns {
                            let texts = texts.iter().map(|text| vec![&*text.clone().leak()]).collect();
                            dns.set(owner, Answer::Texts(texts));
                        }
                        rows.answered += 1;
                        rows.challenges.insert(domain, state);
                    }
                    Ok(ParsedRow::Caa(state)) => rows.caa = state,
                    Ok(ParsedRow::TicketSecret(state)) => rows.tickets = state.map(|state| state.secret),
                    Ok(ParsedRow::Challenge(domain, None)) => drop(rows.challenges.remove(&domain)),
                    _ => {}
                });
            }
        });
        let known = rows.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = http.accept().await {
                connections.spawn(answer(connection, known.clone()));
            }
        });
        rows
    }
}

/// Answers one request for a token, once the feed has it.
async fn answer(mut connection: TcpStream, mut rows: watch::Receiver<Rows>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        if connection.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let token = head.split(' ').nth(1).unwrap().trim_start_matches("/.well-known/acme-challenge/").to_owned();
    let header = |line| str::strip_prefix(line, "Host: ").or_else(|| str::strip_prefix(line, "host: "));
    let host = head.lines().find_map(header).unwrap();
    let host: DomainName = host.split(':').next().unwrap().parse().unwrap();
    let find = |rows: &Rows| rows.challenges.get(&host)?.http.get(&token).cloned();
    let found = tokio::time::timeout(Duration::from_secs(5), rows.wait_for(|rows| find(rows).is_some())).await;
    let body = found.ok().and_then(|rows| find(&rows.unwrap()));
    let (status, body) = body.map_or(("404 Not Found", "none".to_owned()), |body| ("200 OK", body));
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let _ = connection.write_all(text.as_bytes()).await;
}

pub(super) fn authority(pebble: &Pebble) -> AuthoritySettings {
    AuthoritySettings {
        email: Some("ops@example.com".to_owned()),
        ca_file: Some(pebble.ca_file.clone()),
        ..AuthoritySettings::new(pebble.directory_url.clone())
    }
}

/// The settings for an authority in this process.
pub(super) fn local_authority(authority: &AcmeAuthority) -> AuthoritySettings {
    AuthoritySettings {
        ca_file: Some(authority.ca_file.clone()),
        poll_delay: Duration::from_millis(5),
        ..AuthoritySettings::new(authority.directory_url.clone())
    }
}

pub(super) async fn start(fleet: &Fleet, authorities: Vec<AuthoritySettings>) -> TestOrigin {
    start_with_live(fleet, authorities, Duration::from_millis(100)).await
}

/// Likewise; an edge is live for so long after its last report.
async fn start_with_live(fleet: &Fleet, authorities: Vec<AuthoritySettings>, live: Duration) -> TestOrigin {
    let dns = fleet.dns.address;
    let change = move |config: &mut Config| {
        config.resolver = Some(dns);
        config.authorities = authorities;
        config.site_certificates = SiteCertificates::None;
        config.certificate_interval = Duration::from_millis(50);
        config.domain_check_interval = Duration::from_millis(50);
        config.rollout_timing.live = live;
    };
    let origin = TestOrigin::start_with(change).await;
    origin.create_site("demo").await;
    origin
}

/// Claims a domain, and creates the record that proves it.
pub(super) async fn claim(origin: &TestOrigin, dns: &FakeDns, domain: &str, redirect_to: Option<&str>) {
    prove(dns, claim_unproven(origin, domain, redirect_to).await);
}

/// Claims a domain whose record does not exist yet.
async fn claim_unproven(origin: &TestOrigin, domain: &str, redirect_to: Option<&str>) -> Domain {
    let request =
        DomainRequest { site: "demo".parse().unwrap(), redirect_to: redirect_to.map(|to| to.parse().unwrap()) };
    ok(origin.put(&format!("/v1/domains/{domain}"), request).await).await
}

/// Creates the record that proves a domain.
fn prove(dns: &FakeDns, domain: Domain) {
    let value: &'static str = domain.proof.value.leak();
    dns.set(&domain.proof.name, Answer::Texts(vec![vec![value]]));
}

pub(super) async fn wait_for(
    rows: &mut watch::Receiver<Rows>,
    pebble: &Pebble,
    condition: impl Fn(&Rows) -> bool,
) -> Rows {
    let found = tokio::time::timeout(Duration::from_mins(1), rows.wait_for(condition)).await;
    found.unwrap_or_else(|_| panic!("{}", pebble.log())).unwrap().clone()
}

#[tokio::test]
async fn proven_domain_and_its_siblings_get_one_certificate_by_one_order() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&["www.example.com", "example.com"]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let origin = start(&fleet, vec![authority(&pebble)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    claim(&origin, &dns, "www.example.com", None).await;
    claim(&origin, &dns, "example.com", Some("www.example.com")).await;
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    let www: DomainName = "www.example.com".parse().unwrap();
    let has_both = |rows: &Rows| rows.certificates.get(&www).is_some_and(|state| state.names.len() == 2);
    let found = wait_for(&mut rows, &pebble, has_both).await;
    let certificate = &found.certificates[&www];
    assert!(certificate.chain.matches("BEGIN CERTIFICATE").count() > 1, "the intermediate certificate is there");
    // At most one order for each set of names: the two domains may have been proven one after the other.
    let found = wait_for(&mut rows, &pebble, |rows| rows.challenges.is_empty()).await;
    let orders = pebble.orders();
    assert!((1..=2).contains(&orders), "{orders} orders");
    assert!(found.answered >= 1, "the authority has checked");

    // The key is sealed to the edge, and is the one of the certificate.
    let (edge, key) = ("fra-1".parse().unwrap(), EdgeKey::generate());
    let token = origin.edge_token("fra-1").await;
    let body = SecretsRequest { public_key: key.public(), secrets: vec![certificate.key] };
    let sent = origin.request_as(&token, reqwest::Method::POST, "/v1/secrets").json(&body).send().await.unwrap();
    let sealed = ok::<SecretsAnswer>(sent).await.sealed;
    let private = key.open(&edge, certificate.key, &sealed[&certificate.key]).unwrap();
    let pair = rcgen::KeyPair::try_from(private.as_slice()).unwrap();
    let public = rcgen::PublicKeyData::subject_public_key_info(&pair);
    assert_eq!(Digest::of(&public), certificate.key);
    let data = origin.directory.path().join("origin");
    assert_eq!(files_with(&data, &private), Vec::<String>::new());
    // The secret of a P-256 key alone: 32 bytes from the 37th (RFC 5915 in RFC 5208).
    assert_eq!(files_with(&data, &private[36..68]), Vec::<String>::new());

    let listed: Vec<Certificate> = origin.get("/v1/certificates").await;
    let [listed] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&listed.names, listed.not_after), (&certificate.names, Some(certificate.not_after)));
    assert!(listed.issuer.as_deref().is_some_and(|issuer| issuer.starts_with("Pebble Intermediate CA")));
    assert!(listed.renewal < listed.not_after && listed.renewal.is_some() && listed.problem.is_none());

    // A restart orders nothing, and nor do names that nobody has claimed.
    let origin = origin.restart().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(pebble.orders(), orders);
    origin.stop().await;
}

#[tokio::test]
async fn second_authority_issues_while_the_first_one_is_away() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&["www.example.com"]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let away = AuthoritySettings { ca_file: None, ..AuthoritySettings::new("https://127.0.0.1:9/dir") };
    let origin = start(&fleet, vec![away, authority(&pebble)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    claim(&origin, &dns, "www.example.com", None).await;
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    let advance = async {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            origin.clock.advance(Duration::from_mins(1));
        }
    };
    let www: DomainName = "www.example.com".parse().unwrap();
    tokio::select! {
        rows = wait_for(&mut rows, &pebble, |rows| rows.certificates.contains_key(&www)) => {
            assert_eq!(rows.certificates.len(), 1);
        }
        () = advance => {}
    }
    assert_eq!(pebble.orders(), 1);
    origin.stop().await;
}

/// Name servers of `sites.example.org`, the base domain: this one.
pub(super) fn delegate(dns: &FakeDns) {
    dns.set("sites.example.org", Answer::NameServer("ns.sites.example.org"));
    dns.set("ns.sites.example.org", Answer::Host);
}

pub(super) async fn start_with_wildcard(fleet: &Fleet, authority: AuthoritySettings) -> TestOrigin {
    let dns = fleet.dns.address;
    let change = move |config: &mut Config| {
        config.sites_url = "https://sites.example.org".parse().unwrap();
        config.resolver = Some(dns);
        config.dns_port = dns.port();
        config.dns_stale_timeout = Duration::from_secs(1);
        config.resolver_timeout = Duration::from_millis(500);
        config.authorities = vec![authority];
        config.certificate_interval = Duration::from_millis(50);
        config.domain_check_interval = Duration::from_millis(50);
        // The edge that answers challenges does not report.
        config.rollout_timing.live = Duration::from_millis(100);
    };
    let origin = TestOrigin::start_with(change).await;
    origin.create_site("demo").await;
    origin
}

#[tokio::test]
async fn base_domain_and_delegating_domain_are_proven_by_txt_records() {
    if !Pebble::is_installed() {
        return;
    }
    // The domain has no address: it is still served elsewhere.
    let fleet = Fleet::bind(&[]).await;
    delegate(&fleet.dns);
    let owner = Digest::of(b"www.example.com").prefix();
    let delegated = format!("{owner}._acme-challenge.sites.example.org").leak();
    fleet.dns.set("_acme-challenge.www.example.com", Answer::Cname(delegated));
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let origin = start_with_wildcard(&fleet, authority(&pebble)).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    claim(&origin, &dns, "www.example.com", None).await;
    let found = wait_for(&mut rows, &pebble, |rows| rows.certificates.len() == 2).await;
    let names = |domain: &str| {
        let certificate = &found.certificates[&domain.parse::<DomainName>().unwrap()];
        certificate.names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names("sites.example.org"), ["sites.example.org", "*.sites.example.org"]);
    assert_eq!(names("www.example.com"), ["www.example.com"]);
    assert_eq!(pebble.orders(), 2, "one for each");
    origin.stop().await;
}

#[tokio::test]
async fn stale_name_server_is_named_with_the_record_seen_and_the_one_wanted() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&[]).await;
    delegate(&fleet.dns);
    fleet.dns.set("_acme-challenge.sites.example.org", Answer::Texts(vec![vec!["of-yesterday"]]));
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let origin = start_with_wildcard(&fleet, authority(&pebble)).await;
    let mut held = None;
    let problem = loop {
        let listed: Vec<Certificate> = origin.get("/v1/certificates").await;
        let certificate = listed.into_iter().next().unwrap();
        held = held.or(certificate.progress.filter(|progress| progress.contains("; name server")));
        if let Some(problem) = certificate.problem {
            assert!(certificate.next_try > certificate.renewal, "it waits for its next try");
            break problem;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let held = held.expect("the order says what it waits for");
    let step = "being ordered: waiting until every name server answers the challenge; name server ns.sites.example.org \
                (127.0.0.1) is waited for until ";
    let seen = "Z: it answers `_acme-challenge.sites.example.org` TXT with `of-yesterday`, expected `";
    assert!(held.starts_with(step) && held.contains(seen), "{held}");
    let expected = "name server ns.sites.example.org (127.0.0.1) answers `_acme-challenge.sites.example.org` TXT with \
                    `of-yesterday`, expected `";
    assert!(problem.starts_with(expected), "{problem}");
    assert!(!pebble.log().contains("POST /chalZ/"), "the authority was not asked to validate");
    assert_eq!(pebble.orders(), 1);
    origin.stop().await;
}

#[tokio::test]
async fn name_server_that_is_silent_or_stale_does_not_keep_certificates_from_being_renewed() {
    if !Pebble::is_installed() {
        return;
    }
    for is_silent in [true, false] {
        let fleet = Fleet::bind(&[]).await;
        delegate(&fleet.dns);
        let addresses = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
        fleet.dns.set("ns.sites.example.org", Answer::Addresses(addresses.to_vec()));
        let second = FakeDns::start_at((addresses[1], fleet.dns.address.port()).into()).await;
        let challenge = "_acme-challenge.sites.example.org";
        let answer = if is_silent { Answer::Timeout } else { Answer::Texts(vec![vec!["of-yesterday"]]) };
        second.set(challenge, answer);
        let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
        let origin = start_with_wildcard(&fleet, authority(&pebble)).await;
        let mut tasks = JoinSet::new();
        let mut rows = fleet.follow(&origin, &mut tasks).await;
        wait_for(&mut rows, &pebble, |rows| rows.certificates.len() == 1).await;
        assert_eq!(pebble.orders(), 1);
        // Three times, each repeated by the resolver; a stale one for a second.
        assert!(second.queries(challenge) >= if is_silent { 3 } else { 2 });
        origin.stop().await;
    }
}

/// Edges that report, by token.
struct Reporting<'a> {
    origin: &'a TestOrigin,
    tokens: Vec<String>,
    key: EdgeKey,
}

impl<'a> Reporting<'a> {
    async fn new(origin: &'a TestOrigin) -> Self {
        let tokens = vec![origin.edge_token("ams-1").await, origin.edge_token("waw-1").await];
        Self { origin, tokens, key: EdgeKey::generate() }
    }

    /// Each edge reports that it has applied all, and whether it still lags with a domain's certificate.
    async fn report(&self, lagging: &[Option<&DomainName>; 2]) {
        let position = self.origin.get::<Status>("/v1/status").await.position;
        for (token, domain) in self.tokens.iter().zip(lagging) {
            let lag =
                |domain: &DomainName| CertificateLag { domain: domain.clone(), seq: Seq(1), reason: String::new() };
            let certificates = Some(domain.iter().copied().map(lag).collect());
            let report = EdgeReport { certificates, ..EdgeReport::new(position, "0") };
            let sent = self.origin.request_as(token, reqwest::Method::POST, "/v1/edges/report").json(&report).send();
            assert!(sent.await.unwrap().status().is_success());
        }
    }

    /// All edges report that they present everything, until this holds.
    async fn report_until(&self, text: &str, condition: impl AsyncFn() -> bool) {
        self.report_lag_until([None, None], text, condition).await;
    }

    /// Each edge reports that it has applied all, and whether it still lags with a domain's certificate, until this holds. Orders wait for live
    /// edges to apply challenges.
    async fn report_lag_until(&self, lagging: [Option<&DomainName>; 2], text: &str, condition: impl AsyncFn() -> bool) {
        until(text, async || {
            self.report(&lagging).await;
            condition().await
        })
        .await;
    }

    /// Whether the origin has a private key.
    async fn has_key(&self, name: Digest) -> bool {
        let body = SecretsRequest { public_key: self.key.public(), secrets: vec![name] };
        let sent = self.origin.request_as(&self.tokens[0], reqwest::Method::POST, "/v1/secrets").json(&body).send();
        !ok::<SecretsAnswer>(sent.await.unwrap()).await.sealed.is_empty()
    }

    async fn edges(&self) -> (u64, u64) {
        let listed: Vec<Certificate> = self.origin.get("/v1/certificates").await;
        (listed[0].edges.presenting, listed[0].edges.of)
    }
}

#[tokio::test]
async fn order_right_after_the_start_waits_for_edges_that_have_not_reported_yet() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&["www.example.com"]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let origin = start_with_live(&fleet, vec![authority(&pebble)], Duration::from_mins(1)).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    let tokens = [origin.edge_token("fra-1").await, origin.edge_token("ams-1").await];
    let mut rows = fleet.follow_as(&tokens[0], &origin, &mut tasks).await;
    let report = async |token| {
        let report = EdgeReport::new(origin.get::<Status>("/v1/status").await.position, "0");
        let sent = origin.request_as(token, reqwest::Method::POST, "/v1/edges/report").json(&report).send();
        assert!(sent.await.unwrap().status().is_success());
    };
    claim(&origin, &dns, "www.example.com", None).await;
    wait_for(&mut rows, &pebble, |rows| !rows.challenges.is_empty()).await;
    report(&tokens[0]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!pebble.log().contains("POST /chalZ/"), "an edge has not reported");
    report(&tokens[1]).await;
    wait_for(&mut rows, &pebble, |rows| !rows.certificates.is_empty()).await;
    assert_eq!(pebble.orders(), 1);
    origin.stop().await;
}

#[tokio::test]
async fn certificate_is_confirmed_replaced_and_ended_as_edges_present_it() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&["www.example.com", "example.com"]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let origin = start(&fleet, vec![authority(&pebble)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    claim(&origin, &dns, "www.example.com", None).await;
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    let www: DomainName = "www.example.com".parse().unwrap();
    let of_www = |rows: &Rows| rows.certificates.get(&www).cloned();
    let first = of_www(&wait_for(&mut rows, &pebble, |rows| of_www(rows).is_some()).await).unwrap();
    let edges = Reporting::new(&origin).await;
    assert_eq!((first.confirmed, edges.edges().await), (false, (0, 0)));

    edges.report(&[Some(&www), Some(&www)]).await;
    edges.report(&[None, Some(&www)]).await;
    assert_eq!(edges.edges().await, (1, 2));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!of_www(&rows.borrow()).unwrap().confirmed, "an edge lags");
    edges.report_until("the confirmation", async || of_www(&rows.borrow()).unwrap().confirmed).await;
    assert_eq!(of_www(&rows.borrow()).unwrap().key, first.key);

    // One more name: it is not confirmed for that, and the earlier key stays while an edge lacks the new certificate.
    claim(&origin, &dns, "example.com", Some("www.example.com")).await;
    let has_names = async |names| of_www(&rows.borrow()).unwrap().names.len() == names;
    let none_presents = [Some(&www), Some(&www)];
    edges.report_lag_until(none_presents, "both names", async || has_names(2).await).await;
    let second = of_www(&rows.borrow()).unwrap();
    assert!(!second.confirmed && second.key != first.key);
    edges.report(&[None, Some(&www)]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!([edges.has_key(first.key).await, edges.has_key(second.key).await], [true, true]);
    edges.report_until("the earlier key to be deleted", async || !edges.has_key(first.key).await).await;
    edges.report_until("the confirmation", async || of_www(&rows.borrow()).unwrap().confirmed).await;
    assert!(edges.has_key(second.key).await);

    // One name less: it stays confirmed.
    assert!(origin.delete("/v1/domains/example.com").await.status().is_success());
    edges.report_lag_until(none_presents, "one name", async || has_names(1).await).await;
    let third = of_www(&rows.borrow()).unwrap();
    assert!(third.confirmed && third.key != second.key);
    let listed: Vec<Certificate> = origin.get("/v1/certificates").await;
    assert_eq!(listed[0].key_type.as_deref(), Some("ECDSA P-256"));

    // No name at all.
    assert!(origin.delete("/v1/domains/www.example.com").await.status().is_success());
    wait_for(&mut rows, &pebble, |rows| rows.certificates.is_empty()).await;
    until("the key to be deleted", async || !edges.has_key(third.key).await).await;
    origin.stop().await;
}

#[tokio::test]
async fn certificate_of_a_domain_that_redirects_now_ends_only_when_its_replacement_is_presented() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&["www.example.com", "example.com"]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let origin = start(&fleet, vec![authority(&pebble)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    claim(&origin, &dns, "www.example.com", None).await;
    claim(&origin, &dns, "example.com", None).await;
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    wait_for(&mut rows, &pebble, |rows| rows.certificates.len() == 2).await;
    let edges = Reporting::new(&origin).await;
    edges.report(&[None, None]).await;
    claim(&origin, &dns, "example.com", Some("www.example.com")).await;
    let www: DomainName = "www.example.com".parse().unwrap();
    let has_both = async || rows.borrow().certificates[&www].names.len() == 2;
    edges.report_lag_until([Some(&www), Some(&www)], "both names", has_both).await;
    edges.report(&[None, Some(&www)]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rows.borrow().certificates.len(), 2, "an edge presents the earlier one still");
    edges.report_until("the end of the earlier one", async || rows.borrow().certificates.len() == 1).await;
    assert!(rows.borrow().certificates.contains_key(&www));
    origin.stop().await;
}

#[tokio::test]
async fn sibling_that_does_not_point_here_is_left_out_named_and_tried_again() {
    if !Pebble::is_installed() {
        return;
    }
    // The other name has no address.
    let fleet = Fleet::bind(&["www.example.com"]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let origin = start(&fleet, vec![authority(&pebble)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    claim(&origin, &dns, "www.example.com", None).await;
    claim(&origin, &dns, "gone.example.net", Some("www.example.com")).await;
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    let www: DomainName = "www.example.com".parse().unwrap();
    let names = |rows: &Rows| rows.certificates.get(&www).map(|state| state.names.len());
    wait_for(&mut rows, &pebble, |rows| names(rows) == Some(1)).await;
    let listed = async || {
        let listed: Vec<Certificate> = origin.get("/v1/certificates").await;
        listed.into_iter().find(|certificate| certificate.domain == www).unwrap()
    };
    until("the problem", async || {
        listed().await.problem.is_some_and(|problem| problem.starts_with("gone.example.net: "))
    })
    .await;
    let left_out = listed().await;
    assert_eq!(left_out.names.len(), 2, "it is wanted all the same");
    assert!(left_out.renewal.is_some() && left_out.not_after.is_some());
    let without = async || {
        let status: Status = origin.get("/v1/status").await;
        let mut texts = status.problems.iter().filter(|problem| problem.kind() == "domains_without_certificate");
        texts.next().map(ToString::to_string)
    };
    until("the problem of the status", async || {
        without().await.is_some_and(|text| text.starts_with("no certificate is valid for gone.example.net: "))
    })
    .await;
    let orders = pebble.orders();

    // While it may not be tried again, nothing is ordered.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(pebble.orders(), orders);
    dns.set("gone.example.net", Answer::Host);
    origin.clock.advance(Duration::from_mins(10));
    wait_for(&mut rows, &pebble, |rows| names(rows) == Some(2)).await;
    assert_eq!(listed().await.problem, None);
    origin.stop().await;
}

#[tokio::test]
async fn name_whose_delegation_cannot_be_found_out_is_left_out_and_the_others_are_ordered() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&["www.example.com", "example.com"]).await;
    delegate(&fleet.dns);
    let (alias, dns) = ("_acme-challenge.example.com", Arc::clone(&fleet.dns));
    dns.set(alias, Answer::ServFail);
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let origin = start_with_wildcard(&fleet, authority(&pebble)).await;
    let mut tasks = JoinSet::new();
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    // The other name is proven first: no order for the certificate is without it.
    let www: DomainName = "www.example.com".parse().unwrap();
    let claimed = claim_unproven(&origin, "www.example.com", None).await;
    claim(&origin, &dns, "example.com", Some("www.example.com")).await;
    until("the other name to be proven", async || {
        let domains: Vec<Domain> = origin.get("/v1/domains").await;
        domains.iter().any(|domain| domain.name.as_str() == "example.com" && domain.proven.is_some())
    })
    .await;
    prove(&dns, claimed);
    wait_for(&mut rows, &pebble, |rows| rows.certificates.contains_key(&www)).await;
    let names = |rows: &Rows| rows.certificates[&www].names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&rows.borrow()), ["www.example.com"]);
    let listed: Vec<Certificate> = origin.get("/v1/certificates").await;
    let problem = listed.into_iter().find(|listed| listed.domain == www).unwrap().problem.unwrap();
    let expected = format!("example.com: it cannot be found out whether `{alias}` is delegated: ");
    assert!(problem.starts_with(&expected), "{problem}");

    // The name servers of the other name work again.
    dns.remove(alias);
    origin.clock.advance(Duration::from_hours(1));
    wait_for(&mut rows, &pebble, |rows| names(rows).len() == 2).await;
    origin.stop().await;
}

#[tokio::test]
async fn rekeyed_certificate_is_ordered_anew_with_another_key_and_all_replace_the_ticket_secret() {
    if !Pebble::is_installed() {
        return;
    }
    let fleet = Fleet::bind(&["www.example.com", "www.example.net"]).await;
    let pebble = Pebble::start(fleet.dns.address, fleet.address.port()).await;
    let origin = start(&fleet, vec![authority(&pebble)]).await;
    let (dns, mut tasks) = (Arc::clone(&fleet.dns), JoinSet::new());
    claim(&origin, &dns, "www.example.com", None).await;
    claim(&origin, &dns, "www.example.net", None).await;
    let mut rows = fleet.follow(&origin, &mut tasks).await;
    let keys = |rows: &Rows| rows.certificates.values().map(|state| state.key).collect::<Vec<_>>();
    let first = keys(&wait_for(&mut rows, &pebble, |rows| rows.certificates.len() == 2).await);
    let rekey = async |request: RekeyRequest| {
        origin.request(reqwest::Method::POST, "/v1/certificates/rekey").json(&request).send().await.unwrap()
    };
    let (status, body) = error(rekey(RekeyRequest::Domains(["other.example".parse().unwrap()].into())).await).await;
    assert_eq!((status, body.code.as_str()), (404, "unknown_certificate"));
    let com: BTreeSet<DomainName> = ["www.example.com".parse().unwrap()].into();
    let answer: BTreeSet<DomainName> = ok(rekey(RekeyRequest::Domains(com.clone())).await).await;
    assert_eq!(answer, com);
    let second = keys(&wait_for(&mut rows, &pebble, |rows| keys(rows)[0] != first[0]).await);
    assert_eq!(second[1], first[1], "the other one keeps its key");
    let tickets = rows.borrow().tickets;
    assert_eq!(pebble.orders(), 3);

    let answer: BTreeSet<DomainName> = ok(rekey(RekeyRequest::All).await).await;
    assert_eq!(answer.len(), 2);
    let is_replaced = |rows: &Rows| {
        let keys = keys(rows);
        keys[0] != second[0] && keys[1] != second[1] && rows.tickets != tickets
    };
    wait_for(&mut rows, &pebble, is_replaced).await;
    assert!(tickets.is_some());
    // Once.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(pebble.orders(), 5);
    origin.stop().await;
}
