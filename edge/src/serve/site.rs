//! What a site answers, once its host is known: steps 5 to 8.

use http::{Method, Request};

use super::common_headers::CommonHeaders;
use super::decision::{Answer, Decision};
use super::password::Access;
use super::request_path::RequestPath;
use super::respond::{ResponseFuture, RuledHeaders};
use super::response_head::ResponseHead;
use super::{accept, asset, builtin_responses, redirect};
use crate::metrics::CacheResult;
use crate::table::{Channel, HeaderScope};

/// The host of a request, as far as a site's rules depend on it.
pub(super) struct SiteHost<'a> {
    /// In lowercase, without a port.
    pub(super) name: &'a str,
    pub(super) is_tls: bool,
    /// Whether it is not the site's own host or domain.
    pub(super) is_preview: bool,
}

/// The answer of `channel`. `send` makes the response of a file from its head.
pub(super) fn answer<B>(
    channel: &Channel,
    host: &SiteHost<'_>,
    request: &Request<B>,
    common: &CommonHeaders,
    send: impl FnOnce(ResponseHead) -> ResponseFuture,
) -> ResponseFuture {
    let (headers, is_head) = (request.headers(), request.method() == Method::HEAD);
    let builtin = |response: builtin_responses::BuiltinResponse| {
        channel.traffic().count_response(response.status(), CacheResult::None);
        ResponseFuture::ready(response.into_response(is_head, common))
    };
    // 5. Path.
    let Ok(path) = RequestPath::parse(request.uri().path()) else {
        return builtin(builtin_responses::invalid_path().of_site());
    };
    let decision = Decision::make(channel, host, &path, request);
    let builtin = |response: builtin_responses::BuiltinResponse| builtin(response.with_release(channel.release()));
    let with_rules = |response: ResponseFuture, scope| {
        let of_path = channel.own().rules().headers_of(request.uri().path());
        response.with_rules(of_path.map(|headers| RuledHeaders { headers, scope, is_tls: host.is_tls }))
    };
    let response = match decision.answer {
        Answer::PasswordRequired => {
            let response = builtin(builtin_responses::password_required(channel.own().site()));
            with_rules(response, HeaderScope::OtherPage)
        }
        Answer::FormerWorker => builtin(builtin_responses::former_worker()),
        Answer::Redirect { status, location } => builtin(builtin_responses::ruled_redirect(status, location)),
        Answer::Moved(suffix) => {
            let location = redirect::canonical_location(request.uri(), suffix);
            builtin(location.map_or_else(builtin_responses::invalid_path, builtin_responses::moved))
        }
        Answer::NotFound { by_destination } => {
            if asset::is_own_script_or_style(headers) {
                channel.traffic().count_missing_asset();
            }
            let response = builtin(builtin_responses::not_found(headers, &path, by_destination));
            with_rules(response, HeaderScope::OtherPage)
        }
        Answer::Erased => with_rules(builtin(builtin_responses::erased()), HeaderScope::OtherPage),
        Answer::File(resolution) => {
            // 7. Response head: range, negotiation, preconditions.
            let head = ResponseHead::build(&resolution, headers, is_head);
            let scope = resolution.header_scope(|| accept::prefers_markdown(headers));
            // 8. Respond.
            with_rules(send(head), scope)
        }
    };
    if decision.access == Access::Granted { response.into_private() } else { response }
}
