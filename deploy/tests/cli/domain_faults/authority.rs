//! A certificate authority that makes no accounts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use verge_daemon::http_server::{self, HttpLimits};
use verge_daemon::tls::{Certificate, Certificates, Tickets, TlsAcceptor};
use verge_daemon::{Clock, Tasks};

/// Why it makes no accounts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    RateLimit,
    OutOfOrder,
}

/// A running authority.
pub(super) struct Authority {
    pub(super) directory_url: String,
    /// Its own certificate.
    pub(super) ca_file: PathBuf,
    tasks: Tasks,
}

impl Authority {
    /// Starts it. It refuses because of a rate limit, or because it is out of order.
    pub(super) async fn start(directory: &Path, refusal: Refusal) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let ca_file = directory.join("ca.pem");
        std::fs::write(&ca_file, certificate.pem()).unwrap();
        let presented = Certificate::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let certificates = Arc::new(Certificates::default());
        certificates.replace([Arc::new(presented)]);
        let acceptor = TlsAcceptor::new(certificates, Arc::new(Tickets::new(Clock::system())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let directory_url = format!("https://localhost:{}/directory", listener.local_addr().unwrap().port());
        let tasks = Tasks::default();
        let url = |path: &str| directory_url.replace("directory", path);
        let directory = serde_json::json!({
            "newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("order"), "revokeCert": url("revoke"),
            "keyChange": url("key"), "meta": { "caaIdentities": ["letsencrypt.org"] },
        });
        let router = Router::new()
            .route("/directory", get(async move || Json(directory)))
            .route("/nonce", get(async || [("replay-nonce", "AAAA")]))
            .fallback(async move || refuse(refusal));
        let service_for = move |_| TowerToHyperService::new(router.clone());
        http_server::serve_connections("acme", listener, Some(acceptor), &HttpLimits::default(), &tasks, service_for);
        Self { directory_url, ca_file, tasks }
    }

    pub(super) async fn stop(self) {
        self.tasks.shutdown(std::time::Duration::from_secs(5)).await.unwrap();
    }
}

fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::RateLimit => too_many().into_response(),
        Refusal::OutOfOrder => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The answer to a request of an account that has made too many (RFC 8555 §6.6).
fn too_many() -> impl IntoResponse {
    let problem = serde_json::json!({
        "type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many new orders recently", "status": 429,
    });
    let headers = [("retry-after", "3600"), ("replay-nonce", "AAAA"), ("content-type", "application/problem+json")];
    (StatusCode::TOO_MANY_REQUESTS, headers, problem.to_string())
}
