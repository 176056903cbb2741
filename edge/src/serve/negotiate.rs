//! Which representation of a resource to send (RFC 9110 §12.5.3).

use http::{HeaderMap, header};
use verge_protocol::Coding;

use crate::table::{Representation, Resource};

/// The representation to send whole.
pub(crate) fn negotiate<'a>(resource: &'a Resource, headers: &HeaderMap) -> &'a Representation {
    if !resource.has_encodings() {
        return resource.identity();
    }
    let fields = headers.get_all(header::ACCEPT_ENCODING).iter();
    let accepted = Accepted::read(fields.filter_map(|field| field.to_str().ok()));
    let wanted = accepted.best(|coding| resource.representation(Some(coding)).is_some());
    resource.representation(wanted).unwrap_or_else(|| resource.identity())
}

/// What a reader takes: weights in thousandths; `None` where nothing was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Accepted {
    coded: [Option<u16>; Coding::ALL.len()],
    identity: Option<u16>,
    any: Option<u16>,
}

impl Accepted {
    /// Reads all `Accept-Encoding` fields of a request. An element that is not of the grammar is passed over; a coding that
    /// is named twice gets its lowest weight, since identity is always right and a coding may not be.
    fn read<'a>(fields: impl Iterator<Item = &'a str>) -> Self {
        let mut accepted = Self::default();
        for element in fields.flat_map(|field| field.split(',')) {
            let mut parts = element.split(';');
            let token = parts.next().unwrap_or_default().trim_matches([' ', '\t']);
            let Some(weight) = weight(parts) else { continue };
            let slot = match token {
                "*" => &mut accepted.any,
                _ if token.eq_ignore_ascii_case("identity") => &mut accepted.identity,
                _ if token.eq_ignore_ascii_case("br") => &mut accepted.coded[Coding::Br as usize],
                // RFC 9110 §8.4.1.3: recipients take `x-gzip` for `gzip`.
                _ if token.eq_ignore_ascii_case("gzip") || token.eq_ignore_ascii_case("x-gzip") => {
                    &mut accepted.coded[Coding::Gzip as usize]
                }
                _ => continue,
            };
            *slot = Some(slot.map_or(weight, |before| before.min(weight)));
        }
        accepted
    }

    /// The coding to send, `None` for identity. Identity also where nothing is acceptable: bytes that a reader can use are
    /// worth more than a 406.
    fn best(&self, available: impl Fn(Coding) -> bool) -> Option<Coding> {
        let weight = |coding: Coding| self.coded[coding as usize].or(self.any).unwrap_or(0);
        let mut best = None;
        // Without a word about it, identity is acceptable, but anything asked for goes first.
        let mut best_weight = self.identity.unwrap_or(0).saturating_sub(1);
        for coding in Coding::ALL.into_iter().filter(|coding| available(*coding)) {
            if weight(coding) > best_weight {
                best = Some(coding);
                best_weight = weight(coding);
            }
        }
        best
    }
}

/// The weight among an element's parameters, in thousandths; 1000 without one; `None` if it is not of the grammar
/// (RFC 9110 §12.4.2: 0 to 1 with at most three decimals).
fn weight<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    let mut weight = 1000;
    for parameter in parameters {
        let (name, value) = parameter.trim_matches([' ', '\t']).split_once('=')?;
        if !name.eq_ignore_ascii_case("q") {
            return None;
        }
        let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
        if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let mut digits = decimals.bytes().chain(std::iter::repeat(b'0'));
        let thousandths = (0..3).fold(0, |sum, _| sum * 10 + u16::from(digits.next().unwrap_or(b'0') - b'0'));
        weight = match whole {
            "0" => thousandths,
            "1" if thousandths == 0 => 1000,
            _ => return None,
        };
    }
    Some(weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best(field: &str, available: &[Coding]) -> &'static str {
        Accepted::read([field].into_iter()).best(|coding| available.contains(&coding)).map_or("identity", Coding::token)
    }

    #[test]
    fn the_reader_chooses() {
        for (field, chosen) in [
            ("", "identity"),
            ("gzip, deflate, br, zstd", "br"),
            ("gzip", "gzip"),
            ("GZip", "gzip"),
            ("x-gzip", "gzip"),
            ("deflate", "identity"),
            ("gzip;q=1.0, br;q=0.5", "gzip"),
            ("br;q=0.5, gzip;q=0.5", "br"),
            ("br;q=0", "identity"),
            ("br;q=0.000, gzip;q=0.001", "gzip"),
            ("*", "br"),
            ("*;q=0.5, br;q=0", "gzip"),
            ("*;q=0", "identity"),
            ("identity", "identity"),
            ("identity, gzip", "gzip"),
            ("identity;q=1, br;q=0.9", "identity"),
            ("identity;q=0.5, gzip;q=0.5", "gzip"),
            ("identity;q=0", "identity"),
            ("identity;q=0, *", "br"),
            ("  br ;\tq=0.8 , gzip ; q=0.9", "gzip"),
            (",,br,,", "br"),
            ("br, br;q=0", "identity"),
            ("br;q=2", "identity"),
            ("br;q=0.1234", "identity"),
            ("br;q=", "identity"),
            ("br;q", "identity"),
            ("br;level=4", "identity"),
            ("br;Q=1.000", "br"),
            ("brotli", "identity"),
        ] {
            assert_eq!(best(field, &Coding::ALL), chosen, "{field:?}");
        }
        assert_eq!(best("br, gzip;q=0.1", &[Coding::Gzip]), "gzip");
        assert_eq!(best("br", &[Coding::Gzip]), "identity");
        assert_eq!(best("br", &[]), "identity");
    }

    #[test]
    fn several_fields_are_one_list() {
        let accepted = Accepted::read(["gzip;q=0.5", "br;q=0.4"].into_iter());
        assert_eq!(accepted, Accepted::read(["gzip;q=0.5, br;q=0.4"].into_iter()));
    }

    proptest! {
        #[test]
        fn arbitrary_fields_never_panic(field in "(\\PC|br|gzip|;q=|0\\.|[,;=*]){0,20}") {
            let _ = best(&field, &Coding::ALL);
        }
    }
}
