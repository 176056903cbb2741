//! Why there is no TLS with an edge.

use rustls::{CertificateError, Error, InvalidMessage};

/// What is wrong, in words that say what to look at.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        // The first byte is none that TLS starts with.
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what listens there does not speak TLS: see `scheme`, and the edge's port".to_owned()
        }
        _ => format!("TLS fails: {error}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, .. } => {
            format!("its certificate is not for {}", expected.to_str())
        }
        CertificateError::UnknownIssuer => {
            "its certificate is by an authority not known here: see `ca_file`".to_owned()
        }
        CertificateError::BadSignature => "its certificate bears a wrong signature".to_owned(),
        // Its own text says no more than that it is another.
        CertificateError::Other(error) => format!("its certificate is not accepted: {error}"),
        _ => format!("its certificate is not accepted: {error}"),
    }
}
