//! The blobs of one release, in the order in which they are worth fetching.

use std::collections::HashSet;

use verge_protocol::manifest::File;
use verge_protocol::{Content, Digest};

/// A blob of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReleaseBlob {
    pub(crate) digest: Digest,
    /// In bytes.
    pub(crate) size: u64,
    /// The index of the first file that needs it, in the order of fetching.
    pub(crate) file: u32,
}

/// Every blob of a release once. Pages come first, since nothing else is requested without one; then what a page needs to start. The blobs
/// of a file, of all its representations, are together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ReleaseBlobs {
    blobs: Box<[ReleaseBlob]>,
    files: u32,
    bytes: u64,
}

impl ReleaseBlobs {
    /// The blobs of `files`.
    pub(crate) fn of<'a>(files: impl Iterator<Item = &'a File>) -> Self {
        let mut files: Vec<&File> = files.collect();
        // Stable: files of one kind stay in the order of their paths.
        files.sort_by_key(|file| FileKind::of(&file.media_type));
        let mut seen = HashSet::new();
        let mut blobs = Vec::new();
        for (number, file) in (0..).zip(&files) {
            for slice in file.contents().flat_map(Content::slices) {
                if seen.insert(slice.digest) {
                    blobs.push(ReleaseBlob { digest: slice.digest, size: slice.size, file: number });
                }
            }
        }
        let bytes = blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
        Self { blobs: blobs.into(), files: u32::try_from(files.len()).unwrap_or(u32::MAX), bytes }
    }

    /// Those of the blobs that `is_needed` names, of `files` files.
    pub(super) fn only(&self, files: u32, is_needed: impl Fn(&Digest) -> bool) -> Self {
        let blobs: Box<[ReleaseBlob]> = self.blobs.iter().filter(|blob| is_needed(&blob.digest)).copied().collect();
        let bytes = blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
        Self { blobs, files, bytes }
    }

    /// The blobs, in the order of fetching.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ReleaseBlob> {
        self.blobs.iter()
    }

    /// The blobs, in the order of fetching.
    pub(crate) fn as_slice(&self) -> &[ReleaseBlob] {
        &self.blobs
    }

    /// The number of files of the release.
    pub(crate) fn files(&self) -> u32 {
        self.files
    }

    /// Bytes of all blobs.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What a file is for, in the order of fetching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum FileKind {
    Page,
    /// Scripts and style sheets, without which a page does not start.
    Code,
    /// What scripts and style sheets load: fonts, WebAssembly, JSON.
    Resource,
    Other,
}

impl FileKind {
    fn of(media_type: &str) -> Self {
        match media_type.split(';').next().unwrap_or_default().trim() {
            "text/html" | "application/xhtml+xml" => Self::Page,
            "text/javascript" | "application/javascript" | "text/css" => Self::Code,
            "application/wasm" | "application/json" | "application/vnd.ms-fontobject" => Self::Resource,
            essence if essence.starts_with("font/") || essence.ends_with("+json") => Self::Resource,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use verge_protocol::{Coding, Lifetime};

    use super::*;
    use crate::test_support::{encoded, file};

    #[test]
    fn pages_come_first_and_the_blobs_of_a_file_are_together_and_once() {
        let of_type = |media_type: &str, text: &'static str| File {
            media_type: media_type.to_owned(),
            identity: Content::cut(&Bytes::from_static(text.as_bytes())).0,
            ..file("x", "", Lifetime::Revalidate)
        };
        let files = [
            of_type("image/png", "picture"),
            of_type("application/manifest+json", "manifest"),
            of_type("font/woff2", "font"),
            encoded(of_type("text/javascript; charset=utf-8", "script"), Coding::Br, "br"),
            of_type("text/css", "style"),
            of_type("text/html; charset=utf-8", "page"),
            of_type("text/plain", "script"),
            of_type("text/plain", ""),
        ];
        let blobs = ReleaseBlobs::of(files.iter());
        let expected =
            [("page", 0), ("script", 1), ("br", 1), ("style", 2), ("manifest", 3), ("font", 4), ("picture", 5)];
        let expected = expected.map(|(text, file)| (Digest::of(text.as_bytes()), file));
        assert_eq!(blobs.iter().map(|blob| (blob.digest, blob.file)).collect::<Vec<_>>(), expected);
        assert_eq!((blobs.files(), blobs.bytes()), (8, 36));
    }
}
