//! A certificate with its chain and private key.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use verge_protocol::{CertificateName, Digest, Timestamp};

use super::der::{self, Fields};
use super::provider::provider;

/// A certificate, its intermediate certificates, and its private key.
///
/// The key is parsed at the first handshake, or by [`Self::check_key`]: a server starts at once however many certificates it has.
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    fields: Fields,
    certified_key: OnceLock<Result<Arc<CertifiedKey>, CertificateError>>,
}

/// Why a certificate cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No `CERTIFICATE` section.
    #[error("no certificate found: expected PEM with `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// No private key section.
    #[error("no private key found: expected PEM with `-----BEGIN PRIVATE KEY-----`, not encrypted")]
    NoKey,
    /// A section of PEM without its end.
    #[error("the {0} is cut short: expected a line `-----END …-----`; copy the whole file again")]
    CutShort(PemPart),
    /// Not PEM.
    #[error("the {part} is not valid PEM: {reason}")]
    Pem {
        /// What is not.
        part: PemPart,
        /// Why, for a person to read.
        reason: String,
    },
    /// Not X.509.
    #[error("malformed certificate")]
    Malformed,
    /// No DNS name to which it could be presented.
    #[error("the certificate has no DNS name (`subjectAltName`)")]
    NoNames,
    /// Not a key that servers sign with.
    #[error("unsupported private key: expected ECDSA P-256 or P-384, Ed25519 or RSA")]
    UnsupportedKey,
    /// A key of another certificate.
    #[error("the private key does not match the certificate")]
    KeyMismatch,
    /// Past its validity.
    #[error("the certificate expired at {0}")]
    Expired(Timestamp),
    /// Before its validity.
    #[error("the certificate is not valid before {0}: check the clock")]
    NotYetValid(Timestamp),
}

/// What is in a file in PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemPart {
    /// A certificate with its intermediate certificates.
    Chain,
    /// A private key.
    Key,
}

impl fmt::Display for PemPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Chain => "certificate",
            Self::Key => "private key",
        })
    }
}

impl CertificateError {
    /// Which of the two files cannot be read, if that is known.
    pub(super) fn part(&self) -> Option<PemPart> {
        match self {
            Self::NoCertificate | Self::Malformed | Self::NoNames => Some(PemPart::Chain),
            Self::NoKey | Self::UnsupportedKey => Some(PemPart::Key),
            Self::CutShort(part) | Self::Pem { part, .. } => Some(*part),
            Self::KeyMismatch | Self::Expired(_) | Self::NotYetValid(_) => None,
        }
    }

    /// Errors of the parser show lines as numbers.
    fn of_pem(part: PemPart, error: &PemError) -> Self {
        let shown = |line: &[u8]| String::from_utf8_lossy(line).trim().chars().take(40).collect::<String>();
        let reason = match error {
            PemError::MissingSectionEnd { .. } => return Self::CutShort(part),
            PemError::IllegalSectionStart { line } => format!("malformed line `{}`", shown(line)),
            error => error.to_string(),
        };
        Self::Pem { part, reason }
    }
}

/// The first certificate in PEM, in DER; `None` if there is none, or it is malformed.
pub fn first_der(pem: &[u8]) -> Option<Vec<u8>> {
    CertificateDer::from_pem_slice(pem).ok().map(|der| der.to_vec())
}

impl Certificate {
    /// Parses a chain in PEM, its own certificate first. Neither the key nor the validity is checked: see [`Self::check`].
    pub fn new(chain: &[u8], key: PrivateKeyDer<'static>) -> Result<Self, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| CertificateError::of_pem(PemPart::Chain, &error))?;
        let fields = der::parse(chain.first().ok_or(CertificateError::NoCertificate)?);
        let fields = fields.ok_or(CertificateError::Malformed)?;
        if fields.names.is_empty() {
            return Err(CertificateError::NoNames);
        }
        Ok(Self { chain, key, fields, certified_key: OnceLock::new() })
    }

    /// Like [`Self::new`], with a key in PEM.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            PemError::NoItemsFound => CertificateError::NoKey,
            error => CertificateError::of_pem(PemPart::Key, &error),
        })?;
        Self::new(chain, key)
    }

    /// Like [`Self::new`], with a key in DER (PKCS#8, RFC 5958).
    pub fn from_pkcs8(chain: &[u8], key: Vec<u8>) -> Result<Self, CertificateError> {
        Self::new(chain, PrivateKeyDer::Pkcs8(key.into()))
    }

    /// Checks that the key belongs to the certificate.
    pub fn check_key(&self) -> Result<(), CertificateError> {
        self.certified_key().map(drop)
    }

    /// Checks that the key belongs to the certificate and that it is valid at this time.
    pub fn check(&self, now: Timestamp) -> Result<(), CertificateError> {
        self.check_key()?;
        match now {
            now if now > self.not_after() => Err(CertificateError::Expired(self.not_after())),
            now if now < self.fields.not_before => Err(CertificateError::NotYetValid(self.fields.not_before)),
            _ => Ok(()),
        }
    }

    /// Whether this time is in its validity.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.fields.not_before..=self.fields.not_after).contains(&now)
    }

    /// The names it is valid for; at least one.
    pub fn names(&self) -> &[CertificateName] {
        &self.fields.names
    }

    /// Whether it is valid for this host, which is lowercase.
    pub fn covers(&self, host: &str) -> bool {
        self.names().iter().any(|name| name.covers(host))
    }

    /// The start of its validity.
    pub fn not_before(&self) -> Timestamp {
        self.fields.not_before
    }

    /// The end of its validity.
    pub fn not_after(&self) -> Timestamp {
        self.fields.not_after
    }

    /// The SHA-256 of its `SubjectPublicKeyInfo`.
    pub fn key_digest(&self) -> Digest {
        self.fields.key
    }

    /// What rustls presents.
    pub(super) fn certified_key(&self) -> Result<&Arc<CertifiedKey>, CertificateError> {
        let parse = || {
            let key = provider()
                .key_provider
                .load_private_key(self.key.clone_key())
                .map_err(|_| CertificateError::UnsupportedKey)?;
            let certified = CertifiedKey::new(self.chain.clone(), key);
            match certified.keys_match() {
                Ok(()) => Ok(Arc::new(certified)),
                Err(rustls::Error::InconsistentKeys(_)) => Err(CertificateError::KeyMismatch),
                Err(_) => Err(CertificateError::Malformed),
            }
        };
        self.certified_key.get_or_init(parse).as_ref().map_err(Clone::clone)
    }
}

/// Without the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificate").field("fields", &self.fields).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{NOT_AFTER, issue};
    use super::*;

    const NOW: Timestamp = Timestamp(NOT_AFTER.0 - 1000);

    #[test]
    fn own_key_is_accepted_and_named_by_the_digest_of_its_public_key() {
        let (chain, key) = issue(&["www.example.com"]);
        let certificate = Certificate::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        certificate.check(NOW).unwrap();
        let info = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(certificate.key_digest(), Digest::of(&info));
        assert!(certificate.covers("www.example.com") && !certificate.covers("example.com"));
    }

    #[test]
    fn key_of_another_certificate_is_rejected() {
        let ((chain, _), (_, other)) = (issue(&["www.example.com"]), issue(&["www.example.com"]));
        let certificate = Certificate::from_pem(chain.as_bytes(), other.serialize_pem().as_bytes()).unwrap();
        assert_eq!(certificate.check(NOW), Err(CertificateError::KeyMismatch));
    }

    #[test]
    fn certificate_outside_its_validity_is_rejected() {
        let (chain, key) = issue(&["www.example.com"]);
        let certificate = Certificate::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let late = certificate.check(Timestamp(NOT_AFTER.0 + 1));
        assert_eq!(late.unwrap_err().to_string(), format!("the certificate expired at {NOT_AFTER}"));
        assert!(matches!(certificate.check(Timestamp(0)), Err(CertificateError::NotYetValid(_))));
    }

    #[test]
    fn file_without_certificate_or_key_is_named() {
        let (chain, key) = issue(&["www.example.com"]);
        let (chain, key) = (chain.as_str(), &*key.serialize_pem());
        let damaged = chain.replacen("MII", "MIJ", 1);
        for (chain, key, expected) in [
            ("", key, CertificateError::NoCertificate),
            (key, key, CertificateError::NoCertificate),
            (chain, "", CertificateError::NoKey),
            (chain, chain, CertificateError::NoKey),
            (&damaged, key, CertificateError::Malformed),
            (&issue(&["192.0.2.1"]).0, key, CertificateError::NoNames),
        ] {
            let error = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
            assert_eq!(error, expected);
        }
        let cut = &chain[..chain.len() / 2];
        let error = Certificate::from_pem(cut.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(error, CertificateError::CutShort(PemPart::Chain));
        let no_key = PrivateKeyDer::Pkcs8(vec![1, 2, 3].into());
        let certificate = Certificate::new(chain.as_bytes(), no_key).unwrap();
        assert_eq!(certificate.check(NOW), Err(CertificateError::UnsupportedKey));
    }

    #[test]
    fn debug_omits_the_key() {
        let (chain, key) = issue(&["www.example.com"]);
        let certificate = Certificate::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let text = format!("{certificate:?}");
        assert!(text.contains("www.example.com") && !text.contains("chain"), "{text}");
    }
}
