//! Handshakes over loopback, with clients of rustls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use verge_protocol::Timestamp;

use super::test_support::{certificate, client};
use super::*;
use crate::clock::Clock;
use crate::tasks::Tasks;

const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
const HOUR: Duration = Duration::from_hours(1);

/// A server that says `hello` on every connection.
struct Server {
    address: SocketAddr,
    certificates: Arc<Certificates>,
    _tasks: Tasks,
}

impl Server {
    async fn start(certificates: &[&Arc<Certificate>], secret: &[u8], clock: &Clock) -> Self {
        let (own, tickets) = (Arc::new(Certificates::default()), Arc::new(Tickets::new(clock.clone())));
        own.replace(certificates.iter().copied().cloned());
        tickets.set_secret(secret);
        let acceptor = TlsAcceptor::new(Arc::clone(&own), tickets);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::default();
        let connections = tasks.clone();
        drop(tasks.spawn("server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                drop(connections.spawn("connection", async move {
                    if let Ok((mut stream, _)) = acceptor.accept(stream).await {
                        let _ = stream.write_all(b"hello").await;
                        let _ = stream.shutdown().await;
                    }
                }));
            }
        }));
        Self { address, certificates: own, _tasks: tasks }
    }
}

/// What a client sees of a connection.
#[derive(Debug)]
struct Seen {
    kind: HandshakeKind,
    version: ProtocolVersion,
    alpn: Option<String>,
    group: Option<NamedGroup>,
    certificate: Vec<u8>,
}

/// Connects, reads all, and returns what was seen.
async fn connect(config: &Arc<ClientConfig>, server: &Server, host: &str) -> std::io::Result<Seen> {
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert_eq!(answer, "hello");
    let (_, connection) = stream.get_ref();
    Ok(Seen {
        kind: connection.handshake_kind().unwrap(),
        version: connection.protocol_version().unwrap(),
        alpn: connection.alpn_protocol().map(|protocol| String::from_utf8(protocol.to_vec()).unwrap()),
        group: connection.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name),
        certificate: connection.peer_certificates().unwrap()[0].to_vec(),
    })
}

/// The alert that a handshake ended with.
async fn alert(config: ClientConfig, server: &Server, host: &str) -> AlertDescription {
    let error = connect(&Arc::new(config), server, host).await.unwrap_err();
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        other => panic!("no alert: {other:?}"),
    }
}

fn clock() -> Clock {
    Clock::manual(Timestamp(1_800_000_000_000))
}

fn der(certificate: &Certificate) -> Vec<u8> {
    certificate.certified_key().unwrap().cert[0].to_vec()
}

#[tokio::test]
async fn version_and_protocol_are_negotiated() {
    let own = certificate(&["a.example"]);
    let server = Server::start(&[&own], b"secret", &clock()).await;
    for (versions, alpn, version, protocol) in [
        (&[&TLS12][..], &["h2", "http/1.1"][..], ProtocolVersion::TLSv1_2, Some("h2")),
        (&[&TLS13], &["http/1.1", "h2"], ProtocolVersion::TLSv1_3, Some("h2")),
        (BOTH, &["http/1.1"], ProtocolVersion::TLSv1_3, Some("http/1.1")),
        (BOTH, &[], ProtocolVersion::TLSv1_3, None),
    ] {
        let seen = connect(&Arc::new(client(&[&own], versions, alpn)), &server, "a.example").await.unwrap();
        assert_eq!((seen.version, seen.alpn.as_deref()), (version, protocol));
        if version == ProtocolVersion::TLSv1_3 {
            assert_eq!(seen.group, Some(NamedGroup::X25519MLKEM768));
        }
    }
}

#[tokio::test]
async fn certificate_is_chosen_by_server_name() {
    let (exact, wildcard) = (certificate(&["www.example.com"]), certificate(&["*.sites.example"]));
    let server = Server::start(&[&exact, &wildcard], b"secret", &clock()).await;
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let config = Arc::new(client(&[&exact, &wildcard], versions, &[]));
        for (host, expected) in [("www.example.com", &exact), ("demo.sites.example", &wildcard)] {
            assert_eq!(connect(&config, &server, host).await.unwrap().certificate, der(expected), "{host}");
        }
    }
}

#[tokio::test]
async fn unknown_or_missing_server_name_is_answered_with_its_alert() {
    let own = certificate(&["a.example"]);
    let server = Server::start(&[&own], b"secret", &clock()).await;
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let config = || client(&[&own], versions, &[]);
        assert_eq!(alert(config(), &server, "b.example").await, AlertDescription::UnrecognisedName);
        let mut without_name = config();
        without_name.enable_sni = false;
        assert_eq!(alert(without_name, &server, "a.example").await, AlertDescription::MissingExtension);
    }
}

#[tokio::test]
async fn session_resumes_at_another_server_with_the_same_secret() {
    let (own, renewed) = (certificate(&["a.example"]), certificate(&["a.example"]));
    let clock = clock();
    let first = Server::start(&[&own], b"secret", &clock).await;
    let second = Server::start(&[&renewed], b"secret", &clock).await;
    let stranger = Server::start(&[&own], b"other", &clock).await;
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let config = Arc::new(client(&[&own, &renewed], versions, &[]));
        let kind = async |server: &Server| connect(&config, server, "a.example").await.unwrap().kind;
        assert_ne!(kind(&first).await, HandshakeKind::Resumed);
        assert_eq!(kind(&second).await, HandshakeKind::Resumed, "{versions:?}");
        assert_eq!(kind(&first).await, HandshakeKind::Resumed, "{versions:?}");
        assert_ne!(kind(&stranger).await, HandshakeKind::Resumed);
    }
}

#[tokio::test]
async fn session_does_not_resume_after_two_rotations() {
    let own = certificate(&["a.example"]);
    for versions in [&[&TLS12][..], &[&TLS13]] {
        for (hours, resumes) in [(1, true), (2, false)] {
            let clock = clock();
            let server = Server::start(&[&own], b"secret", &clock).await;
            let config = Arc::new(client(&[&own], versions, &[]));
            connect(&config, &server, "a.example").await.unwrap();
            clock.advance(HOUR * hours);
            let kind = connect(&config, &server, "a.example").await.unwrap().kind;
            assert_eq!(kind == HandshakeKind::Resumed, resumes, "{versions:?} {hours}");
        }
    }
}

#[tokio::test]
async fn certificates_are_replaced_under_load_without_a_failed_handshake() {
    let (old, new) = (certificate(&["a.example"]), certificate(&["a.example"]));
    let server = Server::start(&[&old], b"secret", &clock()).await;
    let (mut seen_old, mut seen_new) = (0, 0);
    for round in 0..20 {
        let current = if round % 2 == 0 { &new } else { &old };
        // Each a client without tickets, so that each sees a certificate.
        let clients: Vec<_> = (0..4).map(|_| Arc::new(client(&[&old, &new], BOTH, &[]))).collect();
        let connections =
            futures_util::future::join_all(clients.iter().map(|config| connect(config, &server, "a.example")));
        let replace = async { server.certificates.replace([Arc::clone(current)]) };
        let (connections, ()) = tokio::join!(connections, replace);
        for seen in connections {
            let seen = seen.unwrap().certificate;
            seen_old += usize::from(seen == der(&old));
            seen_new += usize::from(seen == der(&new));
        }
    }
    assert!(seen_old > 0 && seen_new > 0 && seen_old + seen_new == 80, "{seen_old} {seen_new}");
}

/// Early data may be replayed by anybody (RFC 8470).
#[tokio::test]
async fn resumed_session_allows_no_early_data() {
    let own = certificate(&["a.example"]);
    let server = Server::start(&[&own], b"secret", &clock()).await;
    let mut config = client(&[&own], &[&TLS13], &[]);
    config.enable_early_data = true;
    let config = Arc::new(config);
    connect(&config, &server, "a.example").await.unwrap();
    assert_eq!(connect(&config, &server, "a.example").await.unwrap().kind, HandshakeKind::Resumed);
    let name = ServerName::try_from("a.example").unwrap();
    let mut connection = rustls::ClientConnection::new(config, name).unwrap();
    assert!(connection.early_data().is_none());
}
