//! Releases to serve.

use std::collections::BTreeMap;

use bytes::Bytes;
use verge_protocol::manifest::File;
use verge_protocol::{Blob, Coding, Content, Digest, Fallback, HtmlPaths, Lifetime, Manifest};

/// A manifest and its blobs.
#[derive(Clone)]
pub struct TestRelease {
    /// The manifest.
    pub manifest: Manifest,
    /// The blobs of all its contents.
    pub blobs: Vec<Blob>,
}

/// A release of the site `demo` with these files. Files in `assets/` are fingerprinted and immutable.
pub fn release<T: AsRef<[u8]>>(files: &[(&str, T)]) -> TestRelease {
    let mut release = TestRelease {
        manifest: Manifest {
            site: "demo".parse().unwrap(),
            fallback: Fallback::NotFound,
            html: HtmlPaths::Auto,
            rules: verge_protocol::Rules::default(),
            files: BTreeMap::new(),
            former_scripts: None,
        },
        blobs: Vec::new(),
    };
    for (path, bytes) in files {
        let identity = release.add(bytes.as_ref());
        let media_type = match path.rsplit_once('.') {
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "woff2")) => "font/woff2",
            _ => "application/octet-stream",
        };
        let fingerprinted = path.starts_with("assets/");
        let lifetime = if fingerprinted { Lifetime::Immutable } else { Lifetime::Revalidate };
        let file = File {
            media_type: media_type.to_owned(),
            lifetime,
            fingerprinted,
            identity,
            content_encoding: None,
            encodings: BTreeMap::new(),
        };
        release.manifest.files.insert(path.parse().unwrap(), file);
    }
    release
}

impl TestRelease {
    fn add(&mut self, bytes: &[u8]) -> Content {
        let (content, blobs) = Content::cut(&Bytes::copy_from_slice(bytes));
        self.blobs.extend(blobs);
        content
    }

    /// Adds an encoding of a file, with any bytes: tests do not decode it.
    #[must_use]
    pub fn encoded(mut self, path: &str, coding: Coding, bytes: &str) -> Self {
        let content = self.add(bytes.as_bytes());
        self.manifest.files.get_mut(path).unwrap().encodings.insert(coding, content);
        self
    }

    /// Says that the build itself has encoded a file.
    #[must_use]
    pub fn encoded_by_build(mut self, path: &str, coding: Coding) -> Self {
        self.manifest.files.get_mut(path).unwrap().content_encoding = Some(coding);
        self
    }

    /// Makes it a single-page app.
    #[must_use]
    pub fn single_page(mut self, path: &str) -> Self {
        self.manifest.fallback = Fallback::SinglePage { path: path.parse().unwrap() };
        self
    }

    /// Names paths of scripts that only earlier releases had.
    #[must_use]
    pub fn former_scripts(mut self, paths: &[&str]) -> Self {
        self.manifest.former_scripts = Some(paths.iter().map(|path| path.parse().unwrap()).collect());
        self
    }

    /// The manifest's id.
    pub fn id(&self) -> Digest {
        Digest::of(&self.manifest.to_bytes())
    }
}

/// Pseudo-random bytes, always the same for a seed. They do not compress, and no two blobs of them are equal.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    // Odd, because the state of a xorshift generator must not be 0.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2 * seed + 1);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}
