//! When the authorities wish that certificates are renewed (RFC 9773).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use verge_daemon::error_chain;
use verge_protocol::certificate::CertificateState;
use verge_protocol::{Digest, DomainName, Timestamp};

use super::authority::Authority;
use super::inventory::Known;
use super::plan::Window;
use super::x509;

/// The interval between questions, unless the authority asks for a longer one (RFC 9773 §4.3.1).
const INTERVAL: Duration = Duration::from_hours(6);
/// The longest interval that an authority may ask for.
const INTERVAL_MAX: Duration = Duration::from_hours(24);
/// How many certificates are asked for at once.
const ASKED_MAX: usize = 50;

/// What the authorities have answered, in memory.
#[derive(Default)]
pub(super) struct RenewalWindows(Mutex<HashMap<DomainName, KnownWindow>>);

/// Its key, and the start of its validity.
type CertificateId = (Digest, Timestamp);

fn id(certificate: &CertificateState) -> CertificateId {
    (certificate.key, certificate.not_before)
}

/// What an authority has answered about a certificate.
#[derive(Clone, Copy)]
struct KnownWindow {
    /// The certificate: a key may have several, one after the other.
    id: CertificateId,
    window: Option<Window>,
    /// When it is asked again.
    until: Timestamp,
}

impl RenewalWindows {
    /// The window of the certificate of a domain, if its authority has told one.
    pub(super) fn of(&self, domain: &DomainName, certificate: &CertificateState) -> Option<Window> {
        self.last(domain, id(certificate))?.window
    }

    /// Asks the authorities that issued certificates, as often as they wish, until one does not answer. `now` tells the time by their clocks.
    pub(super) async fn ask(&self, known: &Known, authorities: &[Authority], now: impl Fn() -> Timestamp) {
        let mut asked = 0;
        for (domain, certificate) in known.all() {
            if asked >= ASKED_MAX {
                break;
            }
            let id = id(certificate);
            let last = self.last(domain, id);
            // A time far ahead is of a clock that was.
            let is_known = |last: KnownWindow| now() < last.until && last.until < now().after(INTERVAL_MAX * 2);
            if last.is_some_and(is_known) {
                continue;
            }
            let issued =
                |authority: &&Authority| known.issuance(domain, authority).is_some_and(|row| row.issued > Timestamp(0));
            let Some(authority) = authorities.iter().find(issued) else { continue };
            let Ok(leaf) = x509::leaf(&certificate.chain) else { continue };
            asked += 1;
            let (window, wait) = match authority.renewal_window(&leaf).await {
                Ok(Some((window, wait))) => (Some(window), wait),
                Ok(None) => (None, INTERVAL_MAX),
                Err(error) => {
                    tracing::debug!(%domain, error = error_chain(&error), "no renewal information");
                    asked = ASKED_MAX;
                    (last.and_then(|last| last.window), INTERVAL)
                }
            };
            let until = now().after(wait.clamp(INTERVAL, INTERVAL_MAX));
            self.lock().insert(domain.clone(), KnownWindow { id, window, until });
        }
    }

    fn last(&self, domain: &DomainName, id: CertificateId) -> Option<KnownWindow> {
        self.lock().get(domain).copied().filter(|last| last.id == id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DomainName, KnownWindow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
