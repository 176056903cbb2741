//! TLS of the API: with certificate files of the operator's, or with the origin's identity key, for which a certificate can be issued.

mod identity;

use std::sync::Arc;

use verge_daemon::tls::{
    Certificate, CertificateError, CertificateFiles, Certificates, FileProblems, Tickets, TlsAcceptor,
};
use verge_daemon::{Clock, DataDir, Tasks};
use verge_protocol::KeyPin;
use verge_protocol::api::Problem;

pub(crate) use self::identity::{Identity, read_pin};

/// How the API is secured. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct ApiTls {
    certificates: Arc<Certificates>,
    identity: Option<Arc<Identity>>,
    file_problems: FileProblems,
}

impl ApiTls {
    /// Presents the certificate in `files`, reloaded when they change, until `tasks` drain; without files, that of the identity key, which is
    /// made if there is none. It is presented to every client: an origin is also reached by address.
    pub(crate) async fn start(
        files: Option<CertificateFiles>,
        data: &DataDir,
        clock: &Clock,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let certificates = Arc::new(Certificates::with_default());
        let Some(files) = files else {
            let identity = Identity::open(data)?;
            certificates.replace([Arc::clone(identity.certificate())]);
            return Ok(Self {
                certificates,
                identity: Some(Arc::new(identity)),
                file_problems: FileProblems::default(),
            });
        };
        let present = {
            let certificates = Arc::clone(&certificates);
            move |loaded| certificates.replace(loaded)
        };
        let file_problems = CertificateFiles::watch(vec![files], present, clock.clone(), tasks).await;
        Ok(Self { certificates, identity: None, file_problems })
    }

    /// The pin of the identity key, if that is presented.
    pub(crate) fn pin(&self) -> Option<KeyPin> {
        self.identity.as_ref().map(|identity| identity.pin())
    }

    /// The identity, if it is used.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// Presents a chain that an authority has issued for the identity key, from now on, to every client. The pin stays.
    pub(crate) fn present_issued(&self, chain: &str) -> Result<(), CertificateError> {
        if let Some(identity) = &self.identity {
            let issued = Certificate::from_pkcs8(chain.as_bytes(), identity.key().serialize_der())?;
            self.certificates.replace([Arc::new(issued), Arc::clone(identity.certificate())]);
        }
        Ok(())
    }

    /// Accepts connections. Sessions resume until the origin restarts.
    pub(crate) fn acceptor(&self, clock: &Clock) -> TlsAcceptor {
        let tickets = Tickets::new(clock.clone());
        tickets.set_secret(&rand::random::<[u8; 32]>());
        TlsAcceptor::new(Arc::clone(&self.certificates), Arc::new(tickets))
    }

    /// What is wrong with the files, if anything.
    pub(crate) fn problem(&self) -> Option<Problem> {
        self.file_problems.list().pop().map(|reason| Problem::ApiCertificate { reason })
    }
}
