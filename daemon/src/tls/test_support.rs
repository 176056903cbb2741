//! Certificates for tests.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use verge_protocol::Timestamp;

use super::certificate::Certificate;
use super::provider::provider;

/// The end of the validity of every certificate: 2100-01-01.
pub(crate) const NOT_AFTER: Timestamp = Timestamp(4_102_444_800_000);

/// A self-signed certificate in PEM, and its key. It is valid from 2020.
pub(crate) fn issue(names: &[&str]) -> (String, KeyPair) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key)
}

/// A self-signed certificate.
pub(crate) fn certificate(names: &[&str]) -> Arc<Certificate> {
    let (chain, key) = issue(names);
    Arc::new(Certificate::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap())
}

/// Settings of a client that trusts these certificates and speaks these versions, and which offers `alpn`.
pub(crate) fn client(
    trusted: &[&Certificate],
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.certified_key().unwrap().cert[0].clone()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}
