//! Why a server is not trusted.

use std::error::Error;
use std::{fmt, io, iter};

use rustls::CertificateError;
use verge_protocol::KeyPin;

/// The server has another key than the pinned one.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the origin has another key: expected the pin {expected}, found {found}; either it was replaced, or somebody is in between: compare \
     with `verge-origin pin` on its machine"
)]
pub struct PinMismatch {
    /// The pin.
    pub expected: KeyPin,
    /// The pin of the key that the server presented. Whether it has that key was not verified.
    pub found: KeyPin,
}

/// As the text: rustls shows errors of others so.
impl fmt::Debug for PinMismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Why the server at the other end of a connection was not trusted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrustError {
    /// It is not the pinned one.
    #[error(transparent)]
    Pin(#[from] PinMismatch),
    /// Its certificate is not valid for its name, or of no authority that this machine trusts.
    #[error("{0}")]
    Name(CertificateError),
}

impl TrustError {
    /// Finds it among the causes of the error of a request; `None` if the request failed for another reason.
    pub fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        causes(error).find_map(|cause| {
            let rustls::Error::InvalidCertificate(error) = cause.downcast_ref()? else { return None };
            let mismatch = match error {
                CertificateError::Other(other) => other.0.downcast_ref().copied(),
                _ => None,
            };
            Some(mismatch.map_or_else(|| Self::Name(error.clone()), Self::Pin))
        })
    }
}

/// An error and its causes. An [`io::Error`] that wraps another error reports the source of that error as its own: here it is not
/// skipped.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;
    use verge_protocol::Digest;

    use super::*;

    fn mismatch() -> PinMismatch {
        let pin = |bytes: &[u8]| KeyPin::new(Digest::of(bytes));
        PinMismatch { expected: pin(b"expected"), found: pin(b"found") }
    }

    #[test]
    fn mismatch_is_found_within_the_error_of_a_connection_and_names_both_pins() {
        let other = CertificateError::Other(OtherError(Arc::new(mismatch())));
        let error = io::Error::other(rustls::Error::InvalidCertificate(other));
        assert_eq!(TrustError::find(&error), Some(TrustError::Pin(mismatch())));
        let text = error.to_string();
        assert!(
            text.contains(&mismatch().expected.to_string()) && text.contains(&mismatch().found.to_string()),
            "{text}"
        );
    }

    #[test]
    fn untrusted_name_is_told_from_other_failures() {
        let untrusted = io::Error::other(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert_eq!(TrustError::find(&untrusted), Some(TrustError::Name(CertificateError::UnknownIssuer)));
        for other in [io::Error::other(rustls::Error::HandshakeNotComplete), io::ErrorKind::ConnectionRefused.into()] {
            assert_eq!(TrustError::find(&other), None);
        }
    }
}
