//! What an edge serves.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::build::Fallback;
use crate::content::Content;
use crate::digest::Digest;
use crate::name::SiteName;
use crate::path::SitePath;
use crate::unique_keys;

/// A build made servable: media types, cache lifetimes and ready-made encodings decided.
///
/// Its canonical bytes are the JSON of [`Manifest::to_bytes`]; their digest is its id. Readers check the id against the bytes
/// as they came, never against what they would have written, so a newer origin may add fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The site it was made for.
    pub site: SiteName,
    /// What answers paths that name no file.
    #[serde(default)]
    pub fallback: Fallback,
    /// What is served at each path.
    #[serde(deserialize_with = "unique_keys::deserialize")]
    pub files: BTreeMap<SitePath, File>,
}

/// How one path is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The `Content-Type`, with its charset where it has one.
    pub media_type: String,
    /// For how long a cache may keep it.
    pub lifetime: Lifetime,
    /// Whether its name has the shape of a content hash. Such files are inherited by the next releases of their channel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fingerprinted: bool,
    /// The bytes as the build had them.
    pub identity: Content,
    /// The same, encoded ahead of time; only codings that save bytes. A coding that a reader does not know is skipped.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "known_codings")]
    pub encodings: BTreeMap<Coding, Content>,
}

/// For how long a cache may keep a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifetime {
    /// For good: its name is a content hash beyond doubt, and no release of the site served other bytes there.
    Immutable,
    /// Only after asking. Also what a reader makes of a lifetime it does not know.
    #[serde(other)]
    Revalidate,
}

/// A content coding (RFC 9110 §8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coding {
    /// Brotli (RFC 7932).
    Br,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// Every coding, the one to prefer first.
    pub const ALL: [Self; 2] = [Self::Br, Self::Gzip];

    /// Its token in `Content-Encoding`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.token())
    }
}

/// Text that is not a coding this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a content coding known here")]
pub struct CodingError(String);

impl FromStr for Coding {
    type Err = CodingError;

    fn from_str(token: &str) -> Result<Self, CodingError> {
        Self::ALL.into_iter().find(|coding| coding.token() == token).ok_or_else(|| CodingError(token.to_owned()))
    }
}

fn known_codings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Coding, Content>, D::Error> {
    let named = BTreeMap::<String, Content>::deserialize(deserializer)?;
    Ok(named.into_iter().filter_map(|(token, content)| Some((token.parse().ok()?, content))).collect())
}

/// Why bytes are not the manifest they were said to be.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// They hash to something else.
    #[error("the bytes said to be manifest {expected} hash to {actual}")]
    Mismatch {
        /// The id they came under.
        expected: Digest,
        /// The digest they have.
        actual: Digest,
    },
    /// They are the right bytes, but not JSON of this shape.
    #[error("manifest {id} cannot be read")]
    Malformed {
        /// The id.
        id: Digest,
        /// Where and why.
        source: serde_json::Error,
    },
}

impl Manifest {
    /// The canonical bytes: JSON without white space, fields in the order declared, paths in byte order.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("maps are keyed by text and nothing else can fail")
    }

    /// Reads `bytes` only if they hash to `id`.
    pub fn verify(id: Digest, bytes: &[u8]) -> Result<Self, ManifestError> {
        let actual = Digest::of(bytes);
        if actual != id {
            return Err(ManifestError::Mismatch { expected: id, actual });
        }
        serde_json::from_slice(bytes).map_err(|source| ManifestError::Malformed { id, source })
    }

    /// Every content that serving it may need: each file as built, and each of its encodings.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        self.files.values().flat_map(File::contents)
    }
}

impl File {
    /// Every content that serving it may need.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.identity).chain(self.encodings.values())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn manifest() -> Manifest {
        let content = |bytes: &'static str| Content::cut(&Bytes::from_static(bytes.as_bytes())).0;
        let file = |media_type: &str, lifetime, identity| File {
            media_type: media_type.to_owned(),
            lifetime,
            fingerprinted: lifetime == Lifetime::Immutable,
            identity,
            encodings: BTreeMap::new(),
        };
        let mut script = file("text/javascript; charset=utf-8", Lifetime::Immutable, content("let a"));
        script.encodings.insert(Coding::Br, content("br"));
        Manifest {
            site: "demo".parse().unwrap(),
            fallback: Fallback::SinglePage { path: "index.html".parse().unwrap() },
            files: BTreeMap::from([
                ("index.html".parse().unwrap(), file("text/html; charset=utf-8", Lifetime::Revalidate, content("<p>"))),
                ("assets/a-0b1c2d3e.js".parse().unwrap(), script),
            ]),
        }
    }

    #[test]
    fn canonical_bytes() {
        insta::assert_snapshot!(String::from_utf8(manifest().to_bytes()).unwrap());
    }

    #[test]
    fn only_the_right_bytes_are_read() {
        let bytes = manifest().to_bytes();
        let id = Digest::of(&bytes);
        assert_eq!(Manifest::verify(id, &bytes).unwrap(), manifest());
        assert!(matches!(Manifest::verify(Digest::of(b""), &bytes), Err(ManifestError::Mismatch { .. })));
        assert!(matches!(Manifest::verify(Digest::of(b"{}"), b"{}"), Err(ManifestError::Malformed { .. })));
    }

    #[test]
    fn what_a_newer_origin_adds_is_passed_over() {
        let mut json = serde_json::to_value(manifest()).unwrap();
        json["signature"] = "x".into();
        let file = &mut json["files"]["index.html"];
        file["lifetime"] = "a-week".into();
        file["encodings"] = serde_json::json!({ "dcz": file["identity"] });
        let bytes = serde_json::to_vec(&json).unwrap();
        assert_eq!(Manifest::verify(Digest::of(&bytes), &bytes).unwrap(), manifest());
    }
}
