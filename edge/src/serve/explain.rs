//! What an edge answers for a site, and why, where there is no edge: the same code, from manifests alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use http::uri::InvalidUri;
use http::{HeaderMap, Request, StatusCode};
use prometheus_client::registry::Registry;
use verge_protocol::host::HostLabel;
use verge_protocol::https::SiteHttps;
use verge_protocol::purge::PurgeScope;
use verge_protocol::{Digest, Manifest, ReleaseNumber};

use super::common_headers::{CommonHeaders, VERGE_EDGE};
use super::decision::{Answer, Decision};
use super::request_path::RequestPath;
use super::resolve::Resolution;
use super::respond;
use super::site::{self, SiteHost};
use crate::metrics::Metrics;
use crate::table::{Channel, HttpsPolicy, InheritedRelease, InheritedReleases, Resources};

/// A channel as edges serve it.
pub struct SiteModel {
    channel: Channel,
    https: HttpsPolicy,
    common: CommonHeaders,
}

/// Where a request comes in.
#[derive(Debug, Clone, Copy)]
pub struct RequestedHost<'a> {
    /// The host, in lowercase and without a port.
    pub name: &'a str,
    /// Whether it is asked over TLS.
    pub is_tls: bool,
    /// Whether it is neither the site's own host nor a domain of it.
    pub is_preview: bool,
}

/// What a request is answered with, and why.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The status.
    pub status: StatusCode,
    /// The headers, but for those about the edge and its cache.
    pub headers: HeaderMap,
    /// What decided.
    pub cause: Cause,
    /// The path of the file that is sent.
    pub file: Option<String>,
    /// The number of the redirect rule of the manifest that the answer follows.
    pub redirect_rule: Option<usize>,
    /// The numbers of the header rules of the manifest that are for the path.
    pub header_rules: Vec<usize>,
}

/// What decided about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There is a file at the path.
    File,
    /// Not the release has a file at the path, but an earlier one, whose fingerprinted files are still served.
    Inherited,
    /// There is a page at the path, and its Markdown twin was asked for.
    MarkdownTwin,
    /// A redirect rule.
    Rule,
    /// The page at the path has another address.
    OtherAddress,
    /// There is nothing at the path: the page of the single-page app answers.
    SinglePage,
    /// There is nothing at the path: the site's own 404 page answers.
    NotFoundPage,
    /// There is nothing at the path, and no page to answer with.
    NotFound,
    /// The bytes of the file were erased.
    Erased,
    /// The path or the file has a password, and the request has none or another.
    Password,
    /// A browser asks for a service worker that the site once had.
    FormerWorker,
    /// The request has no path.
    InvalidPath,
}

impl SiteModel {
    /// A channel at `own`, which inherits from other manifests, the most recent first, except at the paths that were purged. `erased` are the
    /// contents that the site must not serve.
    pub fn new(
        label: HostLabel,
        release: ReleaseNumber,
        own: Manifest,
        inherited: Vec<(Manifest, Vec<PurgeScope>)>,
        erased: &BTreeSet<Digest>,
        https: &SiteHttps,
    ) -> Self {
        let resources = |manifest: Manifest| {
            let all = Resources::new(Digest::of(&manifest.to_bytes()), manifest);
            Arc::new(all.erase(erased).unwrap_or(all))
        };
        let inherit =
            |(manifest, without)| InheritedRelease { resources: resources(manifest), without, only_immutable: false };
        let older = inherited.into_iter().map(inherit).collect();
        let inherited = InheritedReleases { newer: Vec::new(), older };
        let traffic = Metrics::new(&mut Registry::default()).unrouted;
        let common = CommonHeaders::new(&"none".parse().expect("a name of an edge"));
        let channel = Channel::new(label, release, resources(own), inherited, traffic);
        Self { channel, https: HttpsPolicy::new(https), common }
    }

    /// Answers a GET for `target`, a percent-encoded path and perhaps a query. An error if it is none.
    pub fn explain(
        &self,
        target: &str,
        headers: HeaderMap,
        host: RequestedHost<'_>,
    ) -> Result<Explanation, InvalidUri> {
        let mut request = Request::new(());
        *request.uri_mut() = target.parse()?;
        *request.headers_mut() = headers;
        Ok(self.explain_request(&request, host))
    }

    fn explain_request(&self, request: &Request<()>, host: RequestedHost<'_>) -> Explanation {
        let RequestedHost { name, is_tls, is_preview } = host;
        let host = SiteHost { name, is_tls, is_preview };
        let without_body = |head| respond::without_body(head, &self.channel);
        let response = site::answer(&self.channel, &host, request, &self.common, without_body);
        let response = if is_preview { response.not_indexed() } else { response };
        let response = response.with_hsts(self.https.hsts().filter(|_| is_tls));
        let Ok(response) = response.now_or_never().expect("no blob is waited for");
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(VERGE_EDGE);
        let (status, headers) = (parts.status, parts.headers);
        let Ok(path) = RequestPath::parse(request.uri().path()) else {
            let (cause, header_rules) = (Cause::InvalidPath, Vec::new());
            return Explanation { status, headers, cause, file: None, redirect_rule: None, header_rules };
        };
        let decision = Decision::make(&self.channel, &host, &path, request);
        let is_own = |file: &str| self.channel.own().get(file).is_some();
        let (cause, file) = match &decision.answer {
            Answer::PasswordRequired => (Cause::Password, None),
            Answer::FormerWorker => (Cause::FormerWorker, None),
            Answer::Redirect { .. } => (Cause::Rule, None),
            Answer::Moved(_) => (Cause::OtherAddress, None),
            Answer::NotFound { .. } => (Cause::NotFound, None),
            Answer::Erased => (Cause::Erased, None),
            Answer::File(resolution) => {
                let sent = decision.sent(request.headers()).expect("a file is sent");
                let cause = match resolution {
                    _ if decision.rule.is_some() && !matches!(resolution, Resolution::File(_)) => Cause::Rule,
                    Resolution::File(file) if !Arc::ptr_eq(file, sent) => Cause::MarkdownTwin,
                    Resolution::File(file) if is_own(file.path()) => Cause::File,
                    Resolution::File(_) => Cause::Inherited,
                    Resolution::SinglePage(_) => Cause::SinglePage,
                    Resolution::Rewritten(_) => Cause::Rule,
                    Resolution::ErrorPage { .. } => Cause::NotFoundPage,
                };
                (cause, Some(sent.path().to_owned()))
            }
        };
        let header_rules = self.channel.own().rules().headers_of(request.uri().path());
        let header_rules = header_rules.map(|headers| headers.numbers().to_vec()).unwrap_or_default();
        Explanation { status, headers, cause, file, redirect_rule: decision.rule, header_rules }
    }
}
