//! TLS handshakes of a server.

use std::io;
use std::sync::Arc;

use rustls::server::{Acceptor, NoServerSessionStorage};
use rustls::{ProtocolVersion, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::Certificate;
use super::certificates::Certificates;
use super::provider::provider;
use super::tickets::Tickets;

/// The alert for a server name without a certificate (RFC 6066 §3).
const UNRECOGNIZED_NAME: u8 = 112;
/// The alert for a client that names no server (RFC 8446 §9.2).
const MISSING_EXTENSION: u8 = 109;

/// Accepts TLS 1.2 and 1.3 connections for HTTP/2 and HTTP/1.1.
#[derive(Clone, Debug)]
pub struct TlsAcceptor {
    certificates: Arc<Certificates>,
    config: Arc<ServerConfig>,
}

/// What a connection was established for.
#[derive(Debug)]
pub struct TlsSession {
    /// The server name that the client sent, in lowercase. `None`: it sent none, and there is a default certificate.
    pub server_name: Option<Box<str>>,
    /// The certificate for that name, or the default.
    pub certificate: Arc<Certificate>,
    /// The version of TLS, such as `TLSv1.3`.
    pub version: &'static str,
}

impl TlsAcceptor {
    /// With these certificates and tickets, which may be replaced at any time.
    pub fn new(certificates: Arc<Certificates>, tickets: Arc<Tickets>) -> Self {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3");
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::<Certificates>::clone(&certificates));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Every cipher suite of the provider is strong; its order decides, so that no client can choose the weakest of them, which testssl reports
        // as a finding (`tests/tls/tls.py`).
        config.ignore_client_order = true;
        config.ticketer = tickets;
        // Sessions are resumed by tickets: another server of the fleet knows no session of this one.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // One is enough: browsers use a ticket for several connections, and each costs bytes of every handshake.
        config.send_tls13_tickets = 1;
        Self { certificates, config: Arc::new(config) }
    }

    /// Completes a handshake. Without a default certificate, a server name without one is answered with the alert `unrecognized_name`, none
    /// at all with `missing_extension`. Takes as long as the client does: the caller limits the time.
    pub async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, TlsSession)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let server_name: Option<Box<str>> = start.client_hello().server_name().map(Into::into);
        let Some(certificate) = self.certificates.select_or_provide(server_name.as_deref()).await else {
            let (alert, reason) = match server_name {
                Some(_) => (UNRECOGNIZED_NAME, "no certificate for the server name"),
                None => (MISSING_EXTENSION, "the client sent no server name"),
            };
            return Err(refuse(&mut start.io, alert, reason).await);
        };
        let stream = start.into_stream(Arc::clone(&self.config)).await?;
        let version = match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        Ok((stream, TlsSession { server_name, certificate, version }))
    }
}

/// Sends a fatal alert (RFC 8446 §6) and returns the error.
async fn refuse(stream: &mut (impl AsyncWrite + Unpin), alert: u8, reason: &'static str) -> io::Error {
    // A record of type `alert`, of the version that both TLS 1.2 and 1.3 write, with two bytes: `fatal`, and the alert.
    let record = [21, 3, 3, 0, 2, 2, alert];
    let sent = async {
        stream.write_all(&record).await?;
        stream.shutdown().await
    };
    match sent.await {
        Ok(()) => io::Error::new(io::ErrorKind::InvalidData, reason),
        Err(error) => error,
    }
}
