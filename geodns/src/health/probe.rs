//! Asking an edge how it is, as a reader would reach it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};
use verge_protocol::EdgeName;
use verge_protocol::health::{EdgeHealth, HEALTH_PATH};

use super::config::{HealthConfig, Scheme};
use super::failure::Failure;

/// No edge says more of its health, in bytes.
const LONGEST: usize = 64 * 1024;

/// Makes probes.
pub(super) struct Probes {
    config: HealthConfig,
    authorities: Vec<Certificate>,
}

/// Asks one address of one edge.
pub(super) struct Probe {
    client: Result<Client, Failure>,
    url: String,
    edge: EdgeName,
    timeout: Duration,
}

impl Probes {
    /// Probes as `config` has them; an error if its authorities are no certificates, or TLS cannot be had at all.
    pub(super) fn new(config: HealthConfig) -> Result<Self, reqwest::Error> {
        let authorities =
            config.ca.as_ref().map(|pem| Certificate::from_pem_bundle(pem.bytes())).transpose()?.unwrap_or_default();
        let probes = Self { config, authorities };
        probes.client(None)?;
        Ok(probes)
    }

    /// A probe of `edge` at the address.
    pub(super) fn of(&self, edge: EdgeName, address: SocketAddr) -> Probe {
        let (scheme, port) = (self.config.scheme.as_str(), address.port());
        let url = match &self.config.host {
            Some(host) => format!("{scheme}://{host}:{port}{HEALTH_PATH}"),
            None => format!("{scheme}://{address}{HEALTH_PATH}"),
        };
        let client = self.client(Some(address.ip())).map_err(Failure::of);
        Probe { client, url, edge, timeout: self.config.pace.timeout }
    }

    /// A client of one address: the host that it is asked for, if any, is there and nowhere else.
    fn client(&self, address: Option<IpAddr>) -> Result<Client, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("verge-geodns/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .http1_only()
            // Each probe must prove that a new reader gets a connection.
            .pool_max_idle_per_host(0);
        let client = match self.config.scheme {
            // Without TLS there is no need to read the machine's certificates, for each address again.
            Scheme::Http => client.tls_certs_only([]),
            Scheme::Https => client.tls_certs_merge(self.authorities.iter().cloned()),
        };
        match (&self.config.host, address) {
            (Some(host), Some(address)) => client.resolve(host.as_str(), SocketAddr::new(address, 0)).build(),
            _ => client.build(),
        }
    }
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Probe {
    /// Asks once, over a connection of its own. Cancel-safe.
    pub(super) async fn ask(&self) -> Result<EdgeHealth, Failure> {
        tokio::time::timeout(self.timeout, self.exchange()).await.unwrap_or(Err(Failure::Silent(self.timeout)))
    }

    async fn exchange(&self) -> Result<EdgeHealth, Failure> {
        let client = self.client.as_ref().map_err(Failure::clone)?;
        let response = client.get(&self.url).send().await.map_err(Failure::of)?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status()));
        }
        let body = read(response).await?;
        let health: EdgeHealth =
            serde_json::from_slice(&body).map_err(|error| Failure::NotHealth(error.to_string()))?;
        if health.edge == self.edge {
            Ok(health)
        } else {
            Err(Failure::Misplaced { is: health.edge, expected: self.edge.clone() })
        }
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Failure::of)? {
        if body.len() + chunk.len() > LONGEST {
            return Err(Failure::NotHealth(format!("it is longer than {LONGEST} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
#[path = "../../tests/it/tls.rs"]
mod authority;
#[cfg(test)]
mod secure;

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

    /// What a probe of `fra-1` makes of the edge that `router` is.
    pub(super) async fn asked(router: Router, config: HealthConfig) -> Result<EdgeHealth, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        probed(address, config, axum::serve(listener, router)).await
    }

    /// The same of `edge`, which listens there.
    pub(super) async fn probed(
        address: SocketAddr,
        config: HealthConfig,
        edge: impl IntoFuture<IntoFuture: Send + 'static, Output: Send + 'static>,
    ) -> Result<EdgeHealth, Failure> {
        let tasks = Tasks::default();
        drop(tasks.spawn("edge", edge.into_future()));
        let probe = Probes::new(config).unwrap().of("fra-1".parse().unwrap(), address);
        let answer = probe.ask().await;
        let _ = tasks.shutdown(Duration::ZERO).await;
        answer
    }

    fn answering(status: u16, body: impl Into<String>) -> Router {
        let body = body.into();
        let status = StatusCode::from_u16(status).unwrap();
        Router::new().route(HEALTH_PATH, get(async move || (status, body)))
    }

    async fn failure(router: Router) -> String {
        let mut config = HealthConfig::default();
        config.pace.timeout = Duration::from_millis(500);
        asked(router, config).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_healthy_edge_says_who_and_where_it_is() {
        let health = asked(answering(200, GOOD), HealthConfig::default()).await.unwrap();
        assert_eq!(health.position(), Some("1-42".parse().unwrap()));
        assert!(!health.draining);
    }

    #[tokio::test]
    async fn the_host_is_asked_for_at_the_address() {
        let host = async |headers: axum::http::HeaderMap| {
            let host = headers["host"].to_str().unwrap();
            assert!(host.starts_with("health.example:"), "{host}");
            GOOD
        };
        let config = HealthConfig { host: Some("health.example".parse().unwrap()), ..HealthConfig::default() };
        asked(Router::new().route(HEALTH_PATH, get(host)), config).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_not_healthy_is_said_in_plain_words() {
        assert_eq!(failure(answering(503, GOOD)).await, "answers 503: it cannot serve");
        assert_eq!(failure(answering(404, "")).await, "answers 404");
        assert_eq!(failure(answering(200, GOOD.replace("fra", "ams"))).await, "is edge ams-1, not fra-1");
        let garbage = failure(answering(200, "<html>")).await;
        assert!(garbage.starts_with("the answer is not an edge's: expected value"), "{garbage}");
        let long = failure(answering(200, format!("{}{GOOD}", " ".repeat(LONGEST)))).await;
        assert_eq!(long, "the answer is not an edge's: it is longer than 65536 bytes");
        let redirect = Router::new().route(HEALTH_PATH, get(async || Redirect::temporary("/elsewhere")));
        assert_eq!(failure(redirect).await, "answers 307");
    }

    #[tokio::test]
    async fn silence_and_refusal_are_told_apart() {
        let silent = Router::new().route(HEALTH_PATH, get(std::future::pending::<String>));
        assert_eq!(failure(silent).await, "no answer within 0.5 s");
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let probe = Probes::new(HealthConfig::default()).unwrap().of("fra-1".parse().unwrap(), address);
        assert_eq!(probe.ask().await.unwrap_err().to_string(), "connection refused");
    }

    #[tokio::test]
    async fn each_probe_connects_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::default();
        let peer = async |axum::extract::ConnectInfo(peer): axum::extract::ConnectInfo<SocketAddr>| {
            GOOD.replace("42", &peer.port().to_string())
        };
        let edge = Router::new().route(HEALTH_PATH, get(peer)).into_make_service_with_connect_info::<SocketAddr>();
        drop(tasks.spawn("edge", async move { axum::serve(listener, edge).await }));
        let probe = Probes::new(HealthConfig::default()).unwrap().of("fra-1".parse().unwrap(), address);
        assert_ne!(probe.ask().await.unwrap().position(), probe.ask().await.unwrap().position());
    }

    #[test]
    fn what_is_no_certificate_is_refused_at_once() {
        let ca = Some(b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n".to_vec().into());
        let config = HealthConfig { scheme: Scheme::Https, ca, ..HealthConfig::default() };
        assert!(Probes::new(config).is_err());
        Probes::new(HealthConfig { scheme: Scheme::Https, ..HealthConfig::default() }).unwrap();
    }
}
