//! Packs: how blobs are grouped, and the stream of a pack.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::task::spawn_blocking;
use verge_protocol::{Digest, pack};

use super::sources::{SourceError, Sources};

/// Packs smaller than this are merged, in bytes: each costs a request.
const PACK_MIN: u64 = 1 << 20;

/// The largest pack, in bytes, even if the origin accepts more.
const PACK_MAX: u64 = 8 << 20;

/// How many frames are prepared ahead of the one being sent.
const PREPARED_FRAMES: usize = 2;

/// Groups `blobs` into packs, in order: about one per stream, none larger than `limit` bytes.
pub(super) fn plan(blobs: &[Digest], size: impl Fn(&Digest) -> u64, streams: usize, limit: u64) -> Vec<Vec<Digest>> {
    // A frame is at most its blob plus a header; the end frame is only a header.
    let header = pack::end_frame().len() as u64;
    let frame_size = |digest: &Digest| header + size(digest);
    let total: u64 = blobs.iter().map(frame_size).sum();
    let pack_size = total.div_ceil(streams as u64).clamp(PACK_MIN, PACK_MAX).min(limit.saturating_sub(header));
    let mut packs: Vec<Vec<Digest>> = Vec::new();
    let mut room = 0;
    for digest in blobs {
        match packs.last_mut() {
            Some(pack) if frame_size(digest) <= room => pack.push(*digest),
            _ => {
                packs.push(vec![*digest]);
                room = pack_size;
            }
        }
        room = room.saturating_sub(frame_size(digest));
    }
    packs
}

/// Why a stream of frames ended early. The HTTP client reports only a lost connection.
#[derive(Clone, Default)]
pub(super) struct StreamError(Arc<Mutex<Option<SourceError>>>);

impl StreamError {
    /// The error, if there was one.
    pub(super) fn take(&self) -> Option<SourceError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: SourceError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// The pack of `blobs` as a stream, read and compressed as it is sent. `on_sent` is called with the size of each blob and the size of
/// its frame.
pub(super) fn frames(
    sources: Arc<Sources>,
    blobs: Vec<Digest>,
    on_sent: impl Fn(u64, u64) + Send + 'static,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, StreamError) {
    let stream_error = StreamError::default();
    let recorded = stream_error.clone();
    let frames = futures_util::stream::iter(blobs)
        .map(move |digest| {
            let sources = sources.clone();
            spawn_blocking(move || sources.read(digest).map(|blob| (blob.bytes().len(), pack::blob_frame(&blob))))
        })
        .buffered(PREPARED_FRAMES)
        .map(move |read| match read.expect("reading does not panic") {
            Ok((size, frame)) => {
                on_sent(size as u64, frame.len() as u64);
                Ok(frame)
            }
            Err(error) => {
                let message = error.to_string();
                recorded.set(error);
                Err(io::Error::other(message))
            }
        })
        .chain(futures_util::stream::once(async { Ok(pack::end_frame()) }));
    (frames, stream_error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blobs(count: usize) -> Vec<Digest> {
        (0..count).map(|at| Digest::of(&at.to_le_bytes())).collect()
    }

    #[test]
    fn pack_count_grows_with_total_size() {
        let packs = |count, size| plan(&blobs(count), |_| size, 4, u64::MAX).len();
        assert_eq!(packs(0, 1), 0);
        assert_eq!(packs(100, 1000), 1);
        assert_eq!(packs(100, 100_000), 4);
        assert_eq!(packs(1000, 200_000), 25);
    }

    proptest! {
        #[test]
        fn each_blob_is_in_one_pack_and_no_pack_exceeds_the_limit(
            sizes in prop::collection::vec(0_u64..300_000, 0..200),
            limit in 300_000_u64..20_000_000,
        ) {
            let blobs = blobs(sizes.len());
            let size = |digest: &Digest| sizes[blobs.iter().position(|blob| blob == digest).expect("known")];
            let packs = plan(&blobs, size, 4, limit);
            prop_assert_eq!(packs.concat(), blobs.clone());
            let header = pack::end_frame().len() as u64;
            for pack in packs {
                prop_assert!(pack.iter().map(|blob| header + size(blob)).sum::<u64>() + header <= limit);
            }
        }
    }
}
