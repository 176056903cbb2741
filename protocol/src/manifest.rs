//! Manifests: what edges serve.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::build::{Fallback, HtmlPaths};
use crate::content::Content;
use crate::digest::Digest;
use crate::name::SiteName;
use crate::path::SitePath;
use crate::rules::Rules;
use crate::unique_keys;

/// A build with everything that serving needs: media types, cache lifetimes and precomputed encodings.
///
/// Its canonical bytes are the JSON of [`Manifest::to_bytes`]; their digest is its id. Recipients check the id against the bytes
/// received, never against their own serialization, so a newer origin may add fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The site it belongs to.
    pub site: SiteName,
    /// The response for paths without a file.
    #[serde(default)]
    pub fallback: Fallback,
    /// The file at each path.
    #[serde(deserialize_with = "unique_keys::deserialize")]
    pub files: BTreeMap<SitePath, File>,
    /// Paths of scripts that earlier releases of the site had and this one lacks, the most recent first, and before them those that
    /// the build names as legacy service workers. A browser that asks for a service worker there gets one that ends itself.
    /// `None`: an older origin built the manifest and did not look for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_scripts: Option<Vec<SitePath>>,
    /// How the addresses of pages relate to their files. An unknown way is read as the default one.
    #[serde(default, skip_serializing_if = "HtmlPaths::is_auto", deserialize_with = "known_html_paths")]
    pub html: HtmlPaths,
    /// Its redirects, headers and passwords.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub rules: Rules,
}

/// How many former scripts a manifest lists at most.
pub const FORMER_SCRIPTS_MAX: usize = 1000;

/// How the file at one path is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The `Content-Type`, including the charset if there is one.
    pub media_type: String,
    /// How long caches may keep it.
    pub lifetime: Lifetime,
    /// Whether a build tool named it by its content, as far as its name and its history tell. Later releases of the channel inherit
    /// such files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fingerprinted: bool,
    /// The bytes as built.
    pub identity: Content,
    /// The coding that the bytes as built are in: they are sent with it as `Content-Encoding`, whatever the reader accepts, since there
    /// is no other representation. Such a file has no `encodings`. An unknown coding is read as `None`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known_coding")]
    pub content_encoding: Option<Coding>,
    /// The encodings made ahead of time; only those that save bytes. Unknown codings are skipped on deserialization.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "known_codings")]
    pub encodings: BTreeMap<Coding, Content>,
}

/// How long caches may keep a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifetime {
    /// Forever (`immutable`, RFC 8246): the name certainly contains a content hash, and no release of the site had other bytes there.
    Immutable,
    /// Only with revalidation. An unknown lifetime is read as this one.
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
    /// All codings, the preferred one first.
    pub const ALL: [Self; 2] = [Self::Br, Self::Gzip];

    /// The token in `Content-Encoding` and `Accept-Encoding`.
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

/// The text is not a content coding known to this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown content coding `{0}`")]
pub struct CodingError(String);

impl FromStr for Coding {
    type Err = CodingError;

    fn from_str(token: &str) -> Result<Self, CodingError> {
        Self::ALL.into_iter().find(|coding| coding.token() == token).ok_or_else(|| CodingError(token.to_owned()))
    }
}

fn known_html_paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HtmlPaths, D::Error> {
    let name = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(name).unwrap_or_default())
}

fn known_coding<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Coding>, D::Error> {
    let coding = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(coding).ok())
}

fn known_codings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Coding, Content>, D::Error> {
    let named = BTreeMap::<String, Content>::deserialize(deserializer)?;
    Ok(named.into_iter().filter_map(|(token, content)| Some((token.parse().ok()?, content))).collect())
}

/// Why bytes are not the expected manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Their digest differs.
    #[error("manifest {expected} is corrupt: its bytes hash to {actual}")]
    Mismatch {
        /// The id that was expected.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// The digest matches, but the JSON is invalid.
    #[error("failed to parse manifest {id}")]
    Malformed {
        /// The id.
        id: Digest,
        /// Where and why.
        source: serde_json::Error,
    },
}

impl Manifest {
    /// The canonical bytes: JSON without white space, fields in declaration order, paths in byte order.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("maps are keyed by text and nothing else can fail")
    }

    /// Parses `bytes` if their digest is `id`.
    pub fn verify(id: Digest, bytes: &[u8]) -> Result<Self, ManifestError> {
        let actual = Digest::of(bytes);
        if actual != id {
            return Err(ManifestError::Mismatch { expected: id, actual });
        }
        serde_json::from_slice(bytes).map_err(|source| ManifestError::Malformed { id, source })
    }

    /// The paths of all scripts that are not fingerprinted: where browsers may have registered a service worker.
    pub fn scripts(&self) -> impl Iterator<Item = &SitePath> {
        self.files.iter().filter(|(_, file)| file.is_script() && !file.fingerprinted).map(|(path, _)| path)
    }

    /// Every content that serving may need: each file as built, and each of its encodings.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        self.files.values().flat_map(File::contents)
    }
}

impl File {
    /// Whether browsers run it as a script (HTML Standard, "JavaScript MIME type"); modern names only.
    pub fn is_script(&self) -> bool {
        let essence = self.media_type.split(';').next().unwrap_or_default().trim();
        matches!(essence, "text/javascript" | "application/javascript")
    }

    /// The content as built, and each of its encodings.
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
            content_encoding: None,
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
                (
                    "b.js.gz".parse().unwrap(),
                    File {
                        content_encoding: Some(Coding::Gzip),
                        ..file("text/javascript; charset=utf-8", Lifetime::Revalidate, content("gz"))
                    },
                ),
            ]),
            former_scripts: Some(vec!["sw.js".parse().unwrap()]),
            html: HtmlPaths::Auto,
            rules: Rules::default(),
        }
    }

    #[test]
    fn canonical_bytes_are_stable() {
        insta::assert_snapshot!(String::from_utf8(manifest().to_bytes()).unwrap());
    }

    #[test]
    fn verify_rejects_wrong_or_malformed_bytes() {
        let bytes = manifest().to_bytes();
        let id = Digest::of(&bytes);
        assert_eq!(Manifest::verify(id, &bytes).unwrap(), manifest());
        assert!(matches!(Manifest::verify(Digest::of(b""), &bytes), Err(ManifestError::Mismatch { .. })));
        assert!(matches!(Manifest::verify(Digest::of(b"{}"), b"{}"), Err(ManifestError::Malformed { .. })));
    }

    #[test]
    fn manifest_of_newer_origin_is_read() {
        let mut json = serde_json::to_value(manifest()).unwrap();
        json["signature"] = "x".into();
        json["html"] = "clean-urls".into();
        let file = &mut json["files"]["index.html"];
        file["lifetime"] = "a-week".into();
        file["content_encoding"] = "dcz".into();
        file["encodings"] = serde_json::json!({ "dcz": file["identity"] });
        let bytes = serde_json::to_vec(&json).unwrap();
        assert_eq!(Manifest::verify(Digest::of(&bytes), &bytes).unwrap(), manifest());
    }
}
