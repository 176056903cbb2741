//! What a channel answers a request with, before the response is made: steps 5 to 6b.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};

use super::password::{self, Access, SentFile};
use super::request_path::RequestPath;
use super::resolve::{First, Resolution, Unresolved};
use super::rules::SiteHost;
use super::{accept, asset, former_worker, rules};
use crate::table::{Channel, Resource};

/// What a request is answered with.
pub(super) struct Decision<'a> {
    /// The path that is requested.
    pub(super) path: RequestPath<'a>,
    /// The number of the redirect rule that the answer follows, if it follows one.
    pub(super) rule: Option<usize>,
    /// What passwords say.
    pub(super) access: Access,
    pub(super) answer: Answer,
}

/// What a response is of.
pub(super) enum Answer {
    /// The request lacks the password.
    PasswordRequired,
    /// A service worker that only earlier releases had.
    FormerWorker,
    /// A rule redirects.
    Redirect { status: StatusCode, location: HeaderValue },
    /// As [`Unresolved::Moved`].
    Moved(&'static str),
    /// As [`Unresolved::NotFound`].
    NotFound { by_destination: bool },
    /// A file whose bytes were erased.
    Erased,
    /// A file.
    File(Resolution),
}

impl<'a> Decision<'a> {
    /// Decides what `channel` answers `request` with. `None`: the request has no path.
    pub(super) fn make<B>(channel: &Channel, host: &SiteHost<'_>, request: &'a Request<B>) -> Option<Self> {
        let (uri, headers) = (request.uri(), request.headers());
        // 5. Path.
        let path = RequestPath::parse(uri.path()).ok()?;
        // 5a. Rules: the first redirect that applies.
        let rules = channel.own().rules();
        let rule = rules::find(rules.redirects(), uri, host);
        // 6. Resolve.
        let first = First::find(channel, &path, rule);
        let rule = first.rule();
        let resolution = first.resolve(channel, &path, || asset::destination(headers));
        // 6a. Passwords, of the path and of the file.
        let paths = meant_paths(uri, &resolution);
        let access = password::check(rules, &paths, sent_file(&resolution, headers), headers, host.is_preview);
        let answer = if access == Access::Denied {
            Answer::PasswordRequired
        } else if former_worker::is_requested(channel, &path, headers) {
            // 6b.
            Answer::FormerWorker
        } else {
            match resolution {
                Err(Unresolved::Redirect { status, location }) => Answer::Redirect { status, location },
                Err(Unresolved::Moved(suffix)) => Answer::Moved(suffix),
                Err(Unresolved::NotFound { by_destination }) => Answer::NotFound { by_destination },
                Ok(resolution) if resolution.is_erased() => Answer::Erased,
                Ok(resolution) => Answer::File(resolution),
            }
        };
        Some(Self { path, rule, access, answer })
    }

    /// The file that is sent, if the answer is one.
    pub(super) fn sent(&self, headers: &HeaderMap) -> Option<&Arc<Resource>> {
        let Answer::File(resolution) = &self.answer else { return None };
        Some(resolution.sent(|| accept::prefers_markdown(headers)))
    }
}

/// The path of the request, and where it leads: with single slashes, and at the address of what it is redirected to. A file that has a
/// password must not be told from one that does not exist.
fn meant_paths<'u>(uri: &'u Uri, resolution: &Result<Resolution, Unresolved>) -> Vec<Cow<'u, str>> {
    let path = uri.path();
    let with_single_slashes = || {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        format!("/{}", segments.join("/"))
    };
    let mut paths = vec![Cow::Borrowed(path)];
    if path.contains("//") {
        paths.push(with_single_slashes().into());
    }
    if let Err(Unresolved::Moved(suffix)) = resolution {
        paths.push((with_single_slashes() + suffix).into());
    }
    paths
}

fn sent_file<'a>(resolution: &'a Result<Resolution, Unresolved>, headers: &HeaderMap) -> Option<SentFile<'a>> {
    let resolution = resolution.as_ref().ok()?;
    let path = resolution.sent(|| accept::prefers_markdown(headers)).path();
    Some(SentFile { path, is_at_path: resolution.is_at_path() })
}

#[cfg(test)]
mod tests {
    use verge_protocol::rules::{Credential, PasswordRule};

    use super::*;
    use crate::test_support::ChannelBuilder;

    fn answer(target: &str) -> &'static str {
        let users = vec![Credential::new("demo", "ann:x")];
        let password = |pattern: &str| PasswordRule {
            pattern: pattern.parse().unwrap(),
            only_previews: false,
            users: users.clone(),
        };
        let paths = ["staff/q3.pdf", "docs/index.html", "page.html", "open/index.html"];
        let channel = ChannelBuilder::new(&paths)
            .passwords(vec![password("/staff/*"), password("/docs/index.html"), password("/page")])
            .build();
        let request = Request::builder().uri(target).body(()).unwrap();
        let host = SiteHost { name: "demo.example", port: None, is_tls: true, is_preview: false };
        match Decision::make(&channel, &host, &request).unwrap().answer {
            Answer::PasswordRequired => "401",
            Answer::Moved(_) => "308",
            Answer::NotFound { .. } => "404",
            _ => "other",
        }
    }

    #[test]
    fn redirect_to_the_address_of_a_protected_file_needs_its_password() {
        for (target, expected) in [
            ("//staff/q3.pdf", "401"),
            ("//staff/none.pdf", "401"),
            ("/staff//q3.pdf", "401"),
            ("///staff///none", "401"),
            ("//%73taff/q3.pdf", "401"),
            ("/page/", "401"),
            ("//page", "401"),
            ("/open", "308"),
            ("//open", "308"),
            ("//none.pdf", "404"),
        ] {
            assert_eq!(answer(target), expected, "{target}");
        }
    }
}
