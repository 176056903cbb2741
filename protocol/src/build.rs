//! The build that a push sends: every path with its content, and the site's settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::path::SitePath;
use crate::rules::Rules;
use crate::unique_keys;

/// A build as scanned from disk by the client. It is sent as compressed JSON (see [`crate::compression`]); the origin answers
/// which blobs it lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The content of each path. Deserialization fails on a duplicate path.
    #[serde(deserialize_with = "unique_keys::deserialize")]
    pub files: BTreeMap<SitePath, Content>,
    /// The response for paths without a file.
    #[serde(default)]
    pub fallback: Fallback,
    /// Paths where the site once had a service worker that is to end, whether or not this build has a file there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legacy_service_workers: Vec<SitePath>,
    /// How the addresses of pages relate to their files.
    #[serde(default, skip_serializing_if = "HtmlPaths::is_auto")]
    pub html: HtmlPaths,
    /// Its redirects, headers and passwords.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub rules: Rules,
}

/// How the addresses of pages relate to their files (`docs/FORMATS.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HtmlPaths {
    /// Each file with a page has one address, without `.html` or `index.html`: `/file`, and `/folder/`. Others redirect to it.
    #[default]
    Auto,
    /// Nothing redirects: `x.html` and `x/index.html` answer both `/x` and `/x/`, the first of them if there are both.
    Keep,
}

impl HtmlPaths {
    /// Whether this is [`Self::Auto`].
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// The response for a path without a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fallback {
    /// This page with status 200, for navigations only: client-side routes of a single-page app.
    SinglePage {
        /// The page, usually `index.html`.
        path: SitePath,
    },
    /// The nearest `404.html` up the tree, else a plain 404. An unknown kind is read as this one.
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
    fn build_with_duplicate_path_is_rejected() {
        let content = serde_json::to_string(&Content::cut(&"x".into()).0).unwrap();
        let json = format!(r#"{{"files":{{"a.txt":{content},"a.txt":{content}}}}}"#);
        let error = serde_json::from_str::<Build>(&json).unwrap_err();
        assert!(error.to_string().starts_with("duplicate key `a.txt`"), "{error}");
    }

    #[test]
    fn fallback_of_unknown_kind_is_not_found() {
        let parse = |json: &str| serde_json::from_str::<Fallback>(json).unwrap();
        assert_eq!(parse(r#"{"kind":"mirror","of":"x"}"#), Fallback::NotFound);
        let page = Fallback::SinglePage { path: "index.html".parse().unwrap() };
        assert_eq!(parse(r#"{"kind":"single-page","path":"index.html"}"#), page);
    }
}
