//! What to check when a connection to an origin fails.

use std::io;

use rustls::{CertificateError, InvalidMessage};
use verge_trust::causes;

use crate::origins::OriginError;

/// Advice that follows the text of an error; empty if there is none.
pub(super) fn connect_advice(error: &OriginError) -> &'static str {
    let OriginError::Unreachable { source, .. } = error else { return "" };
    if source.is_timeout() {
        return "; check the address, and firewalls on the way";
    }
    causes(source)
        .find_map(|cause| match (cause.downcast_ref::<rustls::Error>(), cause.downcast_ref().map(io::Error::kind)) {
            (Some(error), _) => Some(tls_advice(error)),
            (_, Some(io::ErrorKind::ConnectionRefused)) => Some("; check that the origin is running, and its port"),
            _ => None,
        })
        .unwrap_or("; check the host name, and the network of this machine")
}

fn tls_advice(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "; the port does not speak TLS: use that of the TLS proxy in front of the origin"
        }
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "; the certificate is of an authority that this machine does not trust"
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "; the certificate is for another name than that of the URL",
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => "; renew the certificate, and check the clock of this machine",
        _ => "; check the certificate of the TLS proxy in front of the origin",
    }
}
