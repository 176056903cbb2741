//! What is read of an X.509 certificate (RFC 5280 §4.1) beside what rustls reads: names, validity and public key.

use std::time::Duration;

use verge_protocol::{CertificateName, Digest, Timestamp};

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]` and `[3]` of a `TBSCertificate`: version and extensions.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `dNSName` of a `GeneralName`.
const DNS_NAME: u8 = 0x82;
/// The object identifier of `subjectAltName`, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The fields of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    /// The DNS names of its `subjectAltName`; those that are no domain names are left out.
    pub(super) names: Vec<CertificateName>,
    /// The start of its validity.
    pub(super) not_before: Timestamp,
    /// The end of its validity.
    pub(super) not_after: Timestamp,
    /// The SHA-256 of its `SubjectPublicKeyInfo`.
    pub(super) key: Digest,
}

/// The fields of a certificate in DER; `None` if it is malformed.
pub(super) fn parse(certificate: &[u8]) -> Option<Fields> {
    let mut to_be_signed = Reader(Reader(Reader(certificate).take(SEQUENCE)?).take(SEQUENCE)?);
    to_be_signed.take_if(VERSION)?;
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        to_be_signed.element()?;
    }
    let mut validity = Reader(to_be_signed.take(SEQUENCE)?);
    let (not_before, not_after) = (validity.time()?, validity.time()?);
    // Subject.
    to_be_signed.take(SEQUENCE)?;
    let before = to_be_signed.0;
    let mut key = Reader(to_be_signed.take(SEQUENCE)?);
    let key_info = &before[..before.len() - to_be_signed.0.len()];
    key.take(SEQUENCE)?;
    key.take(BIT_STRING)?;
    let mut names = Vec::new();
    while !to_be_signed.0.is_empty() {
        let (tag, content) = to_be_signed.element()?;
        if tag == EXTENSIONS {
            names = alternative_names(content)?;
        }
    }
    Some(Fields { names, not_before, not_after, key: Digest::of(key_info) })
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<CertificateName>> {
    let mut names = Vec::new();
    let mut extensions = Reader(Reader(extensions).take(SEQUENCE)?);
    while !extensions.0.is_empty() {
        let mut extension = Reader(extensions.take(SEQUENCE)?);
        if extension.take(OBJECT_IDENTIFIER)? != SUBJECT_ALT_NAME {
            continue;
        }
        extension.take_if(BOOLEAN)?;
        let mut general = Reader(Reader(extension.take(OCTET_STRING)?).take(SEQUENCE)?);
        while !general.0.is_empty() {
            let (tag, content) = general.element()?;
            if tag == DNS_NAME {
                let name = std::str::from_utf8(content).ok()?.to_ascii_lowercase();
                names.extend(name.parse::<CertificateName>());
            }
        }
    }
    Some(names)
}

/// Elements of DER (X.690) that are still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element: its tag, and its content.
    fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0x00..=0x7f => (usize::from(first), rest),
            // No certificate is longer than three bytes of length can say.
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().and_then(|(found, content)| (found == tag).then_some(content))
    }

    /// Skips the next element if it has this tag.
    fn take_if(&mut self, tag: u8) -> Option<()> {
        if self.0.first() == Some(&tag) { self.element().map(drop) } else { Some(()) }
    }

    /// The next element, a `Time` (RFC 5280 §4.1.2.5). Times before 1970 are taken for 1970.
    fn time(&mut self) -> Option<Timestamp> {
        let (tag, text) = self.element()?;
        let digits = text.strip_suffix(b"Z")?;
        let (year, rest) = match (tag, digits.len()) {
            (UTC_TIME, 12) => {
                let year = number(&digits[..2])?;
                (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
            }
            (GENERALIZED_TIME, 14) => (number(&digits[..4])?, &digits[4..]),
            _ => return None,
        };
        let mut parts = rest.chunks(2).map(number);
        let mut part = |range: std::ops::RangeInclusive<u64>| parts.next()?.filter(|part| range.contains(part));
        let (month, day) = (part(1..=12)?, part(1..=31)?);
        let (hour, minute, second) = (part(0..=23)?, part(0..=59)?, part(0..=59)?);
        let seconds = (days_until(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
        Some(Timestamp::default().after(Duration::from_secs(seconds)))
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year is taken to begin in March, so that it ends with the leap day.
fn days_until(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    (year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day).saturating_sub(719_469)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2024, 2, 29);
        params.not_after = date_time_ymd(2051, 12, 31);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_and_validity_are_read() {
        let fields = parse(&certificate(&["www.example.com", "*.sites.example", "192.0.2.1"])).unwrap();
        let names: Vec<_> = fields.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["www.example.com", "*.sites.example"]);
        assert_eq!(fields.not_before.to_string(), "2024-02-29T00:00:00Z");
        assert_eq!(fields.not_after.to_string(), "2051-12-31T00:00:00Z");
    }

    #[test]
    fn time_is_read_as_utc_time_or_generalized_time() {
        let time = |tag: u8, text: &str| {
            let mut element = vec![tag, u8::try_from(text.len()).unwrap()];
            element.extend(text.bytes());
            Reader(&element).time().map(|time| time.to_string())
        };
        assert_eq!(time(UTC_TIME, "491231235959Z").unwrap(), "2049-12-31T23:59:59Z");
        assert_eq!(time(UTC_TIME, "700101000000Z").unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(time(GENERALIZED_TIME, "21000301120000Z").unwrap(), "2100-03-01T12:00:00Z");
        for (tag, malformed) in [
            (UTC_TIME, "20500101000000Z"),
            (UTC_TIME, "501301000000Z"),
            (UTC_TIME, "5012010000Z"),
            (GENERALIZED_TIME, "20500101000000"),
            (GENERALIZED_TIME, "2050010100000xZ"),
            (SEQUENCE, ""),
        ] {
            assert_eq!(time(tag, malformed), None, "{malformed}");
        }
    }

    #[test]
    fn truncated_certificate_is_malformed() {
        let whole = certificate(&["www.example.com"]);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            parse(&bytes);
            let mut damaged = certificate(&["www.example.com"]);
            let at = at.index(damaged.len());
            damaged[at] = byte;
            parse(&damaged);
        }
    }
}
