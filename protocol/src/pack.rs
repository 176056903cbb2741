//! Packs: the transfer format of blobs, from client to origin and from origin to edge, a stream of frames.
//!
//! ```text
//! frame   := digest (32 bytes) · flags (1) · length (4, little-endian) · payload (length)
//! pack    := frame* · end frame
//! ```
//!
//! | flags | payload |
//! |---|---|
//! | 0 | the blob |
//! | 1 | the blob, compressed by zstd |
//! | 2 | none: the blob was requested, and the sender does not have it |
//! | 3 | none: end of the pack; the digest is all zero. A pack without it is truncated |
//!
//! The receiver stores each frame as it arrives, so frames received before a disconnect are never sent again.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::blob::{BLOB_MAX, Blob, BlobError};
use crate::digest::Digest;

/// The media type of a pack.
pub const MEDIA_TYPE: &str = "application/vnd.verge.pack";

const HEADER: usize = Digest::LEN + 1 + 4;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const MISSING: u8 = 2;
const END: u8 = 3;

/// A decoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A blob, verified.
    Blob(Blob),
    /// The sender does not have this blob.
    Missing(Digest),
}

/// Why decoding a pack failed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A frame declares a length above [`BLOB_MAX`].
    #[error("frame of blob {digest} declares {length} bytes, above the limit of {BLOB_MAX}")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// The declared length, in bytes.
        length: usize,
    },
    /// A frame type unknown to this version.
    #[error("frame of blob {digest} has unknown flags {flags}")]
    Flags {
        /// The blob.
        digest: Digest,
        /// The flags.
        flags: u8,
    },
    /// The payload is not zstd, or decompresses to more than [`BLOB_MAX`].
    #[error("failed to decompress the frame of blob {digest}")]
    Compression {
        /// The blob.
        digest: Digest,
        /// The cause.
        source: std::io::Error,
    },
    /// The payload does not match the digest.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The stream ended before the end frame.
    #[error("truncated pack: no end frame")]
    Truncated,
    /// Bytes follow the end frame.
    #[error("trailing bytes after the end of the pack")]
    Trailing,
}

fn frame(digest: &Digest, flags: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER + payload.len());
    frame.put_slice(digest.as_bytes());
    frame.put_u8(flags);
    frame.put_u32_le(u32::try_from(payload.len()).expect("a blob is at most 256 KiB"));
    frame.put_slice(payload);
    frame.freeze()
}

/// Encodes a blob, compressed if that makes the frame smaller.
pub fn blob_frame(blob: &Blob) -> Bytes {
    let compressed = zstd::bulk::compress(blob.bytes(), 3).expect("compressing memory into memory cannot fail");
    if compressed.len() < blob.bytes().len() {
        frame(&blob.digest(), ZSTD, &compressed)
    } else {
        frame(&blob.digest(), PLAIN, blob.bytes())
    }
}

/// Encodes the answer to a request for a blob that the sender does not have.
pub fn missing_frame(digest: &Digest) -> Bytes {
    frame(digest, MISSING, &[])
}

/// Encodes the end of a pack.
pub fn end_frame() -> Bytes {
    frame(&Digest::from_bytes([0; Digest::LEN]), END, &[])
}

/// Decodes and verifies a pack that arrives in chunks of any size. Buffers at most one frame beyond the last chunk.
#[derive(Default)]
pub struct Decoder {
    buffer: BytesMut,
    ended: bool,
}

impl Decoder {
    /// Adds the next chunk of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next complete frame; `None` until more is pushed, and after the end. An error is final.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, PackError> {
        if self.ended {
            return if self.buffer.is_empty() { Ok(None) } else { Err(PackError::Trailing) };
        }
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let mut fields = &header[..];
        let mut digest = [0; Digest::LEN];
        fields.copy_to_slice(&mut digest);
        let digest = Digest::from_bytes(digest);
        let flags = fields.get_u8();
        let length = usize::try_from(fields.get_u32_le()).unwrap_or(usize::MAX);
        if length > BLOB_MAX {
            return Err(PackError::TooLarge { digest, length });
        }
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let payload = self.buffer.split_to(length).freeze();
        match flags {
            // Copied: the buffer that it is a part of may be twice as large.
            PLAIN => Ok(Some(Frame::Blob(Blob::verify(digest, Bytes::copy_from_slice(&payload))?))),
            ZSTD => {
                let plain = zstd::bulk::decompress(&payload, BLOB_MAX)
                    .map_err(|source| PackError::Compression { digest, source })?;
                Ok(Some(Frame::Blob(Blob::verify(digest, plain.into())?)))
            }
            MISSING => Ok(Some(Frame::Missing(digest))),
            END => {
                self.ended = true;
                self.next_frame()
            }
            _ => Err(PackError::Flags { digest, flags }),
        }
    }

    /// Call at the end of the stream: fails unless the pack was complete.
    pub fn finish(&self) -> Result<(), PackError> {
        if self.ended { Ok(()) } else { Err(PackError::Truncated) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blob(bytes: &[u8]) -> Blob {
        Blob::of(Bytes::copy_from_slice(bytes)).unwrap()
    }

    fn decode(pack: &[u8], chunk_size: usize) -> Result<Vec<Frame>, PackError> {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for chunk in pack.chunks(chunk_size) {
            decoder.push(chunk);
            while let Some(frame) = decoder.next_frame()? {
                frames.push(frame);
            }
        }
        decoder.finish().map(|()| frames)
    }

    fn pack(frames: &[Bytes]) -> Vec<u8> {
        frames.concat()
    }

    #[test]
    fn pack_with_flipped_bit_never_yields_other_blobs() {
        let whole = pack(&[blob_frame(&blob(b"verge verge verge verge verge")), end_frame()]);
        let intact = decode(&whole, whole.len()).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(frames) = decode(&flipped, flipped.len()) {
                let blobs: Vec<_> = frames.iter().filter(|frame| matches!(frame, Frame::Blob(_))).collect();
                assert!(blobs.is_empty() || frames == intact, "bit {bit}: {frames:?}");
            }
        }
    }

    #[test]
    fn pack_truncated_anywhere_is_rejected() {
        let whole = pack(&[blob_frame(&blob(b"verge")), end_frame()]);
        for length in 0..whole.len() {
            assert!(matches!(decode(&whole[..length], 7), Err(PackError::Truncated)), "{length} bytes");
        }
    }

    #[test]
    fn malformed_frames_are_rejected() {
        let digest = Digest::of(b"");
        let mut huge = frame(&digest, PLAIN, &[]).to_vec();
        huge[Digest::LEN + 1..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(decode(&huge, 100), Err(PackError::TooLarge { .. })));
        assert!(matches!(decode(&frame(&digest, 9, &[]), 100), Err(PackError::Flags { flags: 9, .. })));
        assert!(matches!(decode(&frame(&digest, ZSTD, b"no"), 100), Err(PackError::Compression { .. })));
        assert!(matches!(decode(&frame(&digest, PLAIN, b"no"), 100), Err(PackError::Blob(_))));
        assert!(matches!(decode(&pack(&[end_frame(), end_frame()]), 300), Err(PackError::Trailing)));
    }

    #[test]
    fn decompression_bomb_is_rejected() {
        let bomb = zstd::bulk::compress(&vec![0; 64 * BLOB_MAX], 3).unwrap();
        assert!(matches!(decode(&frame(&Digest::of(b""), ZSTD, &bomb), 100), Err(PackError::Compression { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pack_roundtrips_with_any_chunk_size(
            contents in prop::collection::vec(prop::collection::vec(0_u8..4, 0..200), 0..5),
            missing: [u8; 32],
            chunk_size in 1_usize..300,
        ) {
            let missing = Digest::from_bytes(missing);
            let mut sent: Vec<Frame> = contents.iter().map(|bytes| Frame::Blob(blob(bytes))).collect();
            sent.push(Frame::Missing(missing));
            let mut bytes = pack(&contents.iter().map(|bytes| blob_frame(&blob(bytes))).collect::<Vec<_>>());
            bytes.extend_from_slice(&missing_frame(&missing));
            bytes.extend_from_slice(&end_frame());
            prop_assert_eq!(decode(&bytes, chunk_size).unwrap(), sent);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..500), chunk_size in 1_usize..100) {
            let _ = decode(&bytes, chunk_size);
        }
    }
}
