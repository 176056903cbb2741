//! Packs: which blobs travel together, and how they become a stream.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::task::spawn_blocking;
use verge_protocol::{Digest, pack};

use super::sources::{SourceError, Sources};

/// A pack is worth a request of its own from here on.
const WORTHWHILE: u64 = 1 << 20;

/// The most bytes of one pack, whatever more the origin would take.
const MOST: u64 = 8 << 20;

/// Frames that are read and compressed ahead of the one that is being sent.
const AHEAD: usize = 2;

/// Deals `blobs` out to packs, in order: about one for each stream, none above `limit` as it travels.
pub(super) fn plan(blobs: &[Digest], size: impl Fn(&Digest) -> u64, streams: usize, limit: u64) -> Vec<Vec<Digest>> {
    // A frame is at most as long as its blob and its head; the end frame is nothing but a head.
    let head = pack::end_frame().len() as u64;
    let travels = |digest: &Digest| head + size(digest);
    let all: u64 = blobs.iter().map(travels).sum();
    let most = all.div_ceil(streams as u64).clamp(WORTHWHILE, MOST).min(limit.saturating_sub(head));
    let mut packs: Vec<Vec<Digest>> = Vec::new();
    let mut room = 0;
    for digest in blobs {
        match packs.last_mut() {
            Some(pack) if travels(digest) <= room => pack.push(*digest),
            _ => {
                packs.push(vec![*digest]);
                room = most;
            }
        }
        room = room.saturating_sub(travels(digest));
    }
    packs
}

/// Tells afterwards why a stream of frames broke off, which the client can only report as a broken connection.
#[derive(Clone, Default)]
pub(super) struct Broken(Arc<Mutex<Option<SourceError>>>);

impl Broken {
    /// The reason; `None` when the files were all as expected.
    pub(super) fn take(&self) -> Option<SourceError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: SourceError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// The pack of `blobs` as a stream, read, compressed and framed as it is sent. `sent` is told of each blob's size and how many
/// bytes of it travel.
pub(super) fn frames(
    sources: Arc<Sources>,
    blobs: Vec<Digest>,
    sent: impl Fn(u64, u64) + Send + 'static,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Broken) {
    let broken = Broken::default();
    let noted = broken.clone();
    let frames = futures_util::stream::iter(blobs)
        .map(move |digest| {
            let sources = sources.clone();
            spawn_blocking(move || sources.read(digest).map(|blob| (blob.bytes().len(), pack::blob_frame(&blob))))
        })
        .buffered(AHEAD)
        .map(move |read| match read.expect("reading does not panic") {
            Ok((size, frame)) => {
                sent(size as u64, frame.len() as u64);
                Ok(frame)
            }
            Err(error) => {
                let message = error.to_string();
                noted.set(error);
                Err(io::Error::other(message))
            }
        })
        .chain(futures_util::stream::once(async { Ok(pack::end_frame()) }));
    (frames, broken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blobs(count: usize) -> Vec<Digest> {
        (0..count).map(|at| Digest::of(&at.to_le_bytes())).collect()
    }

    #[test]
    fn little_travels_in_one_pack_and_much_in_many() {
        let packs = |count, size| plan(&blobs(count), |_| size, 4, u64::MAX).len();
        assert_eq!(packs(0, 1), 0);
        assert_eq!(packs(100, 1000), 1);
        assert_eq!(packs(100, 100_000), 4);
        assert_eq!(packs(1000, 200_000), 25);
    }

    proptest! {
        #[test]
        fn each_blob_travels_once_and_no_pack_is_too_large(
            sizes in prop::collection::vec(0_u64..300_000, 0..200),
            limit in 300_000_u64..20_000_000,
        ) {
            let blobs = blobs(sizes.len());
            let size = |digest: &Digest| sizes[blobs.iter().position(|blob| blob == digest).expect("known")];
            let packs = plan(&blobs, size, 4, limit);
            prop_assert_eq!(packs.concat(), blobs.clone());
            let head = pack::end_frame().len() as u64;
            for pack in packs {
                prop_assert!(pack.iter().map(|blob| head + size(blob)).sum::<u64>() + head <= limit);
            }
        }
    }
}
