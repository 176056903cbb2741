//! Responding: the common headers, and the body's first blob from the cache.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, Ready, ready};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use verge_protocol::Blob;
use verge_protocol::content::BlobSlice;

use super::body::{Pieces, ResponseBody, cut};
use super::common_headers::{CACHE_STATUS, CommonHeaders, NO_STORE, NOINDEX, VERGE_EDGE, VERGE_RELEASE, X_ROBOTS_TAG};
use super::response_head::ResponseHead;
use super::{builtin_responses, cors};
use crate::access_log::OpenEntry;
use crate::cache::{BlobCache, Claim, Unavailable};
use crate::metrics::{CacheResult, Traffic};
use crate::table::{Channel, HeaderScope, PathHeaders, is_for_shared_caches};

/// A response that is ready at once, or once its first blob has arrived. It never fails: an error is a response too.
pub(crate) struct ResponseFuture {
    response: Either<Ready<Response<ResponseBody>>, BoxFuture<'static, Response<ResponseBody>>>,
    rules: Option<RuledHeaders>,
    is_private: bool,
    is_indexed: bool,
    hsts: Option<HeaderValue>,
    /// `None`: the request is not logged.
    entry: Option<OpenEntry>,
}

/// What the header rules of a site say about a response.
#[derive(Clone)]
pub(super) struct RuledHeaders {
    pub(super) headers: PathHeaders,
    /// What the response is of, if it succeeds.
    pub(super) scope: HeaderScope,
    pub(super) is_tls: bool,
}

impl RuledHeaders {
    /// What the rules of `channel` say about a response at `path`, percent-encoded; `None`: nothing.
    pub(super) fn find(channel: &Channel, path: &str, scope: HeaderScope, is_tls: bool) -> Option<Self> {
        let headers = channel.own().rules().headers_of(path)?;
        Some(Self { headers, scope, is_tls })
    }

    /// What they say of a response with this status.
    fn scope(&self, status: StatusCode) -> HeaderScope {
        let is_success = status.is_success() || status == StatusCode::NOT_MODIFIED;
        if is_success { self.scope } else { HeaderScope::OtherPage }
    }

    /// The headers that they set on a response with this status, each with its last value and the number of the rule.
    pub(super) fn set_by_rules(&self, status: StatusCode) -> Vec<(HeaderName, HeaderValue, usize)> {
        self.headers.set_by_rules(self.scope(status), self.is_tls)
    }
}

impl ResponseFuture {
    /// The header rules for the response.
    pub(super) fn ruled_headers(&self) -> Option<RuledHeaders> {
        self.rules.clone()
    }

    pub(super) fn ready(response: Response<ResponseBody>) -> Self {
        Self::new(Either::Left(ready(response)))
    }

    pub(super) fn pending(response: BoxFuture<'static, Response<ResponseBody>>) -> Self {
        Self::new(Either::Right(response))
    }

    fn new(response: Either<Ready<Response<ResponseBody>>, BoxFuture<'static, Response<ResponseBody>>>) -> Self {
        Self { response, rules: None, is_private: false, is_indexed: true, hsts: None, entry: None }
    }

    /// Changes the headers as rules say.
    pub(super) fn with_rules(self, rules: Option<RuledHeaders>) -> Self {
        Self { rules, ..self }
    }

    /// Keeps the response out of shared caches: its path has a password.
    pub(super) fn into_private(self) -> Self {
        Self { is_private: true, ..self }
    }

    /// Asks search engines not to index the response, whatever its status.
    pub(super) fn not_indexed(self) -> Self {
        Self { is_indexed: false, ..self }
    }

    /// Tells browsers to use TLS only from now on, whatever the status. For responses over TLS (RFC 6797 §7.2).
    pub(super) fn with_hsts(self, hsts: Option<&HeaderValue>) -> Self {
        Self { hsts: hsts.cloned(), ..self }
    }

    /// Logs the request.
    pub(super) fn with_entry(self, entry: Option<OpenEntry>) -> Self {
        Self { entry, ..self }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.response).poll(context).map(|mut response| {
            if let Some(entry) = self.entry.take() {
                let (release, cache) = (response.headers().get(VERGE_RELEASE), response.body().cache().name());
                if let Some(observed) = entry.answered(response.status(), release, cache) {
                    response.extensions_mut().insert(observed);
                }
            }
            if let Some(rules) = self.rules.take() {
                let scope = rules.scope(response.status());
                rules.headers.apply(response.headers_mut(), scope, rules.is_tls);
            }
            if self.is_private {
                make_private(response.headers_mut());
            }
            if !self.is_indexed {
                response.headers_mut().insert(X_ROBOTS_TAG, NOINDEX);
            }
            if let Some(hsts) = self.hsts.take() {
                response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, hsts);
            }
            Ok(response)
        })
    }
}

/// Allows only the reader's own cache to keep a response (RFC 9111 §5.2.2.7).
fn make_private(headers: &mut HeaderMap) {
    let of_shared_caches = |directive: &str| {
        let name = directive.split('=').next().unwrap_or_default();
        ["private", "public", "s-maxage"].iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    let value = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let directives =
        value.split(',').map(str::trim).filter(|directive| !directive.is_empty() && !of_shared_caches(directive));
    let private = std::iter::once("private").chain(directives).collect::<Vec<_>>().join(", ");
    headers.insert(header::CACHE_CONTROL, HeaderValue::try_from(private).unwrap_or(NO_STORE));
    let for_shared_caches: Vec<HeaderName> =
        headers.keys().filter(|name| is_for_shared_caches(name)).cloned().collect();
    for name in for_shared_caches {
        headers.remove(name);
    }
    // A request with a password is one with credentials, for which `*` does not count.
    if headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|origin| origin == "*") {
        headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    }
}

/// Responds with `head` and the bytes that it asks for. The head is sent only when the first blob has arrived, so that an
/// unavailable file is an error status and not a broken response.
pub(super) fn respond(
    mut head: ResponseHead,
    channel: &Channel,
    blobs: &BlobCache,
    common: &Arc<CommonHeaders>,
) -> ResponseFuture {
    head.headers.insert(VERGE_RELEASE, channel.release().clone());
    head.headers.insert(VERGE_EDGE, common.edge().clone());
    let traffic = channel.traffic();
    let Some(body) = head.body else {
        traffic.count_response(head.status, CacheResult::Memory);
        head.headers.insert(CACHE_STATUS, common.hit().clone());
        let body = ResponseBody::empty(CacheResult::Memory);
        return ResponseFuture::ready(response(head.status, head.headers, body));
    };
    let mut pieces = Pieces::of(body);
    let Some(first) = pieces.next() else { unreachable!("a body span is never empty") };
    let rest = Rest {
        status: head.status,
        headers: head.headers,
        pieces,
        blobs: blobs.clone(),
        traffic: Arc::clone(traffic),
        claim: blobs.claim(),
    };
    if let Some(blob) = blobs.get_at_once(&rest.claim, &first.digest) {
        return ResponseFuture::ready(rest.send(&first, &blob, CacheResult::Memory, common));
    }
    let common = Arc::clone(common);
    let response = async move {
        rest.blobs.turn(&rest.claim, &first.digest).await;
        match rest.blobs.get(first.digest).await {
            Ok((blob, result)) => rest.send(&first, &blob, result, &common),
            Err(unavailable) => rest.fail(unavailable, &common),
        }
    };
    ResponseFuture::pending(response.boxed())
}

/// The response with `head`, and without the bytes that it asks for.
pub(super) fn without_body(mut head: ResponseHead, channel: &Channel) -> ResponseFuture {
    head.headers.insert(VERGE_RELEASE, channel.release().clone());
    ResponseFuture::ready(response(head.status, head.headers, ResponseBody::empty(CacheResult::None)))
}

/// Everything of a response but its first blob.
struct Rest {
    status: StatusCode,
    headers: HeaderMap,
    pieces: Pieces,
    blobs: BlobCache,
    traffic: Arc<Traffic>,
    claim: Claim,
}

impl Rest {
    fn send(
        mut self,
        first: &BlobSlice,
        blob: &Blob,
        result: CacheResult,
        common: &CommonHeaders,
    ) -> Response<ResponseBody> {
        let first = match cut(blob, first, &self.blobs, &self.claim) {
            Ok(bytes) => bytes,
            Err(unavailable) => return self.fail(unavailable, common),
        };
        self.traffic.count_response(self.status, result);
        self.headers.insert(CACHE_STATUS, common.cache_status(result).clone());
        let body = ResponseBody::stream(first, result, self.pieces, self.blobs, self.traffic, self.claim);
        response(self.status, self.headers, body)
    }

    fn fail(self, unavailable: Unavailable, common: &CommonHeaders) -> Response<ResponseBody> {
        // If the site's 404 page is unavailable, the response is still a 404.
        let builtin = if self.status == StatusCode::NOT_FOUND {
            builtin_responses::not_found_text()
        } else {
            builtin_responses::unavailable(unavailable)
        };
        self.traffic.count_response(builtin.status(), CacheResult::None);
        let builtin = if cors::allows_any_origin(&self.headers) { builtin.of_site() } else { builtin };
        let mut response = builtin.into_response(false, common);
        response.headers_mut().insert(CACHE_STATUS, common.miss().clone());
        response
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
