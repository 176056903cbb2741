//! The bytes of an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, future, stream};
use http_body::{Body, Frame, SizeHint};
use verge_protocol::content::Piece;
use verge_protocol::{Blob, Coding};

use super::plan;
use crate::cache::{Blobs, Unavailable};
use crate::metrics::Traffic;
use crate::table::Resource;

/// Blobs on their way to one reader at once: the one that is waited for, and the next. So a reader, however slow, holds three
/// at most, with the one in the connection's hands.
const READ_AHEAD: usize = 2;

/// The body of an answer. An error in its midst makes hyper break the connection (HTTP/1.1) or reset the stream (HTTP/2): a
/// reader never takes a part for the whole.
pub(crate) struct ReplyBody {
    rest: Remaining,
    /// Bytes still to come.
    left: u64,
    traffic: Option<Arc<Traffic>>,
}

enum Remaining {
    Nothing,
    Bytes(Bytes),
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, Unavailable>> + Send>>),
}

impl ReplyBody {
    /// No bytes.
    pub(super) fn empty() -> Self {
        Self { rest: Remaining::Nothing, left: 0, traffic: None }
    }

    /// These bytes, which are the edge's own.
    pub(super) fn own(bytes: Bytes) -> Self {
        Self { left: bytes.len() as u64, rest: Remaining::Bytes(bytes), traffic: None }
    }

    /// `first`, then what `pieces` name.
    pub(super) fn stream(first: Bytes, pieces: Pieces, blobs: Blobs, traffic: Arc<Traffic>) -> Self {
        let left = first.len() as u64 + pieces.left();
        if pieces.left() == 0 {
            return Self { rest: Remaining::Bytes(first), left, traffic: Some(traffic) };
        }
        let rest = stream::iter(pieces).map(move |piece| {
            let blobs = blobs.clone();
            async move { cut(&blobs.get(piece.digest).await?.0, &piece) }.boxed()
        });
        let whole = stream::once(future::ready(Ok(first))).chain(rest.buffered(READ_AHEAD));
        Self { rest: Remaining::Stream(Box::pin(whole)), left, traffic: Some(traffic) }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Unavailable;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unavailable>>> {
        let next = match &mut self.rest {
            Remaining::Nothing => None,
            Remaining::Stream(stream) => match stream.as_mut().poll_next(context) {
                Poll::Ready(next) => next,
                Poll::Pending => return Poll::Pending,
            },
            Remaining::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.rest = Remaining::Nothing;
                Some(Ok(bytes))
            }
        };
        Poll::Ready(next.map(|bytes| {
            let bytes = bytes?;
            self.left = self.left.saturating_sub(bytes.len() as u64);
            if let Some(traffic) = &self.traffic {
                traffic.sent(bytes.len());
            }
            Ok(Frame::data(bytes))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The blobs of a span, one after the other, without a list of them: a huge file has thousands.
pub(super) struct Pieces {
    resource: Arc<Resource>,
    coding: Option<Coding>,
    at: u64,
    end: u64,
}

impl Pieces {
    pub(super) fn of(bytes: plan::Bytes) -> Self {
        Self { resource: bytes.resource, coding: bytes.coding, at: bytes.start, end: bytes.end }
    }

    /// Bytes that are still to be named.
    fn left(&self) -> u64 {
        self.end - self.at
    }
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let content = self.resource.representation(self.coding)?.content();
        let piece = content.range(self.at, self.end).next()?;
        self.at += piece.take;
        Some(piece)
    }
}

/// The part of a blob that a piece takes. A blob of another size than its manifest says is as good as none.
pub(super) fn cut(blob: &Blob, piece: &Piece) -> Result<Bytes, Unavailable> {
    let bytes = blob.bytes();
    if bytes.len() as u64 != piece.size {
        tracing::error!(digest = %piece.digest, size = piece.size, "a manifest is wrong about the size of a blob");
        return Err(Unavailable::Refused);
    }
    let place = |offset: u64| usize::try_from(offset).unwrap_or(bytes.len());
    Ok(bytes.slice(place(piece.skip)..place(piece.skip + piece.take)))
}
