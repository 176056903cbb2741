//! A proxy in front of a certificate authority, which answers some requests in its place.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tempfile::TempDir;
use verge_daemon::http_server::{HttpLimits, serve_connections};
use verge_daemon::tls::{Certificate, Certificates, Tickets, TlsAcceptor};
use verge_daemon::{Clock, Tasks};
use verge_origin::AuthoritySettings;
use verge_test_kit::Pebble;

/// A request to the authority.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) path: String,
    /// What was signed, if it was JSON.
    pub(super) payload: Value,
}

/// An answer to it.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.into() }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The same with another body.
    pub(super) fn with_body(&self, body: impl Into<Bytes>) -> Self {
        let mut answer = Self { body: body.into(), ..self.clone() };
        answer.headers.remove(header::CONTENT_LENGTH);
        answer
    }
}

/// Called before a request is forwarded, with `None`, and with the authority's answer: what it returns is sent in its place.
type Rule = Arc<dyn Fn(&Seen, Option<&Answer>) -> Option<Answer> + Send + Sync>;

/// A running proxy.
pub(super) struct AuthorityProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    directory: TempDir,
    tasks: Tasks,
}

struct Shared {
    upstream: String,
    client: reqwest::Client,
    rule: Mutex<Rule>,
    seen: Mutex<Vec<Seen>>,
}

impl AuthorityProxy {
    pub(super) async fn start(pebble: &Pebble) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let chain =
            rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        std::fs::write(directory.path().join("cert.pem"), &chain).unwrap();
        let certificates = Arc::new(Certificates::default());
        let certificate = Certificate::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        certificates.replace([Arc::new(certificate)]);
        let acceptor = TlsAcceptor::new(certificates, Arc::new(Tickets::new(Clock::system())));
        let root = reqwest::Certificate::from_pem(&std::fs::read(&pebble.ca_file).unwrap()).unwrap();
        // The authority makes URLs of the host that it is asked at.
        let client = reqwest::Client::builder().tls_certs_only([root]).http1_only().no_proxy().build().unwrap();
        let shared = Arc::new(Shared {
            upstream: pebble.directory_url.trim_end_matches("/dir").to_owned(),
            client,
            rule: Mutex::new(Arc::new(|_, _| None)),
            seen: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, tasks) = (listener.local_addr().unwrap(), Tasks::default());
        let router = Router::new().fallback(forward).with_state(Arc::clone(&shared));
        let service = TowerToHyperService::new(router);
        let limits = HttpLimits::default();
        serve_connections("authority", listener, Some(acceptor), &limits, &tasks, move |_| service.clone());
        Self { address, shared, directory, tasks }
    }

    /// The authority as it is seen through the proxy.
    pub(super) fn authority(&self) -> AuthoritySettings {
        let ca_file: PathBuf = self.directory.path().join("cert.pem");
        AuthoritySettings { ca_file: Some(ca_file), ..AuthoritySettings::new(self.url("/dir")) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// From now on, `rule` answers.
    pub(super) fn set(&self, rule: impl Fn(&Seen, Option<&Answer>) -> Option<Answer> + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Arc::new(rule);
    }

    /// All requests so far whose path begins with `path`.
    pub(super) fn seen(&self, path: &str) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().iter().filter(|seen| seen.path.starts_with(path)).cloned().collect()
    }

    pub(super) async fn stop(self) {
        let _ = self.tasks.shutdown(Duration::ZERO).await;
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let seen = Seen { path: parts.uri.path().to_owned(), payload: payload(&body) };
    shared.seen.lock().unwrap().push(seen.clone());
    let rule = Arc::clone(&shared.rule.lock().unwrap());
    let answer = if let Some(answer) = rule(&seen, None) {
        answer
    } else {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok().map(str::to_owned));
        let host = host.or_else(|| parts.uri.authority().map(ToString::to_string)).unwrap();
        let mut request = shared.client.request(parts.method, format!("{}{}", shared.upstream, parts.uri.path()));
        if let Some(content_type) = parts.headers.get(header::CONTENT_TYPE) {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let response = request.header(header::HOST, host).body(body).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer { status, headers, body: response.bytes().await.unwrap() };
        rule(&seen, Some(&answer)).unwrap_or(answer)
    };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    // The server sets them.
    for name in [header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING] {
        response.headers_mut().remove(name);
    }
    response
}

/// What a JWS in JSON signs (RFC 7515 §7.2).
fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap_or_default();
    let payload = signed["payload"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).unwrap_or_default();
    serde_json::from_slice(&payload).unwrap_or_default()
}
