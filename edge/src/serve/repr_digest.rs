//! `Repr-Digest`, on request (RFC 9530).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use verge_protocol::Digest;

/// The response field.
pub(crate) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");

/// Whether the request prefers SHA-256 with a weight above 0 (§4).
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(WANT_REPR_DIGEST).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|element| {
        let (algorithm, preference) = element.trim().split_once('=').unwrap_or((element.trim(), "0"));
        algorithm == "sha-256" && preference.parse().is_ok_and(|preference: u8| (1..=10).contains(&preference))
    })
}

/// The value of the field. The digest is the one in the manifest; nothing is hashed.
pub(crate) fn value(digest: Digest) -> HeaderValue {
    let text = format!("sha-256=:{}:", STANDARD.encode(digest.as_bytes()));
    HeaderValue::try_from(text).expect("base64 is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_wanted_only_with_a_valid_preference_for_sha_256() {
        let wanted = |value| is_wanted(&HeaderMap::from_iter([(WANT_REPR_DIGEST, HeaderValue::from_static(value))]));
        for yes in ["sha-256=1", "sha-256=10", "sha-512=3, sha-256=10", " sha-256=1 "] {
            assert!(wanted(yes), "{yes}");
        }
        for no in ["", "sha-256=0", "sha-256", "sha-512=10", "sha-256=11", "sha-256=x", "unixsum=1"] {
            assert!(!wanted(no), "{no}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn value_is_a_structured_byte_sequence() {
        // RFC 9530 §B.2: the digest of {"hello": "world"} and a line feed.
        let digest = Digest::of(b"{\"hello\": \"world\"}\n");
        assert_eq!(value(digest), "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:");
    }
}
