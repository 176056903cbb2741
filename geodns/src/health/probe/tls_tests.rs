//! Tests of probes over TLS, with valid and invalid certificates.

use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::serve::IncomingStream;
use rcgen::{BasicConstraints, CertificateParams, IsCa, date_time_ymd};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::authority::{Authority, TlsListener};
use super::tests::{GOOD, probe_router, probe_task};
use super::*;

const HOST: &str = "health.example";

/// The server name that the client sent.
#[derive(Clone)]
struct Sni(Option<String>);

impl Connected<IncomingStream<'_, TlsListener>> for Sni {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(stream.io().get_ref().1.server_name().map(str::to_owned))
    }
}

/// Settings of probes over TLS that trust the authority.
fn config(authority: &Authority, host: Option<&str>) -> HealthConfig {
    let host = host.map(|host| host.parse().unwrap());
    HealthConfig { scheme: ProbeScheme::Https, host, ca: Some(authority.pem().into()), ..HealthConfig::default() }
}

/// The result of a probe of an edge that expects the server name `sni` in TLS and `host` in HTTP.
async fn probe_tls(
    acceptor: TlsAcceptor,
    config: HealthConfig,
    sni: Option<&str>,
    host: &str,
) -> Result<EdgeHealth, ProbeFailure> {
    let expected = (sni.map(str::to_owned), host.to_owned());
    let health = async move |ConnectInfo(Sni(sni)): ConnectInfo<Sni>, headers: HeaderMap| {
        let (host, _port) = headers["host"].to_str().unwrap().rsplit_once(':').unwrap();
        assert_eq!((sni, host.to_owned()), expected);
        GOOD
    };
    let router = Router::new().route(HEALTH_PATH, get(health)).into_make_service_with_connect_info::<Sni>();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let edge = axum::serve(TlsListener { tcp, acceptor }, router);
    probe_task(address, config, edge).await
}

/// Why a probe that trusts the authority, for `health.example`, rejects the certificate.
async fn rejection(acceptor: TlsAcceptor, authority: &Authority) -> ProbeFailure {
    probe_tls(acceptor, config(authority, Some(HOST)), Some(HOST), HOST).await.unwrap_err()
}

#[tokio::test]
async fn valid_certificate_of_the_configured_host_is_accepted() {
    let authority = Authority::new("Edges");
    let health = probe_tls(authority.certify(HOST), config(&authority, Some(HOST)), Some(HOST), HOST).await.unwrap();
    assert_eq!(health.position(), Some("1-42".parse().unwrap()));
}

/// Clients send no address as the server name (RFC 6066, section 3).
#[tokio::test]
async fn certificate_must_be_for_the_address_when_no_host_is_configured() {
    let authority = Authority::new("Edges");
    let by_address = async |host| probe_tls(authority.certify(host), config(&authority, None), None, "127.0.0.1").await;
    by_address("127.0.0.1").await.unwrap();
    for other in ["127.0.0.2", HOST] {
        let expected = "127.0.0.1".to_owned();
        assert_eq!(by_address(other).await, Err(ProbeFailure::CertificateNameMismatch { expected }));
    }
}

#[tokio::test]
async fn invalid_certificate_is_a_typed_failure() {
    let authority = Authority::new("Edges");
    let other = authority.certify("other.example");
    let expected = HOST.to_owned();
    assert_eq!(rejection(other, &authority).await, ProbeFailure::CertificateNameMismatch { expected });

    let mut dated = CertificateParams::new([HOST.to_owned()]).unwrap();
    (dated.not_before, dated.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    assert_eq!(rejection(authority.sign(&dated), &authority).await, ProbeFailure::CertificateExpired);
    (dated.not_before, dated.not_after) = (date_time_ymd(4001, 1, 1), date_time_ymd(4002, 1, 1));
    assert_eq!(rejection(authority.sign(&dated), &authority).await, ProbeFailure::CertificateNotYetValid);

    let unknown = rejection(Authority::new("Others").certify(HOST), &authority).await;
    assert_eq!(unknown, ProbeFailure::CertificateUnknownIssuer);
    // As happens when an authority is created again under the same name.
    let again = rejection(Authority::new("Edges").certify(HOST), &authority).await;
    assert_eq!(again, ProbeFailure::CertificateBadSignature);

    let mut authoritative = CertificateParams::new([HOST.to_owned()]).unwrap();
    authoritative.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let rejected = rejection(authority.sign(&authoritative), &authority).await;
    assert_eq!(rejected, ProbeFailure::CertificateRejected { cause: "CaUsedAsEndEntity".to_owned() });
}

#[tokio::test]
async fn edge_without_tls_and_refused_connection_are_distinct_failures() {
    let authority = Authority::new("Edges");
    let plain = Router::new().route(HEALTH_PATH, get(async || GOOD));
    let failure = probe_router(plain, config(&authority, Some(HOST))).await;
    assert_eq!(failure, Err(ProbeFailure::NotTls));
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failure = probe_task(unused, config(&authority, Some(HOST)), std::future::pending::<()>()).await;
    assert_eq!(failure, Err(ProbeFailure::ConnectionRefused));
}
