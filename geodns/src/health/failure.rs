//! Why probes fail, from the errors of the HTTP client.

use std::error::Error;
use std::io;

use rustls::{CertificateError, InvalidMessage};
use verge_daemon::error_chain;
use verge_protocol::explanation::ProbeFailure;

/// The failure that an error of the HTTP client stands for. Its cause does not contain the URL.
pub(super) fn probe_failure(error: reqwest::Error) -> ProbeFailure {
    let error = error.without_url();
    for cause in std::iter::successors(error.source(), |&error| cause(error)) {
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return tls_failure(error);
        }
        if cause.downcast_ref().map(io::Error::kind) == Some(io::ErrorKind::ConnectionRefused) {
            return ProbeFailure::ConnectionRefused;
        }
    }
    ProbeFailure::Unreachable { cause: error_chain(&error) }
}

/// The cause of an error. An [`io::Error`] that wraps another error reports the source of that error as its own and skips the
/// wrapped error itself.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn tls_failure(error: &rustls::Error) -> ProbeFailure {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate_failure(error),
        // The first byte is not one that TLS starts with.
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => ProbeFailure::NotTls,
        _ => ProbeFailure::TlsFailed { cause: error.to_string() },
    }
}

fn certificate_failure(error: &CertificateError) -> ProbeFailure {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => ProbeFailure::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ProbeFailure::CertificateNotYetValid
        }
        CertificateError::NotValidForNameContext { expected, .. } => {
            ProbeFailure::CertificateNameMismatch { expected: expected.to_str().into_owned() }
        }
        CertificateError::UnknownIssuer => ProbeFailure::CertificateUnknownIssuer,
        CertificateError::BadSignature => ProbeFailure::CertificateBadSignature,
        // The `Display` of this variant does not include the inner error.
        CertificateError::Other(error) => ProbeFailure::CertificateRejected { cause: error.to_string() },
        _ => ProbeFailure::CertificateRejected { cause: error.to_string() },
    }
}
