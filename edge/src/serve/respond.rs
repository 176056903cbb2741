//! The last step: the planned bytes, from wherever they are.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{Either, ready};
use http::{HeaderMap, Response, StatusCode};
use verge_protocol::Blob;
use verge_protocol::content::Piece;

use super::Answer;
use super::body::{Pieces, ReplyBody, cut};
use super::builtin_responses as pages;
use super::response_head::Plan;
use super::static_headers::{CACHE_STATUS, Stamps, VERGE_EDGE, VERGE_RELEASE};
use crate::cache::{Blobs, Unavailable};
use crate::metrics::{CacheResult, Traffic};
use crate::table::Channel;

/// Answers as planned. Status and headers go out only when the first blob is here, so that what cannot be had is a status and
/// not a broken answer.
pub(super) fn respond(mut plan: Plan, channel: &Channel, blobs: &Blobs, stamps: &Arc<Stamps>) -> Answer {
    plan.headers.insert(VERGE_RELEASE, channel.release().clone());
    plan.headers.insert(VERGE_EDGE, stamps.edge().clone());
    let traffic = channel.traffic();
    let Some(bytes) = plan.bytes else {
        traffic.answered(plan.status, CacheResult::Memory);
        plan.headers.insert(CACHE_STATUS, stamps.hit().clone());
        return now(response(plan.status, plan.headers, ReplyBody::empty()));
    };
    let mut pieces = Pieces::of(bytes);
    let Some(first) = pieces.next() else { unreachable!("a span that is not empty has a piece") };
    let rest =
        Rest { status: plan.status, headers: plan.headers, pieces, blobs: blobs.clone(), traffic: Arc::clone(traffic) };
    if let Some(blob) = blobs.hot(&first.digest) {
        return now(rest.send(&first, &blob, CacheResult::Memory, stamps));
    }
    let stamps = Arc::clone(stamps);
    Either::Right(
        async move {
            match rest.blobs.get(first.digest).await {
                Ok((blob, result)) => rest.send(&first, &blob, result, &stamps),
                Err(unavailable) => rest.fail(unavailable, &stamps),
            }
        }
        .boxed(),
    )
}

/// What is known while the first blob is waited for.
struct Rest {
    status: StatusCode,
    headers: HeaderMap,
    pieces: Pieces,
    blobs: Blobs,
    traffic: Arc<Traffic>,
}

impl Rest {
    fn send(mut self, first: &Piece, blob: &Blob, result: CacheResult, stamps: &Stamps) -> Response<ReplyBody> {
        let first = match cut(blob, first) {
            Ok(bytes) => bytes,
            Err(unavailable) => return self.fail(unavailable, stamps),
        };
        self.traffic.answered(self.status, result);
        self.headers.insert(CACHE_STATUS, stamps.from(result).clone());
        response(self.status, self.headers, ReplyBody::stream(first, self.pieces, self.blobs, self.traffic))
    }

    fn fail(self, unavailable: Unavailable, stamps: &Stamps) -> Response<ReplyBody> {
        // That there is nothing at the path is known without the page that says so nicely.
        let page = if self.status == StatusCode::NOT_FOUND { pages::lost() } else { pages::unavailable(unavailable) };
        self.traffic.answered(page.status(), CacheResult::None);
        let mut response = page.response(false, stamps);
        response.headers_mut().insert(CACHE_STATUS, stamps.failed().clone());
        response
    }
}

fn response(status: StatusCode, headers: HeaderMap, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn now(response: Response<ReplyBody>) -> Answer {
    Either::Left(ready(response))
}
