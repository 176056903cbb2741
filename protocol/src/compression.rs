//! Builds and manifests travel compressed by zstd (RFC 8878).

use std::io::Read;

/// The media type of a zstd body in this API: the compression is part of the resource, not of the transfer.
pub const MEDIA_TYPE: &str = "application/zstd";

/// Why bytes do not unpack.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// They are not zstd, or were cut short.
    #[error("not a whole zstd stream")]
    Malformed(#[source] std::io::Error),
    /// They unpack to more than is taken.
    #[error("unpacks to more than {0} bytes")]
    TooLarge(usize),
}

/// Compresses a body: level 3, as fast as the disk.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("compressing memory into memory cannot fail")
}

/// Unpacks a body, never into more than `most` bytes of memory.
pub fn decompress(bytes: &[u8], most: usize) -> Result<Vec<u8>, DecompressError> {
    let decoder = zstd::Decoder::new(bytes).map_err(DecompressError::Malformed)?;
    let mut plain = Vec::new();
    decoder.take(most as u64 + 1).read_to_end(&mut plain).map_err(DecompressError::Malformed)?;
    if plain.len() > most { Err(DecompressError::TooLarge(most)) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_cut_off() {
        let bomb = compress(&vec![0; 1 << 20]);
        assert!(matches!(decompress(&bomb, 1 << 10), Err(DecompressError::TooLarge(1024))));
        assert_eq!(decompress(&bomb, 1 << 20).unwrap().len(), 1 << 20);
    }

    #[test]
    fn a_cut_stream_is_refused() {
        let whole = compress(b"verge");
        assert!(matches!(decompress(&whole[..whole.len() - 1], 100), Err(DecompressError::Malformed(_))));
        assert!(matches!(decompress(b"verge", 100), Err(DecompressError::Malformed(_))));
    }
}
