//! Whether bytes are in a content coding, and what they decode to. Synchronous, in bounded memory.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::atomic::{AtomicI64, Ordering};

use flate2::bufread::GzDecoder;
use verge_protocol::digest::Hasher;
use verge_protocol::{Coding, Digest};

/// The bytes that are decoded at least of a content beside its original, even of a small one: whether the content was cut short shows
/// only at its end.
const EXAMINED_BYTES: u64 = 16 << 20;

/// The bytes that are decoded of a content that has no original: enough to tell the coding, and no more work than reading its blobs.
const UNCOMPARED_BYTES: u64 = 1 << 20;

/// The file that a content may be an encoding of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Original {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// What decoding a content has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoded {
    /// It is not in the coding, or not as browsers decode it.
    Invalid,
    /// It is in the coding, as far as it was decoded, and does not decode to the original, if there is one.
    Valid,
    /// It decodes to the original.
    ToOriginal,
    /// It was not decoded: the budget of the push was used up.
    NotExamined,
}

/// The bytes that a push may have decoded: 4 GiB, and what honest copies of its files decode to. Bombs of a few kilobytes would have the
/// origin decode 16 MiB each.
pub(super) struct DecodingBudget(AtomicI64);

impl DecodingBudget {
    const BYTES: u64 = 4 << 30;

    /// The budget of a push of a build with so many bytes. Each of its files may be there in each coding.
    pub(super) fn new(build_bytes: u64) -> Self {
        let bytes = Self::BYTES.saturating_add(build_bytes.saturating_mul(Coding::ALL.len() as u64));
        Self(AtomicI64::new(bytes.try_into().unwrap_or(i64::MAX)))
    }

    /// Whether nothing may be decoded any more.
    pub(super) fn is_used_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) <= 0
    }

    /// Takes bytes that were decoded.
    pub(super) fn take(&self, bytes: u64) {
        self.0.fetch_sub(bytes.try_into().unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

/// Decodes the bytes of `encoded`: with an original, until more bytes have come out than it has, and than 16 MiB; else 1 MiB. Memory: 16 MiB for the window of brotli, and a few buffers. An error of `encoded` counts as its end. What came out
/// is taken from `budget`, which is not used up before: the last content may go beyond it.
pub(super) fn examine(
    encoded: impl Read,
    coding: Coding,
    original: Option<Original>,
    budget: &DecodingBudget,
) -> Decoded {
    let mut encoded = BufReader::with_capacity(BUFFER, encoded);
    let output_max = original.map_or(UNCOMPARED_BYTES, |original| original.size.max(EXAMINED_BYTES));
    let hasher = original.map(|_| Hasher::default());
    let output = match coding {
        Coding::Gzip => output(&mut GzDecoder::new(&mut encoded), output_max, hasher, budget),
        Coding::Br if has_large_window(&mut encoded) => None,
        Coding::Br => output(&mut brotli::Decompressor::new(&mut encoded, BUFFER), output_max, hasher, budget),
    };
    match output {
        None => Decoded::Invalid,
        // Browsers differ in what they do with bytes after the end, or with a second member.
        Some(Output::Whole(_)) if !encoded.fill_buf().is_ok_and(<[u8]>::is_empty) => Decoded::Invalid,
        Some(Output::Whole(Some(digest))) if original.is_some_and(|original| original.digest == digest) => {
            Decoded::ToOriginal
        }
        Some(Output::Longer | Output::Whole(_)) => Decoded::Valid,
    }
}

const BUFFER: usize = 64 << 10;

/// What came out of a decoder without an error.
enum Output {
    /// All of it, and its digest if that was asked for.
    Whole(Option<Digest>),
    /// More than was asked for.
    Longer,
}

/// `None` if the decoder fails within the first `max` bytes.
fn output(decoder: &mut impl Read, max: u64, mut hasher: Option<Hasher>, budget: &DecodingBudget) -> Option<Output> {
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        let read = decoder.read(&mut buffer).ok()?;
        if read == 0 {
            // The decoder of brotli reports bytes after the end only if it is asked again.
            let is_end = decoder.read(&mut buffer).is_ok_and(|more| more == 0);
            return is_end.then(|| Output::Whole(hasher.map(Hasher::finish)));
        }
        size += read as u64;
        budget.take(read as u64);
        if size > max {
            return Some(Output::Longer);
        }
        if let Some(hasher) = &mut hasher {
            hasher.update(&buffer[..read]);
        }
    }
}

/// Whether brotli would need a window of more than 16 MiB. Our decoder knows that extension, which takes up to 1 GiB; browsers do not
/// (RFC 7932 §9.1 reserves the bits). An empty content has none.
fn has_large_window(encoded: &mut BufReader<impl Read>) -> bool {
    const RESERVED: u8 = 0b001_0001;
    encoded.fill_buf().is_ok_and(|bytes| bytes.first().is_some_and(|first| first & 0b0111_1111 == RESERVED))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn encoded(plain: &[u8], coding: Coding) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Br => {
                let mut encoded = Vec::new();
                let parameters = brotli::enc::BrotliEncoderParams { quality: 2, ..Default::default() };
                brotli::BrotliCompress(&mut &plain[..], &mut encoded, &parameters).unwrap();
                encoded
            }
        }
    }

    fn examined(encoded: impl Read, coding: Coding, original: Option<Original>) -> Decoded {
        examine(encoded, coding, original, &DecodingBudget::new(0))
    }

    #[test]
    fn budget_of_a_push_is_what_was_decoded() {
        let budget = DecodingBudget(AtomicI64::new(25_000));
        for (decoded, is_used_up) in [(10_000, false), (10_000, false), (10_000, true)] {
            let plain = text(decoded);
            let bytes = encoded(&plain, Coding::Gzip);
            assert_eq!(examine(&*bytes, Coding::Gzip, Some(original(&plain)), &budget), Decoded::ToOriginal);
            assert_eq!(budget.is_used_up(), is_used_up);
        }
        // Copies of all files in each coding are always decoded.
        let budget = DecodingBudget::new(50 << 30);
        budget.take(100 << 30);
        assert!(!budget.is_used_up());
    }

    fn original(plain: &[u8]) -> Original {
        Original { digest: Digest::of(plain), size: plain.len() as u64 }
    }

    fn text(size: usize) -> Vec<u8> {
        b"the quick brown fox ".iter().copied().cycle().take(size).collect()
    }

    #[test]
    fn encoding_decodes_to_its_original_and_to_no_other() {
        for coding in Coding::ALL {
            for size in [0, 1, 5000, 300_000] {
                let plain = text(size);
                let bytes = encoded(&plain, coding);
                assert_eq!(examined(&*bytes, coding, Some(original(&plain))), Decoded::ToOriginal, "{coding} {size}");
                assert_eq!(examined(&*bytes, coding, None), Decoded::Valid, "{coding} {size}");
                let other: Vec<u8> = plain.iter().map(|byte| byte ^ 1).chain(*b"x").collect();
                for length in [size + 1, size, size / 2] {
                    let other = Some(original(&other[..length])).filter(|other| other.digest != Digest::of(&plain));
                    assert_eq!(examined(&*bytes, coding, other), Decoded::Valid, "{coding} {size} {length}");
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_not_all_of_one_encoding_are_invalid() {
        for coding in Coding::ALL {
            let plain = text(5000);
            let whole = encoded(&plain, coding);
            let appended = [&*whole, b"x"].concat();
            let twice = [&*whole, &*whole].concat();
            for (name, bytes) in [
                ("empty", &[][..]),
                ("text", b"console.log('hello')"),
                ("cut", &whole[..whole.len() - 1]),
                ("first byte", &whole[..1]),
                ("appended", &appended),
                ("twice", &twice),
            ] {
                for original in [None, Some(original(&plain))] {
                    assert_eq!(examined(bytes, coding, original), Decoded::Invalid, "{coding} {name}");
                }
            }
        }
    }

    #[test]
    fn each_coding_is_told_from_the_other() {
        let plain = text(5000);
        assert_eq!(examined(&*encoded(&plain, Coding::Gzip), Coding::Br, None), Decoded::Invalid);
        assert_eq!(examined(&*encoded(&plain, Coding::Br), Coding::Gzip, None), Decoded::Invalid);
    }

    /// Counts the bytes that are read.
    struct Counting<'a>(&'a [u8], &'a mut usize);

    impl Read for Counting<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let read = self.0.read(buffer)?;
            *self.1 += read;
            Ok(read)
        }
    }

    #[test]
    fn content_that_decodes_to_far_more_than_is_examined_is_not_decoded_to_its_end() {
        // It does not shrink, so that what is read is about what is decoded.
        let plain = verge_test_kit::noise(1, 20 << 20);
        for coding in Coding::ALL {
            let bomb = encoded(&plain, coding);
            for (original, bytes) in [(None, UNCOMPARED_BYTES), (Some(original(b"x")), EXAMINED_BYTES)] {
                let mut read = 0;
                assert_eq!(examined(Counting(&bomb, &mut read), coding, original), Decoded::Valid, "{coding}");
                assert!(read as u64 <= bytes + (1 << 20), "{coding}: {read} bytes were read");
            }
        }
    }

    #[test]
    fn content_that_was_cut_short_is_invalid_beside_a_smaller_original() {
        let plain = text(3 << 20);
        for coding in Coding::ALL {
            let whole = encoded(&plain, coding);
            let stale = Some(original(&plain[..1000]));
            assert_eq!(examined(&whole[..whole.len() - 1], coding, stale), Decoded::Invalid, "{coding}");
            assert_eq!(examined(&*whole, coding, stale), Decoded::Valid, "{coding}");
        }
    }

    #[test]
    fn brotli_with_a_large_window_is_invalid() {
        let mut bytes = Vec::new();
        let parameters = brotli::enc::BrotliEncoderParams {
            quality: 5,
            lgwin: 28,
            large_window: true,
            size_hint: 1 << 28,
            ..Default::default()
        };
        brotli::BrotliCompress(&mut &*text(5000), &mut bytes, &parameters).unwrap();
        assert_eq!(bytes[0] & 0x7f, 0x11, "the encoder has not used a large window");
        assert_eq!(examined(&*bytes, Coding::Br, None), Decoded::Invalid);
    }
}
