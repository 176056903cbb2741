//! Generated sites, as manifests.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use verge_protocol::manifest::File;
use verge_protocol::rules::{FoldedPath, HeaderChange, HeaderRule, PasswordRule, Redirect, Rules};
use verge_protocol::{Coding, Fallback, HtmlPaths, Lifetime, Manifest, SitePath};

use super::Original;

/// A file of a generated manifest.
#[derive(Debug, Clone)]
pub(super) struct TestFile {
    pub(super) original: usize,
    pub(super) codings: Vec<Coding>,
    pub(super) is_immutable: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) files: BTreeMap<String, TestFile>,
    pub(super) is_single_page: bool,
    pub(super) keeps_addresses: bool,
    pub(super) redirects: Vec<Redirect>,
    pub(super) headers: Vec<HeaderRule>,
    pub(super) passwords: Vec<PasswordRule>,
}

impl Site {
    pub(super) fn manifest(&self, originals: &[Original]) -> Manifest {
        let file = |(path, file): (&String, &TestFile)| {
            let original = &originals[file.original];
            let encodings = file.codings.iter().map(|coding| (*coding, original.encodings[coding].content.clone()));
            let lifetime = if file.is_immutable { Lifetime::Immutable } else { Lifetime::Revalidate };
            let file = File {
                media_type: media_type(path).to_owned(),
                lifetime,
                fingerprinted: file.is_immutable,
                identity: original.identity.content.clone(),
                content_encoding: None,
                encodings: encodings.collect(),
            };
            (path.parse::<SitePath>().unwrap(), file)
        };
        let fallback = if self.is_single_page {
            Fallback::SinglePage { path: "index.html".parse().unwrap() }
        } else {
            Fallback::NotFound
        };
        let (redirects, headers) = (self.redirects.clone(), self.headers.clone());
        Manifest {
            site: "demo".parse().unwrap(),
            fallback,
            files: self.files.iter().map(file).collect(),
            former_scripts: None,
            html: if self.keeps_addresses { HtmlPaths::Keep } else { HtmlPaths::Auto },
            rules: Rules { redirects, headers, passwords: self.passwords.clone(), ..Rules::default() },
        }
    }

    /// Whether a file has the path of a target, or that of a page is the target.
    pub(super) fn has_page_or_file(&self, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or_default();
        let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let path = segments.join("/");
        ["", ".html", ".htm", "/index.html", "/index.htm"].iter().any(|suffix| {
            let name = format!("{path}{suffix}");
            self.files.contains_key(name.trim_start_matches('/'))
        })
    }

    /// The last change of `name` by the header rules for `path`.
    pub(super) fn header(&self, path: &str, name: &str) -> Option<&HeaderChange> {
        let path = FoldedPath::new(path);
        let matching = self.headers.iter().filter(|rule| rule.pattern.matches(&path));
        matching.flat_map(|rule| &rule.headers).rfind(|change| change.name() == name)
    }

    /// Whether a rule asks for a password at `path`.
    pub(super) fn is_protected(&self, path: &str) -> bool {
        let path = FoldedPath::new(path);
        self.passwords.iter().any(|rule| !rule.only_previews && rule.pattern.matches(&path))
    }
}

pub(super) fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "html" | "htm")) => "text/html; charset=utf-8",
        Some((_, "md")) => "text/markdown; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "woff2")) => "font/woff2",
        _ => "application/octet-stream",
    }
}
