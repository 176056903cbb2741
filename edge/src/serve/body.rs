//! Response bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, future, stream};
use http_body::{Body, Frame, SizeHint};
use verge_protocol::content::BlobSlice;
use verge_protocol::{Blob, Coding};

use super::response_head::BodySpan;
use crate::cache::{BlobCache, Claim, Unavailable};
use crate::metrics::{CacheResult, Traffic};
use crate::table::Resource;

/// Blobs read concurrently for one reader: the next one to send, and the one after it. With the one that the connection is
/// sending, even a slow reader holds three blobs in memory at most.
const READ_AHEAD: usize = 2;

/// The body of a response. On an error hyper closes the connection (HTTP/1.1) or resets the stream (HTTP/2), so that a reader never
/// takes a truncated body for a complete one.
pub(crate) struct ResponseBody {
    source: Source,
    /// Bytes that have not been sent.
    remaining: u64,
    traffic: Option<Arc<Traffic>>,
    cache: CacheResult,
    claim: Option<Claim>,
}

enum Source {
    Empty,
    Bytes(Bytes),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, Unavailable>> + Send>>),
}

impl ResponseBody {
    /// An empty body.
    pub(super) fn empty(cache: CacheResult) -> Self {
        Self { source: Source::Empty, remaining: 0, traffic: None, cache, claim: None }
    }

    /// The body of a built-in response. Its bytes are not counted.
    pub(super) fn builtin(bytes: Bytes) -> Self {
        let cache = CacheResult::None;
        Self { remaining: bytes.len() as u64, source: Source::Bytes(bytes), traffic: None, cache, claim: None }
    }

    /// `first`, which came from `cache`, then the bytes of `pieces`.
    pub(super) fn stream(
        first: Bytes,
        cache: CacheResult,
        pieces: Pieces,
        blobs: BlobCache,
        traffic: Arc<Traffic>,
        claim: Claim,
    ) -> Self {
        let remaining = first.len() as u64 + pieces.remaining();
        if pieces.remaining() == 0 {
            let source = Source::Bytes(first);
            return Self { source, remaining, traffic: Some(traffic), cache, claim: Some(claim) };
        }
        let (waits, its_claim) = (blobs.clone(), claim.clone());
        // One after the other: a piece never waits for its turn while the reader has a later one.
        let in_turn = stream::iter(pieces).then(move |piece| {
            let (blobs, claim) = (waits.clone(), its_claim.clone());
            async move {
                blobs.turn(&claim, &piece.digest).await;
                piece
            }
        });
        let its_claim = claim.clone();
        let rest = in_turn.map(move |piece| {
            let (blobs, claim) = (blobs.clone(), its_claim.clone());
            async move { cut(&blobs.get(piece.digest).await?.0, &piece, &blobs, &claim) }.boxed()
        });
        let all = stream::once(future::ready(Ok(first))).chain(rest.buffered(READ_AHEAD));
        let source = Source::Stream(Box::pin(all));
        Self { source, remaining, traffic: Some(traffic), cache, claim: Some(claim) }
    }
}

impl ResponseBody {
    /// Where its first blob came from.
    pub(super) fn cache(&self) -> CacheResult {
        self.cache
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Unavailable;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unavailable>>> {
        let next = match &mut self.source {
            Source::Empty => None,
            Source::Stream(stream) => match stream.as_mut().poll_next(context) {
                Poll::Ready(next) => next,
                Poll::Pending => return Poll::Pending,
            },
            Source::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.source = Source::Empty;
                Some(Ok(bytes))
            }
        };
        Poll::Ready(next.map(|bytes| {
            let bytes = bytes?;
            let bytes = match &self.claim {
                Some(claim) => claim.carry(bytes),
                None => bytes,
            };
            self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
            if let Some(traffic) = &self.traffic {
                traffic.count_sent(bytes.len());
            }
            Ok(Frame::data(bytes))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// The pieces of a span, one for each blob. They are computed one by one, because a huge file has thousands.
pub(super) struct Pieces {
    resource: Arc<Resource>,
    coding: Option<Coding>,
    position: u64,
    end: u64,
}

impl Pieces {
    pub(super) fn of(span: BodySpan) -> Self {
        Self { resource: span.resource, coding: span.coding, position: span.start, end: span.end }
    }

    /// Bytes of the pieces that are left.
    fn remaining(&self) -> u64 {
        self.end - self.position
    }
}

impl Iterator for Pieces {
    type Item = BlobSlice;

    fn next(&mut self) -> Option<BlobSlice> {
        let content = self.resource.representation(self.coding)?.content();
        let piece = content.range(self.position, self.end).next()?;
        self.position += piece.take;
        Some(piece)
    }
}

/// The bytes of a blob that a piece takes: copied if they are less than half of it and there is room for the response, so that whoever takes them slowly does not
/// keep all of it in memory. An error if the size of the blob is not that in the manifest.
pub(super) fn cut(blob: &Blob, piece: &BlobSlice, blobs: &BlobCache, claim: &Claim) -> Result<Bytes, Unavailable> {
    let bytes = blob.bytes();
    if bytes.len() as u64 != piece.size {
        tracing::error!(digest = %piece.digest, size = piece.size, "a blob does not have the size that its manifest states");
        return Err(Unavailable::Refused);
    }
    let index = |offset: u64| usize::try_from(offset).unwrap_or(bytes.len());
    let taken = bytes.slice(index(piece.skip)..index(piece.skip + piece.take));
    let copy = if taken.len() < bytes.len() / 2 { blobs.copy(claim, &taken) } else { None };
    Ok(copy.unwrap_or(taken))
}
