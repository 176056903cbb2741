//! TLS for listeners: certificates by server name, and session tickets that every server of the fleet accepts.

pub mod acceptor;
pub mod certificate;
pub mod certificate_files;
pub mod certificates;
mod der;
#[cfg(test)]
mod handshake_tests;
pub mod provider;
#[cfg(test)]
pub(crate) mod test_support;
pub mod tickets;

pub use acceptor::{TlsAcceptor, TlsSession};
pub use certificate::{Certificate, CertificateError};
pub use certificate_files::{CertificateFiles, CertificateFilesError, FileProblems};
pub use certificates::Certificates;
pub use tickets::Tickets;
