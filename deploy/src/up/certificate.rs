//! The certificate of a cluster: for the hosts of all channels and releases, each by name, since browsers accept no `*.localhost`.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, Url};
use verge_daemon::tls::{self, CertificateFiles};
use verge_daemon::{Clock, error_chain};
use verge_protocol::api::{Release, Site, Status};

use super::authority::{AuthorityError, LocalAuthority};
use super::error::{ClusterError, start_failed};
use crate::client::{Client, EdgeClient};

/// How often is looked for new hosts, so that plain HTTP redirects to them too. Edges load the certificate again within two seconds; one that a
/// client asks for before that is issued while it waits, see [`ClusterCertificate::provide`].
const INTERVAL: Duration = Duration::from_secs(1);
/// So many releases of a site have hosts with TLS, the latest ones: a certificate is no place for thousands.
const RELEASES: usize = 20;

/// The certificate of a cluster, and the authority that issues it. Clones share it.
#[derive(Clone)]
pub struct ClusterCertificate {
    authority: Arc<Mutex<LocalAuthority>>,
    root: PathBuf,
    has_replaced_root: bool,
    files: CertificateFiles,
    providing: Arc<tokio::sync::Mutex<()>>,
}

impl ClusterCertificate {
    /// Opens the authority in `directory`, or makes one, and issues a certificate.
    pub(super) async fn issue(directory: PathBuf, client: &Client) -> Result<Self, ClusterError> {
        let open = tokio::task::spawn_blocking(move || LocalAuthority::open(&directory));
        let authority = open.await.map_err(start_failed("the certificate authority"))??;
        let (root, has_replaced_root, files) = (authority.root(), authority.has_replaced_root(), authority.files());
        let certificate = Self {
            authority: Arc::new(Mutex::new(authority)),
            root,
            has_replaced_root,
            files,
            providing: Arc::default(),
        };
        certificate.update(client).await?;
        Ok(certificate)
    }

    /// The root of the authority, in PEM.
    pub fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// Whether there is another root than at the last start, whose root could vouch for addresses too.
    pub fn has_replaced_root(&self) -> bool {
        self.has_replaced_root
    }

    pub(super) fn files(&self) -> CertificateFiles {
        self.files.clone()
    }

    /// A client that trusts it.
    pub(super) async fn edge_client(&self) -> Result<EdgeClient, ClusterError> {
        let failed = |source| AuthorityError::File { path: self.root.clone(), source };
        let pem = tokio::fs::read(&self.root).await.map_err(failed)?;
        Ok(EdgeClient::trusting(Certificate::from_pem(&pem).map_err(start_failed("the certificate authority"))?))
    }

    /// The certificate, issued anew if it lacks this host and there is such a host now; `None` if there is none.
    pub(super) async fn provide(&self, host: &str, client: &Client) -> Option<Arc<tls::Certificate>> {
        // Of several clients that come at once the first one has it issued.
        let _providing = self.providing.lock().await;
        if !self.has(host)
            && let Err(error) = self.update(client).await
        {
            tracing::warn!(host, error = error_chain(&error), "failed to issue the certificate of a host");
        }
        if !self.has(host) {
            return None;
        }
        let (files, authority) = (self.files(), Arc::clone(&self.authority));
        let load = move || {
            // While it is locked, nothing replaces one file but not yet the other.
            let _authority = authority.lock().unwrap_or_else(PoisonError::into_inner);
            files.load()
        };
        match tokio::task::spawn_blocking(load).await {
            Ok(Ok(certificate)) => Some(Arc::new(certificate)),
            Ok(Err(error)) => {
                tracing::warn!(host, error = error_chain(&error), "failed to load the certificate of a host");
                None
            }
            Err(_) => None,
        }
    }

    fn has(&self, host: &str) -> bool {
        self.authority.lock().unwrap_or_else(PoisonError::into_inner).has_issued(host)
    }

    /// Has the certificate be valid for the hosts that there are now.
    pub async fn update(&self, client: &Client) -> Result<(), ClusterError> {
        let (names, authority) = (hosts(client).await?, Arc::clone(&self.authority));
        let issue = move || {
            let mut authority = authority.lock().unwrap_or_else(PoisonError::into_inner);
            authority.issue(names, Clock::system().now())
        };
        let issued = tokio::task::spawn_blocking(issue).await.map_err(start_failed("the certificate authority"))??;
        if issued {
            tracing::info!("the certificate was replaced");
        }
        Ok(())
    }

    /// Keeps it valid for the hosts that there are, for ever.
    pub async fn follow(&self, client: &Client) -> Infallible {
        let (mut position, mut checked) = (None, tokio::time::Instant::now());
        loop {
            tokio::time::sleep(INTERVAL).await;
            let now = client.get::<Status>("/v1/status").await.map(|status| status.position).ok();
            let is_due = checked.elapsed() > Duration::from_hours(1);
            if now == position && !is_due {
                continue;
            }
            match self.update(client).await {
                Ok(()) => (position, checked) = (now, tokio::time::Instant::now()),
                Err(error) => tracing::warn!(error = error_chain(&error), "failed to replace the certificate"),
            }
        }
    }
}

/// The hosts of all channels and of the latest releases.
async fn hosts(client: &Client) -> Result<BTreeSet<String>, ClusterError> {
    let mut urls = Vec::new();
    for site in client.sites::<Site>().await? {
        let releases: Vec<Release> = client.get(&format!("/v1/sites/{}/releases", site.name)).await?;
        urls.extend(releases.into_iter().take(RELEASES).filter_map(|release| release.url));
        urls.extend(site.channels.into_iter().map(|channel| channel.url));
    }
    let hosts = urls.iter().filter_map(|url| Some(url.parse::<Url>().ok()?.host_str()?.to_owned()));
    Ok(hosts.chain(["localhost".to_owned()]).collect())
}
