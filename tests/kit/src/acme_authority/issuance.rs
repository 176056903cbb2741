//! What the authority issues.

use std::collections::BTreeSet;
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair, PublicKeyData, SerialNumber};
use verge_protocol::Timestamp;

/// The `SubjectPublicKeyInfo` of a P-256 key up to its point (RFC 5480 §2).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The length of an uncompressed point.
const POINT: usize = 65;
/// Serial numbers begin here: all have eight bytes, and none begins with a zero.
const FIRST_SERIAL: u64 = 1 << 56;

/// A certificate that was issued.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// Its names.
    pub names: BTreeSet<String>,
    /// The certificate.
    pub der: Vec<u8>,
    /// The start of its validity, when it was issued.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    pub(super) pem: String,
    /// Whether an order has replaced it (RFC 9773 §5).
    pub(super) is_replaced: bool,
}

/// The root, and all certificates in the order of their serial numbers.
pub(super) struct Issuance {
    issuer: Issuer<'static, KeyPair>,
    root: Vec<u8>,
    issued: Vec<IssuedCertificate>,
}

/// The key of a request.
struct RequestedKey([u8; POINT]);

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl Issuance {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), root, issued: Vec::new() }
    }

    pub(super) fn root(&self) -> Vec<u8> {
        self.root.clone()
    }

    pub(super) fn all(&self) -> &[IssuedCertificate] {
        &self.issued
    }

    /// Issues a certificate for the key in `request`, PKCS#10 in DER. Returns its index. The origin makes P-256 keys alone, which are found by
    /// their fixed beginning.
    pub(super) fn issue(
        &mut self,
        request: &[u8],
        names: &BTreeSet<String>,
        not_before: Timestamp,
        lifetime: Duration,
    ) -> usize {
        let key = request.windows(P256.len() + POINT).find(|window| window.starts_with(&P256)).unwrap();
        let key = RequestedKey(key[P256.len()..].try_into().unwrap());
        let not_after = not_before.after(lifetime);
        let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from(FIRST_SERIAL + self.issued.len() as u64));
        params.use_authority_key_identifier_extension = true;
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_millis(not_before.0);
        params.not_after = epoch + Duration::from_millis(not_after.0);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.issued.push(IssuedCertificate {
            names: names.clone(),
            der: certificate.der().to_vec(),
            not_before,
            not_after,
            pem: certificate.pem(),
            is_replaced: false,
        });
        self.issued.len() - 1
    }

    /// The certificate with this serial number, big-endian.
    pub(super) fn by_serial(&mut self, serial: &[u8]) -> Option<&mut IssuedCertificate> {
        let serial = u64::from_be_bytes(serial.try_into().ok()?);
        self.issued.get_mut(usize::try_from(serial.checked_sub(FIRST_SERIAL)?).ok()?)
    }
}
