//! What an edge answers at a host of a site, and why, where there is no edge: the same code, from manifests alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use prometheus_client::registry::Registry;
use verge_protocol::health::HEALTH_PATH;
use verge_protocol::host::HostLabel;
use verge_protocol::https::SiteHttps;
use verge_protocol::purge::PurgeScope;
use verge_protocol::{Digest, DomainName, Manifest, ReleaseNumber};

use super::builtin_responses::{self, BuiltinResponse};
use super::common_headers::{CommonHeaders, VERGE_EDGE};
use super::decision::{Answer, Decision};
use super::framing::{self, End};
use super::redirect;
use super::resolve::Resolution;
use super::respond::{self, ResponseFuture};
use super::rules::SiteHost;
use super::site;
use crate::challenges::Challenges;
use crate::metrics::Metrics;
use crate::table::{Channel, HttpsPolicy, InheritedRelease, InheritedReleases, Resources};

/// A host of a site as edges serve it.
pub struct HostModel {
    name: DomainName,
    is_preview: bool,
    redirect_to: Option<DomainName>,
    https: HttpsPolicy,
    has_certificate: bool,
    channel: Channel,
    common: CommonHeaders,
}

/// What edges know of a host.
pub struct HostFacts<'a> {
    /// The host.
    pub name: DomainName,
    /// The channel of a site that it serves; of the host of a release, `live`.
    pub label: HostLabel,
    /// Whether it is neither the site's own host nor a domain of it.
    pub is_preview: bool,
    /// The release.
    pub release: ReleaseNumber,
    /// Its manifest.
    pub manifest: Manifest,
    /// The manifests that it inherits from, the most recent first, but not at the paths that were purged.
    pub inherited: Vec<(Manifest, Vec<PurgeScope>)>,
    /// The contents that the site does not serve any more.
    pub erased: &'a BTreeSet<Digest>,
    /// The domain that all paths redirect to.
    pub redirect_to: Option<DomainName>,
    /// How readers reach the site over TLS.
    pub https: SiteHttps,
    /// Whether there is a certificate for it.
    pub has_certificate: bool,
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
    /// Whether an edge that has a certificate for the host redirects the request to TLS.
    pub requires_tls: bool,
    /// The path of the file that is sent.
    pub file: Option<String>,
    /// The headers that header rules have set, each with the number of the rule in the manifest.
    pub ruled_headers: Vec<(HeaderName, usize)>,
}

/// What decided about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There is a file at the path.
    File,
    /// An earlier release has a fingerprinted file at the path; this one does not.
    Inherited,
    /// There is a page at the path, and its Markdown twin was asked for.
    MarkdownTwin,
    /// The redirect rule of the manifest with this number.
    Rule(usize),
    /// The page or file has another address.
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
    /// The host is served over TLS.
    OverTls,
    /// The domain redirects to another.
    Domain,
    /// It is the health page of the edge.
    Health,
    /// The request is malformed, too long, or expects what no edge does.
    Refused,
}

impl HostModel {
    /// A host of which edges know these facts.
    pub fn new(facts: HostFacts<'_>) -> Self {
        let resources = |manifest: Manifest| {
            let all = Resources::new(Digest::of(&manifest.to_bytes()), manifest);
            Arc::new(all.erase(facts.erased).unwrap_or(all))
        };
        let inherit =
            |(manifest, without)| InheritedRelease { resources: resources(manifest), without, only_immutable: false };
        let older = facts.inherited.into_iter().map(inherit).collect();
        let inherited = InheritedReleases { newer: Vec::new(), older };
        let traffic = Metrics::new(&mut Registry::default()).unrouted;
        Self {
            name: facts.name,
            is_preview: facts.is_preview,
            redirect_to: facts.redirect_to,
            https: HttpsPolicy::new(&facts.https),
            has_certificate: facts.has_certificate,
            channel: Channel::new(facts.label, facts.release, resources(facts.manifest), inherited, traffic),
            common: CommonHeaders::new(&"none".parse().expect("a name of an edge")),
        }
    }

    /// Answers a GET for `target`, a percent-encoded path and perhaps a query, at a port that the request names. An error if it is none.
    pub fn explain(
        &self,
        target: &str,
        headers: HeaderMap,
        is_tls: bool,
        port: Option<u16>,
    ) -> Result<Explanation, InvalidUri> {
        let mut request = Request::new(());
        *request.uri_mut() = target.parse()?;
        *request.headers_mut() = headers;
        // Steps 1 to 4, as far as they are about the request; then the site.
        let requires_tls = self.requires_tls(&request, is_tls);
        let Some((cause, response)) = self.before_site(&request, is_tls, port) else {
            return Ok(Explanation { requires_tls, ..self.explain_site(&request, is_tls, port) });
        };
        let response = self.builtin(response);
        let response = if cause == Cause::Domain { self.with_hsts(response, is_tls) } else { response };
        let requires_tls = requires_tls && !matches!(cause, Cause::Refused | Cause::Health);
        Ok(Explanation { requires_tls, ..self.explanation(cause, None, response) })
    }

    /// Whether a request that is well-formed, and not for the health page, is redirected to TLS if there is a certificate.
    fn requires_tls(&self, request: &Request<()>, is_tls: bool) -> bool {
        !is_tls && !self.https.is_optional() && !request.uri().path().starts_with(Challenges::PATH)
    }

    fn before_site(&self, request: &Request<()>, is_tls: bool, port: Option<u16>) -> Option<(Cause, BuiltinResponse)> {
        let (uri, path) = (request.uri(), request.uri().path());
        if let Err(error) = framing::check(request.method(), uri, request.headers(), End::WithoutBody) {
            return Some((Cause::Refused, builtin_responses::framing_error(error, request.version())));
        }
        if path == HEALTH_PATH {
            return Some((Cause::Health, BuiltinResponse::json(StatusCode::OK, String::new())));
        }
        if self.has_certificate && self.requires_tls(request, is_tls) {
            // At the port of `https`: another one is not known here.
            let location = redirect::https_location(&self.name, None, uri);
            let response = location.map_or_else(builtin_responses::invalid_path, builtin_responses::to_https);
            let is_served = self.redirect_to.is_none();
            let response = if is_served { response.with_release(self.channel.release()) } else { response };
            return Some((Cause::OverTls, response));
        }
        let response = builtin_responses::redirect(self.redirect_to.as_ref()?, port, uri);
        Some((Cause::Domain, response.of_site()))
    }

    fn explain_site(&self, request: &Request<()>, is_tls: bool, port: Option<u16>) -> Explanation {
        let host = SiteHost { name: self.name.as_str(), port, is_tls, is_preview: self.is_preview };
        let decision = Decision::make(&self.channel, &host, request);
        let file = decision.as_ref().and_then(|decision| decision.sent(request.headers()));
        let file = file.map(|file| file.path().to_owned());
        let cause = decision.as_ref().map_or(Cause::Refused, |decision| self.cause(decision, request.headers()));
        let send = |head| respond::without_body(head, &self.channel);
        let response = site::answer(decision, &self.channel, &host, request, &self.common, send);
        self.explanation(cause, file, self.with_hsts(response, is_tls))
    }

    fn cause(&self, decision: &Decision<'_>, headers: &HeaderMap) -> Cause {
        let by_rule = decision.rule.map(Cause::Rule);
        match &decision.answer {
            Answer::PasswordRequired => Cause::Password,
            Answer::FormerWorker => Cause::FormerWorker,
            Answer::Moved(_) => Cause::OtherAddress,
            Answer::Erased => Cause::Erased,
            Answer::NotFound { .. } => by_rule.unwrap_or(Cause::NotFound),
            Answer::File(Resolution::File(file)) => match decision.sent(headers) {
                Some(sent) if !Arc::ptr_eq(file, sent) => Cause::MarkdownTwin,
                _ if self.channel.own().get(file.path()).is_some() => Cause::File,
                _ => Cause::Inherited,
            },
            Answer::File(Resolution::ErrorPage { .. }) => by_rule.unwrap_or(Cause::NotFoundPage),
            // A redirect and a rewritten file are always by a rule.
            Answer::File(Resolution::SinglePage(_) | Resolution::Rewritten(_)) | Answer::Redirect { .. } => {
                by_rule.unwrap_or(Cause::SinglePage)
            }
        }
    }

    fn builtin(&self, response: BuiltinResponse) -> ResponseFuture {
        ResponseFuture::ready(response.into_response(false, &self.common))
    }

    fn with_hsts(&self, response: ResponseFuture, is_tls: bool) -> ResponseFuture {
        response.with_hsts(self.https.hsts().filter(|_| is_tls))
    }

    fn explanation(&self, cause: Cause, file: Option<String>, response: ResponseFuture) -> Explanation {
        // What is answered before the host is known is of no site.
        let is_indexed = !self.is_preview && !matches!(cause, Cause::Refused | Cause::Health);
        let response = if is_indexed { response } else { response.not_indexed() };
        let ruled = response.ruled_headers();
        let Ok(response) = response.now_or_never().expect("no blob is waited for");
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(VERGE_EDGE);
        let (status, headers) = (parts.status, parts.headers);
        let is_in_force = |name: &HeaderName, value: &HeaderValue| {
            // `Vary` is added to; others may be replaced, as by HSTS of the site.
            *name == header::VARY || headers.get_all(name).iter().any(|sent| sent == value)
        };
        let ruled = ruled.into_iter().flat_map(|ruled| ruled.set_by_rules(status));
        let ruled_headers =
            ruled.filter(|(name, value, _)| is_in_force(name, value)).map(|(name, _, rule)| (name, rule));
        let ruled_headers = ruled_headers.collect();
        Explanation { status, headers, cause, requires_tls: false, file, ruled_headers }
    }
}
