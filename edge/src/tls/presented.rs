//! What is presented, from all sources.

use std::sync::{Arc, Mutex, PoisonError};

use verge_daemon::tls::{Certificate, Certificates};

/// The certificates of the operator's files, then those of the fleet: where both have one for a name, the operator's is presented. Clones
/// share them.
#[derive(Clone, Default)]
pub(crate) struct PresentedCertificates {
    served: Arc<Certificates>,
    sources: Arc<Mutex<Sources>>,
}

#[derive(Default)]
struct Sources {
    own: Vec<Arc<Certificate>>,
    fleet: Vec<Arc<Certificate>>,
}

impl PresentedCertificates {
    /// What handshakes choose from.
    pub(crate) fn certificates(&self) -> &Arc<Certificates> {
        &self.served
    }

    /// Replaces the operator's certificates.
    pub(crate) fn set_own(&self, own: Vec<Arc<Certificate>>) {
        self.update(|sources| sources.own = own);
    }

    /// Replaces the fleet's certificates.
    pub(crate) fn set_fleet(&self, fleet: Vec<Arc<Certificate>>) {
        self.update(|sources| sources.fleet = fleet);
    }

    /// Under the lock, so that of two updates the later one is served.
    fn update(&self, change: impl FnOnce(&mut Sources)) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut sources);
        self.served.replace(sources.own.iter().chain(&sources.fleet).cloned());
    }
}
