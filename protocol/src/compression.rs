//! zstd compression (RFC 8878) of builds and manifests in transfer.

use std::io::Read;

/// The media type of a zstd body in this API: the compression is part of the resource, not of the transfer.
pub const MEDIA_TYPE: &str = "application/zstd";

/// Why a body cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// It is not zstd, or truncated.
    #[error("invalid or truncated zstd stream")]
    Malformed(#[source] std::io::Error),
    /// The decompressed size exceeds the limit, in bytes.
    #[error("decompresses to more than {0} bytes")]
    TooLarge(usize),
}

/// Compresses a body at level 3, about as fast as a disk delivers it.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("compressing memory into memory cannot fail")
}

/// Decompresses a body into at most `max_bytes` of memory.
pub fn decompress(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecompressError> {
    let decoder = zstd::Decoder::new(bytes).map_err(DecompressError::Malformed)?;
    let mut plain = Vec::new();
    decoder.take(max_bytes as u64 + 1).read_to_end(&mut plain).map_err(DecompressError::Malformed)?;
    if plain.len() > max_bytes { Err(DecompressError::TooLarge(max_bytes)) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decompression_bomb_is_rejected() {
        let bomb = compress(&vec![0; 1 << 20]);
        assert!(matches!(decompress(&bomb, 1 << 10), Err(DecompressError::TooLarge(1024))));
        assert_eq!(decompress(&bomb, 1 << 20).unwrap().len(), 1 << 20);
    }

    #[test]
    fn truncated_stream_is_rejected() {
        let whole = compress(b"verge");
        assert!(matches!(decompress(&whole[..whole.len() - 1], 100), Err(DecompressError::Malformed(_))));
        assert!(matches!(decompress(b"verge", 100), Err(DecompressError::Malformed(_))));
    }
}
