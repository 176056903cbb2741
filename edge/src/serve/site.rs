//! What a site answers, once its host is known: steps 7 and 8, after the decision.

use http::{Method, Request};

use super::builtin_responses::BuiltinResponse;
use super::common_headers::CommonHeaders;
use super::decision::{Answer, Decision};
use super::password::Access;
use super::respond::{ResponseFuture, RuledHeaders};
use super::response_head::ResponseHead;
use super::rules::SiteHost;
use super::{accept, asset, builtin_responses, redirect};
use crate::metrics::CacheResult;
use crate::table::{Channel, HeaderScope};

/// The answer of `channel` as decided; `None`: the request has no path. `send` makes the response of a file from its head.
pub(super) fn answer<B>(
    decision: Option<Decision<'_>>,
    channel: &Channel,
    host: &SiteHost<'_>,
    request: &Request<B>,
    common: &CommonHeaders,
    send: impl FnOnce(ResponseHead) -> ResponseFuture,
) -> ResponseFuture {
    let (headers, is_head) = (request.headers(), request.method() == Method::HEAD);
    let builtin = |response: BuiltinResponse| {
        channel.traffic().count_response(response.status(), CacheResult::None);
        ResponseFuture::ready(response.into_response(is_head, common))
    };
    let Some(decision) = decision else { return builtin(builtin_responses::invalid_path().of_site()) };
    let of_release = |response: BuiltinResponse| builtin(response.with_release(channel.release()));
    let with_rules = |response: ResponseFuture, scope| {
        response.with_rules(RuledHeaders::find(channel, request.uri().path(), scope, host.is_tls))
    };
    let response = match decision.answer {
        Answer::PasswordRequired => {
            let response = of_release(builtin_responses::password_required(channel.own().site()));
            with_rules(response, HeaderScope::OtherPage)
        }
        Answer::FormerWorker => of_release(builtin_responses::former_worker()),
        Answer::Redirect { status, location } => of_release(builtin_responses::ruled_redirect(status, location)),
        Answer::Moved(suffix) => {
            let location = redirect::canonical_location(request.uri(), suffix);
            of_release(location.map_or_else(builtin_responses::invalid_path, builtin_responses::moved))
        }
        Answer::NotFound { by_destination } => {
            if asset::is_own_script_or_style(headers) {
                channel.traffic().count_missing_asset();
            }
            let response = of_release(builtin_responses::not_found(headers, &decision.path, by_destination));
            with_rules(response, HeaderScope::OtherPage)
        }
        Answer::Erased => with_rules(of_release(builtin_responses::erased()), HeaderScope::OtherPage),
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
