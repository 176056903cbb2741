//! Readers over TLS, with certificates of the operator's own.

use std::time::Duration;

use reqwest::{Certificate, Client, Version};
use serde_json::json;
use verge_test_kit::{release, until};

use super::secured::{Authority, DEMO, Secured, write};

#[tokio::test]
async fn site_is_served_over_tls_and_another_host_is_misdirected() {
    let secured = Secured::start().await;
    let response = secured.reader().get(secured.url("/")).send().await.unwrap();
    assert_eq!((response.version(), response.text().await.unwrap().as_str()), (Version::HTTP_2, "hi"));
    let root = Certificate::from_pem(secured.authority.pem.as_bytes()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([root]).http1_only();
    let http1 = client.resolve(DEMO, secured.edge.tls_addrs()[0]).build().unwrap();
    for (host, status, is_indexed) in [
        (DEMO, 200, true),
        ("Demo.Verge.Test:443", 200, true),
        ("other.verge.test", 421, true),
        ("pr-1--demo.verge.test", 421, false),
        ("127.0.0.1", 421, false),
    ] {
        let response = http1.get(secured.url("/")).header("host", host).send().await.unwrap();
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_11, status), "{host}");
        assert_eq!(response.headers().contains_key("x-robots-tag"), !is_indexed, "{host}");
    }
    // Monitors and name servers may use any host.
    let health = http1.get(secured.url("/.well-known/verge/health")).header("host", "127.0.0.1").send().await.unwrap();
    assert_eq!(health.status(), 200);
    secured.stop().await;
}

#[tokio::test]
async fn request_without_tls_is_redirected_if_its_host_has_a_certificate() {
    let secured = Secured::start().await;
    let port = secured.edge.tls_addrs()[0].port();
    let (status, location, _) = secured.plain("DEMO.verge.test:80", "/a%20b?c=d").await;
    assert_eq!((status, location), (308, Some(format!("https://{DEMO}:{port}/a%20b?c=d"))));
    let redirect = secured.plain_response(DEMO, "/").await;
    assert_eq!(redirect.headers()["verge-release"], "v1", "it says what is served there");
    assert_eq!(secured.plain("other.verge.test", "/").await.0, 404);
    assert_eq!(secured.plain(DEMO, "/.well-known/verge/health").await.0, 200);
    secured.stop().await;
}

#[tokio::test]
async fn challenge_is_answered_without_tls_and_never_redirected() {
    let secured = Secured::start().await;
    let path = |token: &str| format!("/.well-known/acme-challenge/{token}");
    assert_eq!(secured.plain(DEMO, &path("token")).await.0, 404, "there is no such file");
    let state = json!({ "http": { "token": "token.thumbprint" } });
    secured.origin.write(&format!("challenge/{DEMO}"), |_| Some(state));
    until("the answer", async || secured.plain(DEMO, &path("token")).await.2 == "token.thumbprint").await;
    assert_eq!(secured.plain(DEMO, &path("other")).await.0, 404);
    assert_eq!(secured.plain("other.verge.test", &path("token")).await.0, 404);
    secured.origin.write(&format!("challenge/{DEMO}"), |_| None);
    until("its end", async || secured.plain(DEMO, &path("token")).await.0 == 404).await;
    secured.stop().await;
}

#[tokio::test]
async fn changed_files_are_presented_and_bad_ones_are_not() {
    let secured = Secured::start().await;
    // Another authority: only readers who trust it accept the new certificate.
    let other = Authority::new();
    write(&secured.files, &other.issue(&[DEMO]));
    until("the new certificate", async || secured.reader().get(secured.url("/")).send().await.is_err()).await;
    let renewed = secured.authority.issue(&[DEMO]);
    write(&secured.files, &renewed);
    until("the renewed one", async || secured.reader().get(secured.url("/")).send().await.is_ok()).await;
    assert_eq!(secured.private("/healthz").await, "ok\n");

    let (_, other_key) = other.issue(&[DEMO]);
    write(&secured.files, &(renewed.0.clone(), other_key));
    until("the problem", async || secured.private("/healthz").await.contains("does not match")).await;
    let health = secured.private("/healthz").await;
    assert!(health.contains(&secured.files.chain.display().to_string()), "{health}");
    assert!(health.contains("; the previous one is still presented"), "{health}");
    assert!(secured.reader().get(secured.url("/")).send().await.is_ok());
    write(&secured.files, &renewed);
    until("its end", async || secured.private("/healthz").await == "ok\n").await;
    secured.stop().await;
}

#[tokio::test]
async fn https_settings_of_a_site_apply_at_once() {
    let secured = Secured::start().await;
    let set = |https: Option<serde_json::Value>| {
        secured.origin.write("site/demo", |_| https.map(|https| json!({ "https": https })))
    };
    let hsts = async |secured: &Secured| {
        let response = secured.reader().get(secured.url("/missing")).send().await.unwrap();
        response.headers().get("strict-transport-security").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!((secured.plain(DEMO, "/").await.0, hsts(&secured).await), (308, None));
    set(Some(json!({ "optional": true })));
    until("the answer without TLS", async || secured.plain(DEMO, "/").await.0 == 200).await;
    set(Some(json!({ "hsts": { "max_age_seconds": 3600, "include_subdomains": true } })));
    until("the redirect", async || secured.plain(DEMO, "/").await.0 == 308).await;
    assert_eq!(hsts(&secured).await.as_deref(), Some("max-age=3600; includeSubDomains"));
    let request = secured.reader().get(format!("http://{}/", secured.edge.public_addr())).header("host", DEMO);
    let redirect = request.send().await.unwrap();
    assert!(!redirect.headers().contains_key("strict-transport-security"), "it is for responses over TLS");
    let secured = secured.restart(async |_| ()).await;
    until("the saved settings", async || hsts(&secured).await.is_some()).await;
    secured.origin.write("site/demo", |_| None);
    until("their end", async || hsts(&secured).await.is_none()).await;
    secured.stop().await;
}

#[tokio::test]
async fn https_settings_of_a_site_apply_to_hosts_of_its_releases_and_to_channels_that_are_not_served_yet() {
    let (secured, release_host) = with_release_host().await;
    let hosts = [release_host.as_str(), "soon--demo.verge.test"];
    for host in hosts {
        assert_eq!(secured.plain(host, "/").await.0, 308, "{host}");
    }
    secured
        .origin
        .write("site/demo", |_| Some(json!({ "https": { "optional": true, "hsts": { "max_age_seconds": 1 } } })));
    until("the answers without TLS", async || {
        (secured.plain(hosts[0], "/").await.0, secured.plain(hosts[1], "/").await.0) == (200, 503)
    })
    .await;
    for host in hosts {
        let response = secured.at(host).get(secured.url_at(host, "/")).send().await.unwrap();
        assert_eq!(response.headers()["strict-transport-security"], "max-age=1", "{host}");
    }
    secured.stop().await;
}

#[tokio::test]
async fn redirects_to_https_are_indexed_at_hosts_of_sites_only() {
    let (secured, release_host) = with_release_host().await;
    for (host, expected) in
        [(DEMO, false), (&release_host, true), ("soon--demo.verge.test", true), ("x.verge.test", false)]
    {
        let redirect = secured.plain_response(host, "/").await;
        let has_robots = redirect.headers().contains_key("x-robots-tag");
        assert_eq!((redirect.status().as_u16(), has_robots), (308, expected), "{host}");
    }
    secured.stop().await;
}

/// An edge with a certificate for all hosts of `demo`: its live channel, the release that it serves, and a channel whose manifest is
/// missing. Returns the host of the release.
async fn with_release_host() -> (Secured, String) {
    let secured = Secured::start().await;
    write(&secured.files, &secured.authority.issue(&[DEMO, "*.verge.test"]));
    let site = release(&[("index.html", "hi")]);
    secured.origin.write("release/demo/v1", |_| Some(json!({ "manifest": site.id() })));
    secured.origin.point_channel("demo/soon", 2, release(&[("index.html", "soon")]).id(), &[]);
    let host = format!("{}--demo.verge.test", site.id().prefix());
    until("the certificate and the rows", async || {
        let at = |host: &str| secured.at(host).get(secured.url_at(host, "/")).send();
        let is = |response: reqwest::Result<reqwest::Response>, status| {
            response.is_ok_and(|response| response.status() == status)
        };
        is(at(&host).await, 200) && is(at("soon--demo.verge.test").await, 503)
    })
    .await;
    (secured, host)
}

#[tokio::test]
async fn host_whose_certificate_has_expired_is_served_without_redirect() {
    let secured = Secured::start().await;
    assert_eq!(secured.plain(DEMO, "/").await.0, 308);
    secured.clock.advance(Duration::from_hours(24 * 365 * 3000));
    assert_eq!(secured.plain(DEMO, "/").await.0, 200);
    secured.stop().await;
}

#[tokio::test]
async fn expiry_of_the_presented_certificate_is_a_metric() {
    let secured = Secured::start().await;
    let metrics = secured.private("/metrics").await;
    let series = format!("verge_edge_certificate_expiry_seconds{{name=\"{DEMO}\"}} ");
    let seconds: f64 = metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap();
    // rcgen's default is 4096-01-01.
    assert!(seconds > 2000.0 * 365.0 * 86_400.0, "{seconds}");
    secured.stop().await;
}
