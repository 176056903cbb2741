//! Probes over TLS, of edges with good certificates and with bad ones.

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
use super::tests::{GOOD, asked, probed};
use super::*;

const HOST: &str = "health.example";

/// The host that TLS was asked for.
#[derive(Clone)]
struct Sni(Option<String>);

impl Connected<IncomingStream<'_, TlsListener>> for Sni {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(stream.io().get_ref().1.server_name().map(str::to_owned))
    }
}

/// Probes over TLS that trust the authority, for a host.
fn config(authority: &Authority, host: Option<&str>) -> HealthConfig {
    let host = host.map(|host| host.parse().unwrap());
    HealthConfig { scheme: Scheme::Https, host, ca: Some(authority.pem().into()), ..HealthConfig::default() }
}

/// What a probe makes of an edge that is healthy to who asks TLS for the first host, and HTTP for the second.
async fn met(
    acceptor: TlsAcceptor,
    config: HealthConfig,
    sni: Option<&str>,
    host: &str,
) -> Result<EdgeHealth, Failure> {
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
    probed(address, config, edge).await
}

/// Why an edge of that certificate is not taken for healthy by probes that trust the authority, for `health.example`.
async fn refused(acceptor: TlsAcceptor, authority: &Authority) -> String {
    met(acceptor, config(authority, Some(HOST)), Some(HOST), HOST).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_good_certificate_is_taken_and_the_host_asked_for() {
    let authority = Authority::new("Edges");
    let health = met(authority.certify(HOST), config(&authority, Some(HOST)), Some(HOST), HOST).await.unwrap();
    assert_eq!(health.position(), Some("1-42".parse().unwrap()));
}

/// Clients name no address in TLS (RFC 6066, section 3).
#[tokio::test]
async fn without_a_host_the_certificate_must_be_for_the_address() {
    let authority = Authority::new("Edges");
    let by_address = async |host| met(authority.certify(host), config(&authority, None), None, "127.0.0.1").await;
    by_address("127.0.0.1").await.unwrap();
    for other in ["127.0.0.2", HOST] {
        let failure = by_address(other).await.unwrap_err().to_string();
        assert_eq!(failure, "its certificate is not for 127.0.0.1");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said_in_plain_words() {
    let authority = Authority::new("Edges");
    let other = authority.certify("other.example");
    assert_eq!(refused(other, &authority).await, "its certificate is not for health.example");

    let mut dated = CertificateParams::new([HOST.to_owned()]).unwrap();
    (dated.not_before, dated.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    assert_eq!(refused(authority.sign(&dated), &authority).await, "its certificate has expired");
    (dated.not_before, dated.not_after) = (date_time_ymd(4001, 1, 1), date_time_ymd(4002, 1, 1));
    assert_eq!(refused(authority.sign(&dated), &authority).await, "its certificate is not valid yet");

    let unknown = "its certificate is by an authority not known here: see `ca_file`";
    assert_eq!(refused(Authority::new("Others").certify(HOST), &authority).await, unknown);
    // As happens when an authority is set up once more.
    let again = refused(Authority::new("Edges").certify(HOST), &authority).await;
    assert_eq!(again, "its certificate bears a wrong signature");

    // What nobody has thought of has a word at least.
    let mut authoritative = CertificateParams::new([HOST.to_owned()]).unwrap();
    authoritative.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let failure = refused(authority.sign(&authoritative), &authority).await;
    assert_eq!(failure, "its certificate is not accepted: CaUsedAsEndEntity");
}

#[tokio::test]
async fn an_edge_without_tls_is_told_from_one_that_is_not_there() {
    let authority = Authority::new("Edges");
    let plain = Router::new().route(HEALTH_PATH, get(async || GOOD));
    let failure = asked(plain, config(&authority, Some(HOST))).await.unwrap_err();
    assert_eq!(failure.to_string(), "what listens there does not speak TLS: see `scheme`, and the edge's port");
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failure = probed(nobody, config(&authority, Some(HOST)), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(failure, Failure::Refused);
}
