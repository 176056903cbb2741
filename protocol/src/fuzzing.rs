//! The parsers of what peers send, as the fuzz targets in `fuzz/` run them. No part of the crate's interface.
//!
//! Each function takes any bytes, and panics if what was parsed is not as its module guarantees.

use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::pack::{Decoder, Frame};

/// A manifest with the id of its bytes.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::verify(Digest::of(bytes), bytes) else { return };
    for content in manifest.contents() {
        let sizes: u64 = content.slices().map(|slice| slice.size).sum();
        assert_eq!(sizes, content.size(), "{}", content.digest());
    }
    let canonical = manifest.to_bytes();
    let again = Manifest::verify(Digest::of(&canonical), &canonical).expect("it was written by this version");
    assert_eq!(again, manifest);
}

/// A pack, as a whole and in chunks as long as its first byte says.
pub fn pack(bytes: &[u8]) {
    let Some((chunk, pack)) = bytes.split_first() else { return };
    assert_eq!(frames(pack.chunks(usize::from(*chunk).max(1))), frames(std::iter::once(pack)));
}

/// The frames, and whether an error ended them.
fn frames<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, bool) {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for chunk in chunks {
        decoder.push(chunk);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    if let Frame::Blob(blob) = &frame {
                        assert_eq!(Digest::of(blob.bytes()), blob.digest());
                    }
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpora_of_fuzz_targets_pass() {
        for (name, target) in [("manifest", manifest as fn(&[u8])), ("pack", pack)] {
            let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
            let files: Vec<_> = std::fs::read_dir(&corpus).unwrap().collect();
            assert!(!files.is_empty(), "{name}");
            for file in files {
                target(&std::fs::read(file.unwrap().path()).unwrap());
            }
        }
    }
}
