//! Answers that are not successes: a stable code and a sentence for the caller, the cause for the log, once.

use std::any::Any;

use axum::Json;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use verge_protocol::Region;
use verge_protocol::api::ErrorBody;

use crate::domains::DomainError;
use crate::edge_settings::EdgeError;
use crate::site_regions::RegionError;
use crate::publish::PublishError;
use crate::store::StoreError;

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { code: code.to_owned(), message: message.into(), hint: None } }
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

    /// The origin's own trouble: the caller learns that, the log learns what.
    fn internal(error: &dyn std::error::Error) -> Self {
        let mut causes = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            causes = format!("{causes}: {cause}");
            source = cause.source();
        }
        tracing::error!(error = causes, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the origin has a fault of its own")
            .hint("its log says more")
    }

    /// What the caller reads.
    pub(super) fn into_body(self) -> ErrorBody {
        self.body
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let message = error.to_string();
        match error {
            PublishError::Conflict { .. } => {
                Self::conflict("conflict", format!("another push or rollback came first: {message}"))
                    .hint("look at `verge releases`, then push again if yours should win")
            }
            PublishError::Busy(_) => Self::conflict("busy", message).hint("try again when it is done"),
            PublishError::MissingBlobs { .. } => {
                Self::conflict("missing_blobs", message).hint("create the build again: the answer names them")
            }
            PublishError::BadBlob(_) => {
                tracing::error!(error = message, "a release could not be made");
                Self::conflict("missing_blobs", message).hint("push again: it will be sent again")
            }
            PublishError::WrongContent(_) => {
                Self::unprocessable("bad_build", message).hint("was a file changed while it was pushed? push again")
            }
            PublishError::UnknownManifest(_) => Self::not_found("unknown_manifest", message),
            PublishError::Encoding { .. }
            | PublishError::Manifest(_)
            | PublishError::LostManifest(_)
            | PublishError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<EdgeError> for ApiError {
    fn from(error: EdgeError) -> Self {
        let message = error.to_string();
        let bad = |hint: &str| Self::bad_request("bad_settings", message.clone()).hint(hint);
        match error {
            EdgeError::Weight(_) => bad("1 is usual; an edge of weight 2 takes twice the readers of one beside it"),
            EdgeError::Port => bad("80 is usual: it is where the edge answers HTTP"),
            EdgeError::TooMany { .. } => bad("an edge is one machine: describe the others as edges of their own"),
            EdgeError::Twice(_) => bad("name it once"),
            EdgeError::Unreachable(_) => bad("name the public addresses of the edge's machine"),
            EdgeError::Taken { other, .. } => Self::conflict("address_taken", message)
                .hint(format!("was the machine set up anew? `verge edges remove {other}` frees its addresses")),
            EdgeError::NotDescribed(edge) => Self::not_found("unknown_edge", message)
                .hint(format!("`verge edges add {edge} --address IP --at CITY` does that")),
            EdgeError::Unknown(_) => Self::not_found("unknown_edge", message).hint("`verge edges` lists what there is"),
            EdgeError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<RegionError> for ApiError {
    fn from(error: RegionError) -> Self {
        let message = error.to_string();
        match error {
            RegionError::NoEdge { known, .. } if known.is_empty() => Self::bad_request("unknown_region", message)
                .hint("no edge is in any region yet: `verge edges set NAME --region …` says where one is"),
            RegionError::NoEdge { known, .. } => {
                let known: Vec<&str> = known.iter().map(Region::as_str).collect();
                Self::bad_request("unknown_region", message).hint(format!("edges are in: {}", known.join(", ")))
            }
            RegionError::Store(error) => Self::internal(&error),
        }
    }
}

impl From<DomainError> for ApiError {
    fn from(error: DomainError) -> Self {
        let message = error.to_string();
        let bad = |hint: &str| Self::bad_request("bad_domain", message.clone()).hint(hint);
        match error {
            DomainError::Unfit(_) => bad("name a domain that is registered, or one below it, such as www.example.com"),
            DomainError::TooLong { .. } => bad("use a shorter name"),
            DomainError::WithinBase { .. } => bad("a site is reached there by its name: that needs no domain"),
            DomainError::Taken { name, .. } => Self::conflict("domain_taken", message)
                .hint(format!("`verge domains remove {name}` frees it for another site")),
            DomainError::Itself(_) => Self::bad_request("bad_redirect", message).hint("leave the redirect out"),
            DomainError::NoTarget { target, site } => Self::bad_request("bad_redirect", message)
                .hint(format!("`verge domains add {target} --site {site}` makes it one")),
            DomainError::OtherSite { .. } => {
                Self::bad_request("bad_redirect", message).hint("redirect to a domain of the same site")
            }
            DomainError::Chain { further, .. } => {
                Self::bad_request("bad_redirect", message).hint(format!("redirect to `{further}` at once"))
            }
            DomainError::RedirectedTo { by, .. } => Self::conflict("redirected_to", message)
                .hint(format!("`verge domains remove {by}` first, or let it redirect elsewhere")),
            DomainError::Unknown(_) => {
                Self::not_found("unknown_domain", message).hint("`verge domains` lists what there is")
            }
            DomainError::Store(error) => Self::internal(&error),
        }
    }
}

pub(super) async fn unknown_route(uri: Uri) -> ApiError {
    ApiError::not_found("unknown_route", format!("there is nothing at {}", uri.path()))
        .hint("this is an origin's API; sites are served by edges")
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", format!("{method} is not for {}", uri.path()))
}

#[expect(clippy::needless_pass_by_value, reason = "the layer passes it so")]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("of an unknown kind"), "a request panicked");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the origin has a fault of its own").into_response()
}
