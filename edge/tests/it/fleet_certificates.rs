//! Certificates of the fleet: from the feed and the origin's sealed keys to readers.

use std::os::unix::fs::PermissionsExt as _;

use rcgen::KeyPair;
use verge_protocol::health::EdgeHealth;
use verge_protocol::report::CertificateLag;
use verge_protocol::{Digest, DomainName, Seq, Timestamp};
use verge_test_kit::until;

use super::secured::{Authority, DEMO, Secured};

/// The certificates that the last report names as missing.
fn lagging(secured: &Secured) -> Option<Vec<CertificateLag>> {
    secured.origin.reports().last()?.certificates.clone()
}

/// The write up to which the health page says that everything is served.
/// What the health page says is served, with and without what the origin lacks.
async fn served(secured: &Secured) -> Option<(Seq, Seq)> {
    let health = secured.plain(DEMO, "/.well-known/verge/health").await.2;
    let health = serde_json::from_str::<EdgeHealth>(&health).unwrap();
    health.served.zip(health.served_of_obtainable)
}

/// Publishes a certificate of the readers' authority with its key, and waits until it is served.
async fn publish(secured: &mut Secured) -> (String, KeyPair) {
    let issued = secured.authority.issue_with_key(&[DEMO]);
    let (name, _) = secured.write_certificate(&issued);
    secured.origin.add_secret(name, issued.1.serialize_der());
    secured.wait_until_served().await;
    issued
}

#[tokio::test]
async fn certificate_is_presented_once_its_key_has_arrived_and_reported() {
    let mut secured = Secured::of_the_fleet().await;
    let issued = secured.authority.issue_with_key(&[DEMO]);
    let (name, at) = secured.write_certificate(&issued);
    until("the report", async || {
        lagging(&secured).is_some_and(|lagging| {
            lagging.len() == 1 && lagging[0].reason == "the origin does not have its private key"
        })
    })
    .await;
    let problem = format!("the certificate of {DEMO} is not presented yet");
    until("the problem", async || secured.private("/healthz").await.contains(&problem)).await;
    // Without a certificate there is no redirect.
    until("the site", async || secured.plain(DEMO, "/").await.0 == 200).await;
    // Name servers prefer edges that have got its key before, if there are any.
    let before = Seq(at.seq.0 - 1);
    until("the write before it", async || served(&secured).await == Some((before, at.seq))).await;
    secured.origin.add_secret(name, KeyPair::generate().unwrap().serialize_der());
    until("the write before it", async || served(&secured).await == Some((before, before))).await;
    secured.origin.add_secret(name, issued.1.serialize_der());
    secured.wait_until_served().await;
    until("the write", async || served(&secured).await == Some((at.seq, at.seq))).await;
    let domain: DomainName = DEMO.parse().unwrap();
    until("the report", async || {
        secured.origin.reports().last().is_some_and(|report| report.has_certificate(at, &domain))
    })
    .await;
    assert_eq!(secured.private("/healthz").await, "ok\n");
    // Nothing is missing, and nothing is requested again.
    let requests = secured.origin.secret_requests();
    secured.origin.publish("demo/live", 2, &verge_test_kit::release(&[("index.html", "two")]), &[]);
    until("the release", async || {
        let response = secured.reader().get(secured.url("/")).send().await.unwrap();
        response.text().await.unwrap() == "two"
    })
    .await;
    assert_eq!(secured.origin.secret_requests(), requests);
    secured.stop().await;
}

#[tokio::test]
async fn restarted_edge_presents_its_certificates_without_an_origin() {
    let mut secured = Secured::of_the_fleet().await;
    publish(&mut secured).await;
    for file in std::fs::read_dir(secured.certificates()).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(std::fs::metadata(secured.certificates()).unwrap().permissions().mode() & 0o777, 0o700);
    let mut secured = secured.restart(async |origin| origin.go_offline().await).await;
    secured.wait_until_served().await;
    secured.stop().await;
}

#[tokio::test]
async fn renewed_certificate_without_a_usable_key_does_not_replace_the_one_before() {
    let mut secured = Secured::of_the_fleet().await;
    publish(&mut secured).await;
    let (chain, key) = secured.authority.issue_with_key(&[DEMO]);
    let (name, _) = secured.write_certificate(&(chain, key));
    // The key of another certificate under its name.
    secured.origin.add_secret(name, KeyPair::generate().unwrap().serialize_der());
    let reason = "the private key does not match the certificate";
    until("the report", async || {
        lagging(&secured).is_some_and(|lagging| lagging.iter().any(|lag| lag.reason == reason))
    })
    .await;
    assert!(secured.reader().get(secured.url("/")).send().await.is_ok());
    // Not after a restart either, although the feed has only the renewed one.
    let mut secured = secured.restart(async |origin| origin.go_offline().await).await;
    secured.wait_until_served().await;
    secured.origin.go_online().await;
    publish(&mut secured).await;
    until("the report", async || lagging(&secured).is_some_and(|lagging| lagging.is_empty())).await;
    secured.stop().await;
}

#[tokio::test]
async fn wrong_clock_of_the_edge_keeps_no_certificate_back() {
    // They are valid from 1975 to 4096.
    for time in [Timestamp(0), Timestamp(70_000_000_000_000)] {
        let mut secured = Secured::of_the_fleet().await;
        secured.clock.set(time);
        publish(&mut secured).await;
        until("the report", async || lagging(&secured).is_some_and(|lagging| lagging.is_empty())).await;
        secured.stop().await;
    }
}

#[tokio::test]
async fn certificate_that_the_feed_removes_is_not_presented_any_more() {
    let mut secured = Secured::of_the_fleet().await;
    publish(&mut secured).await;
    secured.origin.write(&format!("certificate/{DEMO}"), |_| None);
    until("its end", async || secured.reader().get(secured.url("/")).send().await.is_err()).await;
    until("its file to be deleted", async || std::fs::read_dir(secured.certificates()).unwrap().count() == 0).await;
    secured.stop().await;
}

#[tokio::test]
async fn damaged_certificate_on_disk_is_requested_again() {
    let mut secured = Secured::of_the_fleet().await;
    publish(&mut secured).await;
    let path = secured.certificates().join(format!("{DEMO}.json"));
    let sound = std::fs::read(&path).unwrap();
    let mut damaged = sound.clone();
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let mut secured = secured.restart(async |_| ()).await;
    secured.wait_until_served().await;
    assert_eq!(std::fs::read(&path).unwrap(), sound);
    secured.stop().await;
}

#[tokio::test]
async fn damaged_edge_key_is_named_and_what_is_presented_stays() {
    let mut secured = Secured::of_the_fleet().await;
    publish(&mut secured).await;
    let path = secured.certificates().parent().unwrap().join("edge.key");
    std::fs::write(&path, "damaged").unwrap();
    let mut secured = secured.restart(async |_| ()).await;
    secured.wait_until_served().await;
    // Before any certificate is missing.
    let named =
        format!("degraded: this edge gets no private keys of certificates: {}: malformed edge key", path.display());
    until("the problem", async || secured.private("/healthz").await.contains(&named)).await;
    until("the report", async || {
        let reports = secured.origin.reports();
        let problems = reports.last().map(|report| report.tls_problems.clone()).unwrap_or_default();
        matches!(problems.as_slice(), [problem] if problem.contains("malformed edge key"))
    })
    .await;
    let renewed = Authority::new().issue_with_key(&[DEMO]);
    let (name, _) = secured.write_certificate(&renewed);
    secured.origin.add_secret(name, renewed.1.serialize_der());
    until("the problem", async || secured.private("/healthz").await.contains("malformed edge key")).await;
    assert!(secured.private("/healthz").await.contains(&path.display().to_string()));
    secured.wait_until_served().await;
    secured.stop().await;
}

#[tokio::test]
async fn secret_of_session_tickets_is_requested_and_saved() {
    let secured = Secured::of_the_fleet().await;
    let secret = [7; 32];
    let name = secured.origin.add_secret(Digest::of(&secret), secret);
    secured.origin.write("secret/tickets", |_| Some(serde_json::json!({ "secret": name })));
    let path = secured.certificates().parent().unwrap().join("tickets.json");
    until("the secret", async || path.exists()).await;
    let requests = secured.origin.secret_requests();
    let mut secured = secured.restart(async |_| ()).await;
    until("the request at the start", async || secured.origin.secret_requests() > requests).await;
    publish(&mut secured).await;
    assert_eq!(secured.origin.secret_requests(), requests + 2, "only the key of the certificate is requested");
    secured.stop().await;
}

#[tokio::test]
async fn edge_makes_its_key_known_at_its_start_until_an_origin_answers_although_it_lacks_no_secret() {
    let secured = Secured::of_the_fleet().await;
    until("the request", async || secured.origin.secret_requests() == 1).await;
    until("the site", async || secured.plain(DEMO, "/").await.0 == 200).await;
    let mut secured = secured.restart(async |origin| origin.go_offline().await).await;
    until("the edge to be up", async || secured.plain(DEMO, "/").await.0 == 200).await;
    secured.origin.go_online().await;
    until("the request", async || secured.origin.secret_requests() == 2).await;
    // Once it was answered it is not sent again.
    publish(&mut secured).await;
    assert_eq!(secured.origin.secret_requests(), 3, "with the key of the certificate");
    secured.stop().await;
}
