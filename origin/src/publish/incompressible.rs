//! Tells contents that encodings do not shrink, such as images, archives and models of any name, by samples: the dense levels take a second for
//! each megabyte of them to find the same.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Smaller contents, in bytes, are not sampled: encoding them takes little time.
const SAMPLED_MIN: usize = 128 << 10;

/// The length of a sample, in bytes.
const SAMPLE: usize = 16 << 10;

/// From the start of a sample to that of the next are at most so many bytes.
const STRIDE_MAX: usize = 64 << 10;

/// The least saving of a sample that counts, in bytes. Chance saves none.
const SAVING_MIN: usize = SAMPLE / 128;

/// The level for samples: the fastest that adapts its codes to the bytes. The one below finds repetitions only.
const LEVEL: u32 = 2;

/// Whether no sample of `content` shrinks noticeably at a fast level. The first and the last bytes are sampled, and some of every 80 KiB: only
/// shorter stretches that shrink, and what is repeated farther away, can be missed.
pub(super) fn is_incompressible(content: &[u8]) -> bool {
    if content.len() < SAMPLED_MIN {
        return false;
    }
    let last = content.len() - SAMPLE;
    let strides = last.div_ceil(STRIDE_MAX);
    (0..=strides).map(|stride| stride * last / strides).all(|start| !shrinks(&content[start..start + SAMPLE]))
}

fn shrinks(sample: &[u8]) -> bool {
    let mut deflate = DeflateEncoder::new(Vec::with_capacity(sample.len()), Compression::new(LEVEL));
    let encoded = deflate.write_all(sample).and_then(|()| deflate.finish());
    // Writing to memory does not fail.
    encoded.is_ok_and(|encoded| encoded.len() + SAVING_MIN <= sample.len())
}

#[cfg(test)]
mod tests {
    use verge_protocol::Digest;

    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let blocks = (0_u32..).flat_map(|block| *Digest::of(&block.to_le_bytes()).as_bytes());
        blocks.take(length).collect()
    }

    #[test]
    fn noise_is_incompressible_whatever_its_length() {
        for length in [SAMPLED_MIN, SAMPLED_MIN + 1, 200_000, 2_000_003] {
            assert!(is_incompressible(&noise(length)), "{length}");
        }
        assert!(!is_incompressible(&noise(SAMPLED_MIN - 1)), "it is not sampled");
    }

    #[test]
    fn noise_with_a_stretch_that_shrinks_is_compressible_wherever_that_is() {
        let noise = noise(1_000_000);
        let length = noise.len();
        for start in (0..=length - STRIDE_MAX - SAMPLE).step_by(10_000).chain([length - SAMPLE]) {
            let mut content = noise.clone();
            content[start..].iter_mut().take(STRIDE_MAX + SAMPLE).for_each(|byte| *byte = b'a' + *byte % 20);
            assert!(!is_incompressible(&content), "{start}");
        }
    }

    #[test]
    fn noise_of_a_few_bytes_less_than_all_is_compressible() {
        let content: Vec<u8> = noise(1_000_000).iter().map(|byte| byte % 192).collect();
        assert!(!is_incompressible(&content));
        let text = "the quick brown fox jumps over the lazy dog; ".repeat(10_000);
        assert!(!is_incompressible(text.as_bytes()));
    }
}
