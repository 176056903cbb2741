//! Certificates as bytes: requests, and what an issued chain says.

use std::collections::BTreeSet;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use verge_protocol::certificate::CertificateState;
use verge_protocol::{CertificateName, Digest, Timestamp};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

/// The name of a key: the SHA-256 of its `SubjectPublicKeyInfo`.
pub(super) fn key_name(key: &KeyPair) -> Digest {
    Digest::of(&key.subject_public_key_info())
}

/// The request to certify a key for names (PKCS#10, DER).
pub(super) fn request(key: &KeyPair, names: &BTreeSet<CertificateName>) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    // Authorities read the names alone.
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// Why a chain cannot be served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ChainError {
    #[error("the chain holds no certificate, or one that is malformed")]
    Malformed,
    #[error("the certificate is for another key than the one requested")]
    OtherKey,
    #[error("the certificate does not name {0}")]
    MissingName(CertificateName),
    #[error("the certificate ends before it begins")]
    NeverValid,
    #[error("the certificate has expired at {0}")]
    Expired(Timestamp),
}

/// The first certificate of a PEM chain.
pub(super) fn leaf(chain: &str) -> Result<CertificateDer<'static>, ChainError> {
    CertificateDer::from_pem_slice(chain.as_bytes()).map_err(|_| ChainError::Malformed)
}

/// The issuer, as people call it.
pub(crate) fn issuer(chain: &str) -> Option<String> {
    let leaf = leaf(chain).ok()?;
    let (_, certificate) = X509Certificate::from_der(&leaf).ok()?;
    let issuer = certificate.issuer();
    let organization = issuer.iter_organization().next().and_then(|name| name.as_str().ok());
    let common_name = issuer.iter_common_name().next().and_then(|name| name.as_str().ok());
    let parts: Vec<&str> = [organization, common_name].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// The type of the key of a certificate.
pub(crate) fn key_type(chain: &str) -> Option<String> {
    let leaf = leaf(chain).ok()?;
    let (_, certificate) = X509Certificate::from_der(&leaf).ok()?;
    Some(match certificate.public_key().parsed().ok()? {
        PublicKey::EC(key) => format!("ECDSA P-{}", key.key_size()),
        PublicKey::RSA(key) => format!("RSA {}", key.key_size()),
        _ => "other".to_owned(),
    })
}

/// What edges are given of an issued chain. It is refused unless it certifies `key` for all `names`, and has not expired at `now`.
pub(super) fn check(
    chain: String,
    key: Digest,
    names: &BTreeSet<CertificateName>,
    now: Timestamp,
) -> Result<CertificateState, ChainError> {
    // Every certificate of the chain must be one: TLS sends them all.
    for certificate in CertificateDer::pem_slice_iter(chain.as_bytes()) {
        let certificate = certificate.map_err(|_| ChainError::Malformed)?;
        X509Certificate::from_der(&certificate).map_err(|_| ChainError::Malformed)?;
    }
    let leaf = leaf(&chain)?;
    let (_, certificate) = X509Certificate::from_der(&leaf).map_err(|_| ChainError::Malformed)?;
    if Digest::of(certificate.public_key().raw) != key {
        return Err(ChainError::OtherKey);
    }
    let alternative = certificate.subject_alternative_name().map_err(|_| ChainError::Malformed)?;
    let certified: BTreeSet<CertificateName> = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => name.to_ascii_lowercase().parse().ok(),
            _ => None,
        })
        .collect();
    if let Some(missing) = names.iter().find(|name| !certified.contains(name)) {
        return Err(ChainError::MissingName(missing.clone()));
    }
    let time = |seconds: i64| Timestamp(u64::try_from(seconds).unwrap_or_default().saturating_mul(1000));
    let validity = certificate.validity();
    let (not_before, not_after) = (time(validity.not_before.timestamp()), time(validity.not_after.timestamp()));
    if not_before >= not_after {
        return Err(ChainError::NeverValid);
    }
    if not_after <= now {
        return Err(ChainError::Expired(not_after));
    }
    Ok(CertificateState { names: names.clone(), chain, key, not_before, not_after, confirmed: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn names(texts: &[&str]) -> BTreeSet<CertificateName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// A chain of one certificate, and the name of its key.
    fn chain(texts: &[&str]) -> (String, Digest) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(texts.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        (pem, Digest::of(&key.subject_public_key_info()))
    }

    #[test]
    fn chain_is_accepted_for_its_key_and_names_alone() {
        let (pem, key) = chain(&["sites.example", "*.sites.example"]);
        let both = names(&["*.sites.example", "sites.example"]);
        let state = check(pem.clone(), key, &both, NOW).unwrap();
        assert_eq!((&state.names, state.key), (&both, key));
        assert!(state.not_before < state.not_after);
        let later = Timestamp(u64::MAX);
        assert_eq!(check(pem.clone(), key, &both, later), Err(ChainError::Expired(state.not_after)));
        assert_eq!(key_type(&pem).as_deref(), Some("ECDSA P-256"));
        assert_eq!(check(pem.clone(), Digest::of(b"other"), &both, NOW), Err(ChainError::OtherKey));
        let more = names(&["sites.example", "www.example"]);
        assert!(matches!(check(pem.clone(), key, &more, NOW), Err(ChainError::MissingName(_))));
        for malformed in ["", "text", &pem[..200], &format!("{pem}{}", pem.replace("MII", "AAA"))] {
            assert_eq!(check(malformed.to_owned(), key, &both, NOW), Err(ChainError::Malformed), "{malformed}");
        }
    }

    #[test]
    fn generated_keys_are_of_the_curve_p256_and_keep_their_name() {
        let (one, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        assert_ne!(key_name(&one), key_name(&other));
        let again = KeyPair::try_from(one.serialize_der().as_slice()).unwrap();
        assert_eq!(key_name(&again), key_name(&one));
        assert!(again.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256));
    }
}
