//! The resource at one path, with its header values made.

use std::sync::Arc;

use http::HeaderValue;
use verge_protocol::manifest::File;
use verge_protocol::{Coding, Content, Lifetime};

/// A file of a manifest, with its representations (RFC 9110 §3.2) and header values.
#[derive(Clone)]
pub(crate) struct Resource {
    path: Box<str>,
    media_type: HeaderValue,
    lifetime: Lifetime,
    fingerprinted: bool,
    kind: Kind,
    identity: Representation,
    encoded: Vec<(Coding, Representation)>,
    markdown: Option<Arc<Resource>>,
    is_erased: bool,
}

/// What a resource is, as far as that decides how it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Markdown,
    Script,
    Other,
}

/// One representation of a resource: identity, or one content coding.
#[derive(Clone)]
pub(crate) struct Representation {
    content: Content,
    coding: Option<Coding>,
    content_encoding: Option<HeaderValue>,
    etag: HeaderValue,
    content_length: HeaderValue,
}

impl Resource {
    /// The resource of `file` at `path`, decoded and without a leading slash.
    pub(crate) fn new(path: &str, file: File) -> Self {
        // A media type that is no valid header value is a fault of the origin; the file is served all the same.
        let media_type = HeaderValue::from_str(&file.media_type)
            .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
        let essence = file.media_type.split(';').next().unwrap_or_default().trim();
        let kind = match essence {
            "text/html" | "application/xhtml+xml" => Kind::Page,
            "text/markdown" => Kind::Markdown,
            _ if file.is_script() => Kind::Script,
            _ => Kind::Other,
        };
        let encoded = file
            .encodings
            .into_iter()
            .map(|(coding, content)| (coding, Representation::new(content, Some(coding))))
            .collect();
        Self {
            path: path.into(),
            media_type,
            lifetime: file.lifetime,
            fingerprinted: file.fingerprinted,
            kind,
            identity: Representation {
                content_encoding: file.content_encoding.map(content_encoding),
                ..Representation::new(file.identity, None)
            },
            encoded,
            markdown: None,
            is_erased: false,
        }
    }

    /// Its path, decoded and without a leading slash.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn media_type(&self) -> &HeaderValue {
        &self.media_type
    }

    /// The same resource, whose bytes are not served any more.
    pub(super) fn erased(&self) -> Self {
        Self { is_erased: true, markdown: None, ..self.clone() }
    }

    /// Whether its bytes were erased from the site: 410.
    pub(crate) fn is_erased(&self) -> bool {
        self.is_erased
    }

    /// How long caches may keep it.
    pub(crate) fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// Whether later releases of its channel inherit it: only fingerprinted files, and never a page, because a page belongs to
    /// its release.
    pub(crate) fn is_inheritable(&self) -> bool {
        self.fingerprinted && self.kind != Kind::Page
    }

    /// Whether it is a page.
    pub(crate) fn is_page(&self) -> bool {
        self.kind == Kind::Page
    }

    /// Whether it is a script whose path stays when its bytes change: a service worker may be registered there.
    pub(crate) fn is_unhashed_script(&self) -> bool {
        self.kind == Kind::Script && !self.fingerprinted
    }

    /// The same page in Markdown, for those who prefer that.
    pub(crate) fn markdown(&self) -> Option<&Arc<Self>> {
        self.markdown.as_ref()
    }

    /// The same page with this Markdown twin. `None` if it is no page, or that is no Markdown, or erased.
    pub(super) fn with_markdown(&self, twin: &Arc<Self>) -> Option<Self> {
        let is_twin = self.kind == Kind::Page && twin.kind == Kind::Markdown && !twin.is_erased;
        is_twin.then(|| Self { markdown: Some(Arc::clone(twin)), ..self.clone() })
    }

    /// The same page without a Markdown twin.
    pub(super) fn without_markdown(&self) -> Self {
        Self { markdown: None, ..self.clone() }
    }

    /// The representation as built: without a content coding, unless the build itself has encoded it.
    pub(crate) fn identity(&self) -> &Representation {
        &self.identity
    }

    /// The representation in `coding`, if there is one; identity for `None`.
    pub(crate) fn representation(&self, coding: Option<Coding>) -> Option<&Representation> {
        match coding {
            None => Some(&self.identity),
            Some(coding) => self.encoded.iter().find(|(known, _)| *known == coding).map(|(_, encoded)| encoded),
        }
    }

    /// The contents of all representations.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.identity)
            .chain(self.encoded.iter().map(|(_, encoded)| encoded))
            .map(Representation::content)
    }

    /// Whether responses depend on `Accept-Encoding`.
    pub(crate) fn has_encodings(&self) -> bool {
        !self.encoded.is_empty()
    }
}

fn content_encoding(coding: Coding) -> HeaderValue {
    HeaderValue::from_static(coding.token())
}

impl Representation {
    fn new(content: Content, coding: Option<Coding>) -> Self {
        let etag = HeaderValue::from_str(&format!("\"{}\"", content.digest())).expect("quoted hex is a header value");
        let content_encoding = coding.map(content_encoding);
        let content_length = HeaderValue::from(content.size());
        Self { content, coding, content_encoding, etag, content_length }
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// The coding that was chosen for the reader; `None` for the representation as built.
    pub(crate) fn coding(&self) -> Option<Coding> {
        self.coding
    }

    /// The value of `Content-Encoding`, unless its bytes are those that readers see.
    pub(crate) fn content_encoding(&self) -> Option<&HeaderValue> {
        self.content_encoding.as_ref()
    }

    /// Its strong entity tag: the quoted digest of its bytes.
    pub(crate) fn etag(&self) -> &HeaderValue {
        &self.etag
    }

    /// The value of `Content-Length` when it is sent whole.
    pub(crate) fn content_length(&self) -> &HeaderValue {
        &self.content_length
    }
}
