//! What a push sends: every path with its content, and the site's settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::path::SitePath;
use crate::unique_keys;

/// A build as the client found it on disk. It travels as JSON, compressed (see [`crate::compression`]); the origin answers
/// which blobs it lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// What is served at each path. A path named twice is an error.
    #[serde(deserialize_with = "unique_keys::deserialize")]
    pub files: BTreeMap<SitePath, Content>,
    /// What answers paths that name no file.
    #[serde(default)]
    pub fallback: Fallback,
}

/// What answers a path that names no file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fallback {
    /// This page with status 200, for navigations only: a single-page app's client-side routes.
    SinglePage {
        /// The page, usually `index.html`.
        path: SitePath,
    },
    /// The nearest `404.html` up the tree, else a plain 404. Also what a reader makes of a kind it does not know.
    #[default]
    #[serde(other)]
    NotFound,
}

impl Build {
    /// The sum of the sizes of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(Content::size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_named_twice_is_refused() {
        let content = serde_json::to_string(&Content::cut(&"x".into()).0).unwrap();
        let json = format!(r#"{{"files":{{"a.txt":{content},"a.txt":{content}}}}}"#);
        let error = serde_json::from_str::<Build>(&json).unwrap_err();
        assert!(error.to_string().starts_with("`a.txt` is named twice"), "{error}");
    }

    #[test]
    fn a_fallback_from_the_future_falls_back_to_not_found() {
        let parse = |json: &str| serde_json::from_str::<Fallback>(json).unwrap();
        assert_eq!(parse(r#"{"kind":"mirror","of":"x"}"#), Fallback::NotFound);
        let page = Fallback::SinglePage { path: "index.html".parse().unwrap() };
        assert_eq!(parse(r#"{"kind":"single-page","path":"index.html"}"#), page);
    }
}
