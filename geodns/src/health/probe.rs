//! A health probe: one request to an edge, as a reader would send it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};
use verge_protocol::explanation::ProbeFailure;
use verge_protocol::fleet::ProbeScheme;
use verge_protocol::health::{EdgeHealth, HEALTH_PATH};
use verge_protocol::{DomainName, EdgeName};

use super::config::HealthConfig;
use super::failure::probe_failure;

/// The longest answer accepted, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Builds probes.
pub(super) struct ProbeFactory {
    config: HealthConfig,
    authorities: Vec<Certificate>,
}

/// Probes one address of one edge.
pub(super) struct Probe {
    client: Result<Client, ProbeFailure>,
    url: String,
    edge: EdgeName,
    timeout: Duration,
}

impl ProbeFactory {
    /// Fails if the `ca` is not PEM certificates, or if TLS cannot be set up.
    pub(super) fn new(config: HealthConfig) -> Result<Self, reqwest::Error> {
        let authorities =
            config.ca.as_ref().map(|pem| Certificate::from_pem_bundle(pem.bytes())).transpose()?.unwrap_or_default();
        let factory = Self { config, authorities };
        factory.client(ProbeScheme::Https, None)?;
        Ok(factory)
    }

    /// The host that probes by this scheme request, if it is not the address: the configured one, or over TLS the `certified` one, for which
    /// edges have a certificate.
    pub(super) fn host<'a>(
        &'a self,
        scheme: Option<ProbeScheme>,
        certified: Option<&'a DomainName>,
    ) -> Option<&'a DomainName> {
        let is_https = scheme.unwrap_or(self.config.scheme) == ProbeScheme::Https;
        self.config.host.as_ref().or(certified.filter(|_| is_https))
    }

    /// A probe of `edge` at the address, by its own scheme if it has one, for the [host](Self::host).
    pub(super) fn of(
        &self,
        edge: EdgeName,
        address: SocketAddr,
        scheme: Option<ProbeScheme>,
        certified: Option<&DomainName>,
    ) -> Probe {
        let host = self.host(scheme, certified);
        let (scheme, port) = (scheme.unwrap_or(self.config.scheme), address.port());
        let url = match host {
            Some(host) => format!("{}://{host}:{port}{HEALTH_PATH}", scheme.as_str()),
            None => format!("{}://{address}{HEALTH_PATH}", scheme.as_str()),
        };
        let client = self.client(scheme, host.map(|host| (host, address.ip()))).map_err(probe_failure);
        Probe { client, url, edge, timeout: self.config.probe.timeout }
    }

    /// An HTTP client, for which `host` is at an address.
    fn client(&self, scheme: ProbeScheme, host: Option<(&DomainName, IpAddr)>) -> Result<Client, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("verge-geodns/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .http1_only()
            // Each probe must show that a new reader can connect.
            .pool_max_idle_per_host(0);
        let client = match scheme {
            // Without TLS, do not read the system certificates for each address.
            ProbeScheme::Http => client.tls_certs_only([]),
            ProbeScheme::Https => client.tls_certs_merge(self.authorities.iter().cloned()),
        };
        match host {
            Some((host, address)) => client.resolve(host.as_str(), SocketAddr::new(address, 0)).build(),
            None => client.build(),
        }
    }
}

impl Probe {
    /// Sends one request over a new connection. Cancel-safe.
    pub(super) async fn send(&self) -> Result<EdgeHealth, ProbeFailure> {
        let after_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        tokio::time::timeout(self.timeout, self.exchange()).await.unwrap_or(Err(ProbeFailure::Timeout { after_ms }))
    }

    async fn exchange(&self) -> Result<EdgeHealth, ProbeFailure> {
        let client = self.client.as_ref().map_err(ProbeFailure::clone)?;
        let response = client.get(&self.url).send().await.map_err(probe_failure)?;
        if response.status() != StatusCode::OK {
            return Err(ProbeFailure::Status { status: response.status().as_u16() });
        }
        let body = read(response).await?;
        let health: EdgeHealth =
            serde_json::from_slice(&body).map_err(|error| ProbeFailure::InvalidAnswer { cause: error.to_string() })?;
        if health.edge == self.edge { Ok(health) } else { Err(ProbeFailure::WrongEdge { edge: health.edge }) }
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, ProbeFailure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(probe_failure)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ProbeFailure::InvalidAnswer { cause: format!("longer than {MAX_ANSWER} bytes") });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
#[path = "../../tests/it/tls.rs"]
mod authority;
#[cfg(test)]
mod tls_tests;

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::Redirect;
    use axum::routing::get;
    use tokio::net::TcpListener;
    use verge_daemon::Tasks;

    use super::*;

    pub(super) const GOOD: &str =
        r#"{"edge":"fra-1","generation":1,"applied":42,"pending":0,"origin_last_seen_seconds":1,"new":true}"#;

    /// The result of a probe of `fra-1` at an edge served by `router`.
    pub(super) async fn probe_router(router: Router, config: HealthConfig) -> Result<EdgeHealth, ProbeFailure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        probe_task(address, config, axum::serve(listener, router)).await
    }

    /// The result of a probe of `fra-1` at the task `edge`, which listens at the address.
    pub(super) async fn probe_task(
        address: SocketAddr,
        config: HealthConfig,
        edge: impl IntoFuture<IntoFuture: Send + 'static, Output: Send + 'static>,
    ) -> Result<EdgeHealth, ProbeFailure> {
        let tasks = Tasks::default();
        drop(tasks.spawn("edge", edge.into_future()));
        let probe = ProbeFactory::new(config).unwrap().of("fra-1".parse().unwrap(), address, None, None);
        let answer = probe.send().await;
        let _ = tasks.shutdown(Duration::ZERO).await;
        answer
    }

    fn answering(status: u16, body: impl Into<String>) -> Router {
        let body = body.into();
        let status = StatusCode::from_u16(status).unwrap();
        Router::new().route(HEALTH_PATH, get(async move || (status, body)))
    }

    async fn failure(router: Router) -> ProbeFailure {
        let mut config = HealthConfig::default();
        config.probe.timeout = Duration::from_millis(500);
        probe_router(router, config).await.unwrap_err()
    }

    #[tokio::test]
    async fn healthy_edge_reports_its_position() {
        let health = probe_router(answering(200, GOOD), HealthConfig::default()).await.unwrap();
        assert_eq!(health.position(), Some("1-42".parse().unwrap()));
        assert!(!health.draining);
    }

    #[tokio::test]
    async fn configured_host_is_requested_at_the_address() {
        let host = async |headers: axum::http::HeaderMap| {
            let host = headers["host"].to_str().unwrap();
            assert!(host.starts_with("health.example:"), "{host}");
            GOOD
        };
        let config = HealthConfig { host: Some("health.example".parse().unwrap()), ..HealthConfig::default() };
        probe_router(Router::new().route(HEALTH_PATH, get(host)), config).await.unwrap();
    }

    #[tokio::test]
    async fn certified_host_is_requested_over_tls_only_and_a_configured_one_comes_first() {
        let (edge, address): (EdgeName, SocketAddr) = ("fra-1".parse().unwrap(), "192.0.2.1:8443".parse().unwrap());
        let certified: DomainName = "sites.example".parse().unwrap();
        let configured = HealthConfig { host: Some("health.example".parse().unwrap()), ..HealthConfig::default() };
        let url = |config: &HealthConfig, scheme, certified| {
            ProbeFactory::new(config.clone()).unwrap().of(edge.clone(), address, scheme, certified).url
        };
        let none = HealthConfig::default();
        for (config, scheme, certified, expected) in [
            (&none, None, Some(&certified), "http://192.0.2.1:8443"),
            (&none, Some(ProbeScheme::Https), Some(&certified), "https://sites.example:8443"),
            (&none, Some(ProbeScheme::Https), None, "https://192.0.2.1:8443"),
            (&configured, Some(ProbeScheme::Https), Some(&certified), "https://health.example:8443"),
        ] {
            assert_eq!(url(config, scheme, certified), format!("{expected}{HEALTH_PATH}"));
        }
    }

    #[tokio::test]
    async fn unhealthy_answer_is_a_typed_failure() {
        assert_eq!(failure(answering(503, GOOD)).await, ProbeFailure::Status { status: 503 });
        assert_eq!(failure(answering(404, "")).await, ProbeFailure::Status { status: 404 });
        let other = failure(answering(200, GOOD.replace("fra", "ams"))).await;
        assert_eq!(other, ProbeFailure::WrongEdge { edge: "ams-1".parse().unwrap() });
        let garbage = failure(answering(200, "<html>")).await;
        assert!(
            matches!(&garbage, ProbeFailure::InvalidAnswer { cause } if cause.starts_with("expected value")),
            "{garbage:?}"
        );
        let long = failure(answering(200, format!("{}{GOOD}", " ".repeat(MAX_ANSWER)))).await;
        assert_eq!(long, ProbeFailure::InvalidAnswer { cause: "longer than 65536 bytes".to_owned() });
        let redirect = Router::new().route(HEALTH_PATH, get(async || Redirect::temporary("/elsewhere")));
        assert_eq!(failure(redirect).await, ProbeFailure::Status { status: 307 });
    }

    #[tokio::test]
    async fn timeout_and_refused_connection_are_distinct_failures() {
        let silent = Router::new().route(HEALTH_PATH, get(std::future::pending::<String>));
        assert_eq!(failure(silent).await, ProbeFailure::Timeout { after_ms: 500 });
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let probe =
            ProbeFactory::new(HealthConfig::default()).unwrap().of("fra-1".parse().unwrap(), address, None, None);
        assert_eq!(probe.send().await, Err(ProbeFailure::ConnectionRefused));
    }

    #[tokio::test]
    async fn each_probe_opens_a_new_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::default();
        let peer = async |axum::extract::ConnectInfo(peer): axum::extract::ConnectInfo<SocketAddr>| {
            GOOD.replace("42", &peer.port().to_string())
        };
        let edge = Router::new().route(HEALTH_PATH, get(peer)).into_make_service_with_connect_info::<SocketAddr>();
        drop(tasks.spawn("edge", async move { axum::serve(listener, edge).await }));
        let probe =
            ProbeFactory::new(HealthConfig::default()).unwrap().of("fra-1".parse().unwrap(), address, None, None);
        assert_ne!(probe.send().await.unwrap().position(), probe.send().await.unwrap().position());
    }

    #[test]
    fn invalid_ca_is_rejected_when_probes_are_built() {
        let ca = Some(b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n".to_vec().into());
        let config = HealthConfig { scheme: ProbeScheme::Https, ca, ..HealthConfig::default() };
        assert!(ProbeFactory::new(config).is_err());
        ProbeFactory::new(HealthConfig { scheme: ProbeScheme::Https, ..HealthConfig::default() }).unwrap();
    }
}
