//! Error responses: a stable code and a message for the caller, the cause for the log.
//!
//! A message names the thing and what was expected. A hint says what an API caller can do; the command line makes its own hints
//! by code.

use std::any::Any;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use verge_daemon::error_chain;
use verge_protocol::Region;
use verge_protocol::api::ErrorBody;

use crate::channel_deletion::DeletionError;
use crate::collection::CollectionError;
use crate::domains::DomainError;
use crate::edge_settings::EdgeError;
use crate::erasure::{ErasureError, NotRemoved};
use crate::publish::PublishError;
use crate::site_https::HttpsError;
use crate::site_regions::RegionError;
use crate::store::StoreError;

/// An error response.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
    /// When the request may be sent again.
    retry_after: Option<Duration>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            body: ErrorBody { code: code.to_owned(), message: message.into(), hint: None },
            retry_after: None,
        }
    }

    pub(super) fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn conflict(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(super) fn unprocessable(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// A failure of storage.
    fn storage(error: &StoreError) -> Self {
        if !error.is_storage_full() {
            return Self::internal(error);
        }
        tracing::error!(error = error_chain(error), "request failed: the disk is full");
        let message = "the disk of the origin is full: the request was not applied";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", message).hint("make room, then try again")
    }

    /// A failure of the origin: its cause goes to the log, not to the caller.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = error_chain(error), "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error").hint("see the log of the origin")
    }

    /// The same failure, of an address that has had too many of them: its next one counts after `wait`.
    pub(super) fn limited(self, wait: Duration) -> Self {
        let message =
            format!("{}; before that, too many requests from this address failed likewise", self.body.message);
        let retry_after = Some(wait);
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", message) }
            .hint("send a valid token or join code: one that is valid is accepted at once")
    }

    /// Adds a hint.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }

    /// The body of the response.
    pub(super) fn into_body(self) -> ErrorBody {
        self.body
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        // RFC 9110 §15.5.9. HTTP/2 has no such field: hyper leaves it out there.
        if self.status == StatusCode::REQUEST_TIMEOUT {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::storage(&error)
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        Self::from(&error)
    }
}

impl From<&PublishError> for ApiError {
    fn from(error: &PublishError) -> Self {
        let message = error.to_string();
        match error {
            PublishError::Conflict { .. } => {
                Self::conflict("conflict", message).hint("read the channel's current epoch, then send it as `expected`")
            }
            PublishError::ChannelBusy(_) => {
                Self::conflict("channel_busy", message).hint("wait for it to finish, then try again")
            }
            PublishError::ChannelDeleted(_) => Self::conflict("channel_deleted", message).hint(
                "to create the channel anew, send the request with another `idempotency_key`, and without `expected`",
            ),
            PublishError::Abandoned { .. } => Self::conflict("rollout_abandoned", message)
                .hint("the channel is unchanged; mend what the message names, then push again"),
            PublishError::MissingBlobs { .. } => {
                Self::conflict("missing_blobs", message).hint("create the build again: the answer names them")
            }
            PublishError::CorruptBlob(_) => {
                tracing::error!(error = message, "failed to create a release");
                Self::conflict("missing_blobs", message).hint("create the build again, and send the blob again")
            }
            PublishError::WrongContent(_) => Self::unprocessable("invalid_build", message)
                .hint("check that no file changes while it is pushed, then push again"),
            PublishError::ErasedContent { .. } => Self::unprocessable("erased", message)
                .hint("leave the file out; GET …/log of the site tells when it was erased and by whom"),
            PublishError::ErasedRelease { .. } => {
                Self::conflict("erased", message).hint("move the channel to a release without these bytes")
            }
            PublishError::UnknownManifest(_) => Self::not_found("unknown_manifest", message),
            PublishError::DeletedRelease { .. } => {
                Self::not_found("unknown_release", message).hint("move the channel to a release that exists")
            }
            PublishError::Encoding { .. }
            | PublishError::Decoding { .. }
            | PublishError::Manifest(_)
            | PublishError::CorruptManifest(_) => Self::internal(error),
            PublishError::Store(error) => Self::storage(error),
        }
    }
}

impl From<DeletionError> for ApiError {
    fn from(error: DeletionError) -> Self {
        let message = error.to_string();
        match error {
            DeletionError::Live => Self::bad_request("live_channel", message)
                .hint("move it to another release instead: POST to the channel"),
            DeletionError::Unknown(label) => Self::not_found("unknown_channel", message)
                .hint(format!("GET /v1/sites/{} lists its channels", label.site)),
            DeletionError::Conflict { .. } => {
                Self::conflict("conflict", message).hint("read the channel's current epoch, then send it as `expected`")
            }
            DeletionError::Busy(_) => {
                Self::conflict("channel_busy", message).hint("wait for it to finish, then try again")
            }
            DeletionError::Store(error) => Self::storage(&error),
        }
    }
}

impl From<CollectionError> for ApiError {
    fn from(error: CollectionError) -> Self {
        let message = error.to_string();
        match error {
            CollectionError::TooEarly => Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_early", message)
                .hint("send the request again in some seconds"),
            CollectionError::UnknownRelease { site, .. } => Self::not_found("unknown_release", message)
                .hint(format!("GET /v1/sites/{site}/releases lists its releases")),
            CollectionError::InUse { .. } => Self::conflict("release_in_use", message)
                .hint("move the channel to another release, or delete it, first"),
            CollectionError::Manifest(_) | CollectionError::Build { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", error_chain(&error))
                    .hint("no blob is removed while it is not known what is needed: run `verge-origin verify`")
            }
            CollectionError::Store(error) => Self::storage(&error),
            CollectionError::Panicked(_) | CollectionError::ShuttingDown => Self::internal(&error),
        }
    }
}

impl From<ErasureError> for ApiError {
    fn from(error: ErasureError) -> Self {
        let message = error.to_string();
        match error {
            ErasureError::InUse(_) => Self::conflict("in_use", message)
                .hint("first push a release without these bytes to each of these channels, or delete it"),
            ErasureError::Nothing(_) => Self::not_found("nothing_to_erase", message),
            ErasureError::UnknownRelease(_) => Self::not_found("unknown_release", message),
            ErasureError::Busy => Self::conflict("channel_busy", message).hint("wait for it to finish, then try again"),
            ErasureError::Panicked(_) => Self::internal(&error),
            ErasureError::ShuttingDown => Self::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", message)
                .hint("send the request again when it is back: an erasure may be repeated"),
            ErasureError::Publish(error) => Self::from(&error),
            ErasureError::Store(error) => Self::storage(&error),
        }
    }
}

impl From<NotRemoved> for ApiError {
    fn from(error: NotRemoved) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "not_removed", error.to_string())
            .hint("the origin tries again; to know when they are removed, repeat the erasure. Its log has the cause")
    }
}

impl From<EdgeError> for ApiError {
    fn from(error: EdgeError) -> Self {
        let message = error.to_string();
        let invalid = |hint: &str| Self::bad_request("invalid_settings", message.clone()).hint(hint);
        match error {
            EdgeError::Weight(_) => {
                invalid("1 is usual; an edge of weight 2 receives twice the readers of a nearby edge of weight 1")
            }
            EdgeError::Port => invalid("80 is usual: the port where the edge answers HTTP"),
            EdgeError::TooMany { .. } => {
                invalid("an edge is one machine: configure other machines as edges of their own")
            }
            EdgeError::DuplicateAddress(_) => invalid("give each address once"),
            EdgeError::UnreachableAddress(_) => invalid("give the public addresses of the edge's machine"),
            EdgeError::AddressTaken { other, .. } => Self::conflict("address_taken", message)
                .hint(format!("remove edge {other} if its machine was replaced")),
            EdgeError::NotConfigured(edge) => {
                Self::not_found("unknown_edge", message).hint(format!("PUT /v1/edges/{edge} configures it"))
            }
            EdgeError::Unknown(_) => Self::not_found("unknown_edge", message).hint("GET /v1/edges lists all edges"),
            EdgeError::Store(error) => Self::storage(&error),
        }
    }
}

impl From<RegionError> for ApiError {
    fn from(error: RegionError) -> Self {
        let message = error.to_string();
        match error {
            RegionError::NoEdge { known, .. } if known.is_empty() => Self::bad_request("unknown_region", message)
                .hint("no edge has a region: configure the regions of an edge"),
            RegionError::NoEdge { known, .. } => {
                let known: Vec<&str> = known.iter().map(Region::as_str).collect();
                Self::bad_request("unknown_region", message).hint(format!("edges are in: {}", known.join(", ")))
            }
            RegionError::Store(error) => Self::storage(&error),
        }
    }
}

impl From<HttpsError> for ApiError {
    fn from(error: HttpsError) -> Self {
        let message = error.to_string();
        let hint = match error {
            HttpsError::MaxAge => "a year is what is usual".to_owned(),
            HttpsError::HstsWithOptional => {
                "end HSTS first, with a max-age of 0 (`--hsts forget`), or require TLS".to_owned()
            }
            HttpsError::PreloadTooWeak => {
                "the preload list of browsers asks for at least a year and all subdomains".to_owned()
            }
            HttpsError::PreloadTooEarly { since: None } => {
                "use HSTS without preload first: a name that is on the list stays there for months".to_owned()
            }
            HttpsError::PreloadTooEarly { since: Some(since) } => format!(
                "it has been in force since {since}: a name that is on the list stays there for months, so make sure that all \
                 subdomains work with TLS"
            ),
            HttpsError::Store(error) => return Self::storage(&error),
        };
        Self::bad_request("invalid_https", message).hint(hint)
    }
}

impl From<DomainError> for ApiError {
    fn from(error: DomainError) -> Self {
        let message = error.to_string();
        let invalid_domain = |hint: &str| Self::bad_request("invalid_domain", message.clone()).hint(hint);
        let invalid_redirect = |hint: &str| Self::bad_request("invalid_redirect", message.clone()).hint(hint);
        match error {
            DomainError::NotRegistrable(_) => {
                invalid_domain("use a registered domain or one below it, such as www.example.com")
            }
            DomainError::TooLong { .. } => invalid_domain("use a shorter name"),
            DomainError::WithinBase { .. } => invalid_domain("sites answer there by their own name, without a domain"),
            DomainError::OfApi(_) => invalid_domain("use another name: edges do not answer at this one"),
            DomainError::Taken { name, .. } => {
                Self::conflict("domain_taken", message).hint(format!("remove {name} from that site first"))
            }
            DomainError::RedirectToItself(_) => invalid_redirect("leave the redirect out"),
            DomainError::UnknownTarget { target, site } => Self::bad_request("unknown_redirect_target", message)
                .hint(format!("claim {target} for site {site} first")),
            DomainError::TargetOfOtherSite { .. } => invalid_redirect("redirect to a domain of the same site"),
            DomainError::RedirectChain { further, .. } => invalid_redirect(&format!("redirect to {further} directly")),
            DomainError::RedirectedTo { by, .. } => {
                Self::conflict("redirected_to", message).hint(format!("remove {by} first, or change its redirect"))
            }
            DomainError::Unknown(_) => {
                Self::not_found("unknown_domain", message).hint("GET /v1/domains lists all domains")
            }
            DomainError::Store(error) => Self::storage(&error),
        }
    }
}

/// The response to a path that has no route.
pub(super) async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::not_found("unknown_route", format!("there is no route {}", uri.path()))
        .hint("this is the API of an origin; sites are served by edges")
}

/// The response to a method that a route does not have.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{method} is not allowed on {}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// The response of a handler that panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer requires it")]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("of unknown type"), "request handler panicked");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error").into_response()
}
