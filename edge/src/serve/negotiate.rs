//! Negotiation of the content coding (RFC 9110 §12.5.3).

use http::{HeaderMap, header};
use verge_protocol::Coding;

use super::weight;
use crate::table::{Representation, Resource};

/// Selects the representation to send.
pub(crate) fn negotiate<'a>(resource: &'a Resource, headers: &HeaderMap) -> &'a Representation {
    if !resource.has_encodings() {
        return resource.identity();
    }
    let coding = best_coding(headers, |coding| resource.representation(Some(coding)).is_some());
    resource.representation(coding).unwrap_or_else(|| resource.identity())
}

/// The coding to send, of those that are available; `None` for identity.
pub(super) fn best_coding(headers: &HeaderMap, is_available: impl Fn(Coding) -> bool) -> Option<Coding> {
    let fields = headers.get_all(header::ACCEPT_ENCODING).iter();
    Accepted::parse(fields.filter_map(|field| field.to_str().ok())).best(is_available)
}

/// The weights of the codings that a reader accepts, in thousandths; `None` if not mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Accepted {
    codings: [Option<u16>; Coding::ALL.len()],
    identity: Option<u16>,
    any: Option<u16>,
}

impl Accepted {
    /// Parses all `Accept-Encoding` fields of a request. Malformed elements are ignored. A coding that is listed twice gets its
    /// lowest weight, since identity is always safe and a coding may not be.
    fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> Self {
        let mut accepted = Self::default();
        for element in fields.flat_map(|field| field.split(',')) {
            let mut parts = element.split(';');
            let token = parts.next().unwrap_or_default().trim_matches([' ', '\t']);
            let Some(weight) = weight(parts) else { continue };
            let slot = match token {
                "*" => &mut accepted.any,
                _ if token.eq_ignore_ascii_case("identity") => &mut accepted.identity,
                _ if token.eq_ignore_ascii_case("br") => &mut accepted.codings[Coding::Br as usize],
                // RFC 9110 §8.4.1.3: `x-gzip` is equivalent to `gzip`.
                _ if token.eq_ignore_ascii_case("gzip") || token.eq_ignore_ascii_case("x-gzip") => {
                    &mut accepted.codings[Coding::Gzip as usize]
                }
                _ => continue,
            };
            *slot = Some(slot.map_or(weight, |before| before.min(weight)));
        }
        accepted
    }

    /// The coding to send; `None` for identity, even if the reader accepts nothing: it is more useful than a 406.
    fn best(&self, available: impl Fn(Coding) -> bool) -> Option<Coding> {
        let weight = |coding: Coding| self.codings[coding as usize].or(self.any).unwrap_or(0);
        let mut best = None;
        // Identity that is not mentioned is acceptable, but every coding that is takes precedence.
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

/// The weight among an element's parameters, in thousandths; 1000 by default; `None` if there is another parameter, or it is malformed.
fn weight<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    let mut weight = weight::MAX;
    for parameter in parameters {
        let (name, value) = parameter.trim_matches([' ', '\t']).split_once('=')?;
        if !name.eq_ignore_ascii_case("q") {
            return None;
        }
        weight = weight::parse(value)?;
    }
    Some(weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best(field: &str, available: &[Coding]) -> &'static str {
        Accepted::parse([field].into_iter())
            .best(|coding| available.contains(&coding))
            .map_or("identity", Coding::token)
    }

    #[test]
    fn best_coding_has_the_highest_weight() {
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
    fn several_fields_parse_like_one_list() {
        let accepted = Accepted::parse(["gzip;q=0.5", "br;q=0.4"].into_iter());
        assert_eq!(accepted, Accepted::parse(["gzip;q=0.5, br;q=0.4"].into_iter()));
    }

    proptest! {
        #[test]
        fn arbitrary_fields_do_not_panic(field in "(\\PC|br|gzip|;q=|0\\.|[,;=*]){0,20}") {
            let _ = best(&field, &Coding::ALL);
        }
    }
}
