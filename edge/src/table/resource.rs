//! What is served at one path, with its headers made.

use http::HeaderValue;
use verge_protocol::manifest::File;
use verge_protocol::{Coding, Content, Lifetime};

/// A file of a manifest, ready to be sent.
pub(crate) struct Resource {
    media_type: HeaderValue,
    lifetime: Lifetime,
    fingerprinted: bool,
    is_html: bool,
    is_font: bool,
    identity: Representation,
    encoded: Vec<(Coding, Representation)>,
}

/// One form of a resource: as built, or in one content coding (RFC 9110 §3.2).
pub(crate) struct Representation {
    content: Content,
    coding: Option<Coding>,
    token: Option<HeaderValue>,
    etag: HeaderValue,
    length: HeaderValue,
}

impl From<File> for Resource {
    fn from(file: File) -> Self {
        // A media type that no header can carry is a fault of the origin's; the bytes are still the reader's.
        let media_type = HeaderValue::from_str(&file.media_type)
            .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
        let essence = file.media_type.split(';').next().unwrap_or_default().trim();
        let encoded = file
            .encodings
            .into_iter()
            .map(|(coding, content)| (coding, Representation::new(content, Some(coding))))
            .collect();
        Self {
            media_type,
            lifetime: file.lifetime,
            fingerprinted: file.fingerprinted,
            is_html: matches!(essence, "text/html" | "application/xhtml+xml"),
            is_font: essence.starts_with("font/") || essence == "application/vnd.ms-fontobject",
            identity: Representation::new(file.identity, None),
            encoded,
        }
    }
}

impl Resource {
    pub(crate) fn media_type(&self) -> &HeaderValue {
        &self.media_type
    }

    /// For how long a cache may keep it.
    pub(crate) fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// Whether later releases of its channel go on serving it: only what is fingerprinted, and never a page, because a page
    /// belongs to its release.
    pub(crate) fn is_inheritable(&self) -> bool {
        self.fingerprinted && !self.is_html
    }

    /// Fonts are fetched with CORS whatever their origin (CSS Fonts 4 §4.8.2).
    pub(crate) fn is_font(&self) -> bool {
        self.is_font
    }

    /// The bytes as built.
    pub(crate) fn identity(&self) -> &Representation {
        &self.identity
    }

    /// In this coding, if it was worth its bytes; as built for `None`.
    pub(crate) fn representation(&self, coding: Option<Coding>) -> Option<&Representation> {
        match coding {
            None => Some(&self.identity),
            Some(coding) => self.encoded.iter().find(|(known, _)| *known == coding).map(|(_, encoded)| encoded),
        }
    }

    /// Whether there is a choice, so that answers depend on `Accept-Encoding`.
    pub(crate) fn has_encodings(&self) -> bool {
        !self.encoded.is_empty()
    }

    /// The content of each representation.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.identity).chain(self.encoded.iter().map(|(_, encoded)| encoded)).map(|form| &form.content)
    }
}

impl Representation {
    fn new(content: Content, coding: Option<Coding>) -> Self {
        let etag = HeaderValue::from_str(&format!("\"{}\"", content.digest())).expect("quoted hex is a header value");
        let token = coding.map(|coding| HeaderValue::from_static(coding.token()));
        let length = HeaderValue::from(content.size());
        Self { content, coding, token, etag, length }
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    pub(crate) fn coding(&self) -> Option<Coding> {
        self.coding
    }

    /// Its `Content-Encoding`.
    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    /// Its strong entity tag, quoted: the digest of its bytes.
    pub(crate) fn etag(&self) -> &HeaderValue {
        &self.etag
    }

    /// Its `Content-Length` when sent whole.
    pub(crate) fn length(&self) -> &HeaderValue {
        &self.length
    }
}
