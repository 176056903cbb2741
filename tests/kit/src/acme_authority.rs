//! A certificate authority in this process, with a clock of its own: for tests in which months pass.

mod api;
mod front;
mod issuance;
mod orders;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hyper_util::service::TowerToHyperService;
use tempfile::TempDir;
use tokio::sync::watch;
use verge_daemon::http_server::{HttpLimits, serve_connections};
use verge_daemon::tls::{Certificate, Certificates, Tickets, TlsAcceptor};
use verge_daemon::{Clock, Tasks};
use verge_protocol::Timestamp;

use self::issuance::Issuance;
pub use self::issuance::IssuedCertificate;
use self::orders::Orders;

/// A running authority (RFC 8555), with the challenge HTTP-01 and renewal information (RFC 9773). It issues under a root of its own. Stops when
/// dropped.
///
/// Signatures of requests are not verified: tests with Pebble show that they are right. The files of challenges are fetched from edges,
/// at one edge after the other.
pub struct AcmeAuthority {
    /// The URL of its directory.
    pub directory_url: String,
    /// The certificate of its own TLS.
    pub ca_file: PathBuf,
    shared: Arc<Shared>,
    absence: watch::Sender<Absence>,
    _directory: TempDir,
    tasks: Tasks,
}

/// How an authority is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It is not.
    None,
    /// It closes all connections.
    Closed,
    /// A proxy in front of it answers 503.
    Unavailable,
}

/// When a certificate is to be renewed, as the authority says at a time.
type RenewalRule = Box<dyn Fn(&IssuedCertificate, Timestamp) -> (Timestamp, Timestamp) + Send>;

struct Shared {
    url: String,
    clock: Clock,
    http: reqwest::Client,
    absence: watch::Receiver<Absence>,
    state: Mutex<State>,
}

struct State {
    /// The thumbprints of the keys of accounts (RFC 7638).
    accounts: Vec<String>,
    orders: Orders,
    issuance: Issuance,
    lifetime: Duration,
    renewal_rule: Option<RenewalRule>,
    /// Where challenges are checked, and how many were.
    edges: Vec<SocketAddr>,
    checks: usize,
    /// The names at which nothing answers.
    unreachable: BTreeSet<String>,
    nonces: u64,
}

/// What the authority has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorityCounts {
    /// Orders that were made.
    pub orders: usize,
    /// Those without a certificate.
    pub failed: usize,
    /// The certificates by the set of their names.
    pub certificates: BTreeMap<BTreeSet<String>, usize>,
}

impl AcmeAuthority {
    /// Starts one whose certificates are valid for `lifetime`, from the present by `clock`.
    pub async fn start(name: &str, clock: Clock, lifetime: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, own.pem()).unwrap();
        let presented = Certificate::from_pem(own.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let certificates = Arc::new(Certificates::default());
        certificates.replace([Arc::new(presented)]);
        let acceptor = TlsAcceptor::new(certificates, Arc::new(Tickets::new(Clock::system())));

        let (tasks, (absence, is_away)) = (Tasks::default(), watch::channel(Absence::None));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = front::start(listener.local_addr().unwrap(), is_away.clone(), &tasks).await;
        let url = format!("https://localhost:{port}");
        let directory_url = format!("{url}/directory");
        let state = State {
            accounts: Vec::new(),
            orders: Orders::default(),
            issuance: Issuance::new(name),
            lifetime,
            renewal_rule: None,
            edges: Vec::new(),
            checks: 0,
            unreachable: BTreeSet::new(),
            nonces: 0,
        };
        // A new connection for each check, as authorities make.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let shared = Arc::new(Shared { url, clock, http, absence: is_away, state: Mutex::new(state) });
        let service = TowerToHyperService::new(api::router(Arc::clone(&shared)));
        let limits = HttpLimits::default();
        serve_connections("authority", listener, Some(acceptor), &limits, &tasks, move |_| service.clone());
        Self { directory_url, ca_file, shared, absence, _directory: directory, tasks }
    }

    /// The root certificate under which it issues, in DER.
    pub fn root(&self) -> Vec<u8> {
        self.shared.state().issuance.root()
    }

    /// Checks challenges at the plain HTTP listeners of these edges from now on.
    pub fn set_edges(&self, edges: Vec<SocketAddr>) {
        self.shared.state().edges = edges;
    }

    /// Finds nothing at these names from now on.
    pub fn set_unreachable(&self, names: impl IntoIterator<Item = String>) {
        self.shared.state().unreachable = names.into_iter().collect();
    }

    /// Offers renewal information: when a certificate is to be renewed, at the present time. Call it before clients read the directory.
    pub fn set_renewal_rule(
        &self,
        rule: impl Fn(&IssuedCertificate, Timestamp) -> (Timestamp, Timestamp) + Send + 'static,
    ) {
        self.shared.state().renewal_rule = Some(Box::new(rule));
    }

    /// Is away from now on, or returns.
    pub fn set_absence(&self, absence: Absence) {
        self.absence.send_replace(absence);
    }

    /// What it has done so far.
    pub fn counts(&self) -> AuthorityCounts {
        let state = self.shared.state();
        let mut counts = AuthorityCounts { orders: state.orders.len(), ..AuthorityCounts::default() };
        for issued in state.issuance.all() {
            *counts.certificates.entry(issued.names.clone()).or_default() += 1;
        }
        counts.failed = counts.orders - state.issuance.all().len();
        counts
    }

    /// The certificate with this DER, if it has issued it.
    pub fn find(&self, der: &[u8]) -> Option<IssuedCertificate> {
        self.shared.state().issuance.all().iter().find(|issued| issued.der == der).cloned()
    }
}

impl Drop for AcmeAuthority {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}
