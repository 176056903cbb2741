//! A reader who looks at the certificates that edges present, and knows the time.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use verge_daemon::Clock;

/// Shakes hands, and verifies certificates as a browser does: their chain, their name, and their validity at the present by a clock.
pub(crate) struct TlsReader(TlsConnector);

struct TimeOf(Clock);

impl fmt::Debug for TimeOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.now())
    }
}

impl TimeProvider for TimeOf {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.now().0)))
    }
}

impl TlsReader {
    /// Trusts these roots, in DER.
    pub(crate) fn new(roots: impl IntoIterator<Item = Vec<u8>>, clock: Clock) -> Self {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(CertificateDer::from(root)).unwrap();
        }
        let config = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(TimeOf(clock)));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(store).with_no_client_auth();
        // A resumed session shows no certificate.
        config.resumption = Resumption::disabled();
        Self(TlsConnector::from(Arc::new(config)))
    }

    /// The certificate that is presented for a host, in DER. The error says why it is not accepted.
    pub(crate) async fn certificate(&self, address: SocketAddr, host: &str) -> io::Result<Vec<u8>> {
        let connection = TcpStream::connect(address).await?;
        let session = self.0.connect(ServerName::try_from(host.to_owned()).unwrap(), connection).await?;
        let presented = session.get_ref().1.peer_certificates().unwrap();
        Ok(presented[0].to_vec())
    }
}
