//! Sites and what is pushed to them.
//!
//! Each release has a page; a chunk of its own and a chunk that it shares with its neighbours, which the page names; a file whose name
//! never changes; and at times a document whose bytes a later release replaces and a still later one removes, as when somebody
//! redacts it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use verge_edge::model::ReleaseFiles;
use verge_protocol::manifest::File;
use verge_protocol::{Content, Digest, Fallback, HtmlPaths, Lifetime, Manifest, SiteName};

use crate::random::Random;

/// A release's files.
pub(crate) struct Build {
    pub(crate) site: SiteName,
    /// The number of the build: what is pushed last has the highest.
    pub(crate) number: u64,
    pub(crate) manifest: Digest,
    /// As edges hold them.
    pub(crate) files: ReleaseFiles,
    /// The bytes at each path.
    pub(crate) contents: BTreeMap<String, Digest>,
    /// The paths that its page names, all of them named by their contents.
    pub(crate) chunks: Vec<String>,
    /// Whether readers of it get errors.
    pub(crate) is_bad: bool,
    /// Every blob, and its size.
    pub(crate) blobs: BTreeMap<Digest, u64>,
}

/// A site and the history of its paths.
pub(crate) struct Site {
    name: SiteName,
    builds: u64,
    /// The document's number and, while there is one, the number of its text.
    document: (u64, Option<u64>),
    /// The paths that have had several bytes: they are not inherited any more.
    ambiguous: BTreeSet<String>,
}

impl Site {
    pub(crate) fn new(name: SiteName) -> Self {
        Self { name, builds: 0, document: (0, None), ambiguous: BTreeSet::new() }
    }

    /// Whether it is the site of this name.
    pub(crate) fn is(&self, name: &SiteName) -> bool {
        self.name == *name
    }

    /// The next build.
    pub(crate) fn build(&mut self, random: &mut Random) -> Arc<Build> {
        self.builds += 1;
        self.edit_document(random);
        let (site, number) = (&self.name, self.builds);
        let shared = number / 3;
        let mut texts = vec![
            ("index.html".to_owned(), format!("{site} page {number}")),
            (format!("assets/app-{number:08x}.js"), format!("{site} app {number}{}", " ".repeat(random.below(200)))),
            (format!("assets/vendor-{shared:08x}.js"), format!("{site} vendor {shared}")),
            ("stable.txt".to_owned(), format!("{site} stable {number}")),
        ];
        let chunks = vec![texts[1].0.clone(), texts[2].0.clone()];
        if let (document, Some(text)) = self.document {
            texts.push((document_path(document), format!("{site} document {document} {text}")));
        }
        let file = |path: &str, text: String| {
            let fingerprinted = path.starts_with("assets/") && !self.ambiguous.contains(path);
            let media_type = if path == "index.html" { "text/html" } else { "text/javascript" };
            let identity = Content::cut(&Bytes::from(text)).0;
            let media_type = media_type.to_owned();
            // What is named by its content beyond doubt never changes; a document may.
            let is_immutable = fingerprinted && !path.contains("document");
            let lifetime = if is_immutable { Lifetime::Immutable } else { Lifetime::Revalidate };
            File { media_type, lifetime, fingerprinted, identity, content_encoding: None, encodings: BTreeMap::new() }
        };
        let files = texts.into_iter().map(|(path, text)| {
            let file = file(&path, text);
            (path.parse().expect("a valid path"), file)
        });
        let manifest = Manifest {
            site: site.clone(),
            fallback: Fallback::NotFound,
            files: files.collect(),
            former_scripts: None,
            html: HtmlPaths::Auto,
            rules: verge_protocol::Rules::default(),
        };
        let contents = manifest.files.iter().map(|(path, file)| (path.to_string(), file.identity.digest()));
        let blobs = manifest.files.values().flat_map(|file| file.identity.slices());
        let id = Digest::of(&manifest.to_bytes());
        Arc::new(Build {
            site: site.clone(),
            number,
            manifest: id,
            contents: contents.collect(),
            chunks,
            is_bad: random.percent(30),
            blobs: blobs.map(|blob| (blob.digest, blob.size)).collect(),
            files: ReleaseFiles::new(id, manifest),
        })
    }

    /// Publishes a document, replaces its text, or removes it.
    fn edit_document(&mut self, random: &mut Random) {
        self.document = match self.document {
            (number, None) if random.percent(70) => (number, Some(0)),
            (number, Some(0)) if random.percent(60) => {
                self.ambiguous.insert(document_path(number));
                (number, Some(1))
            }
            (number, Some(_)) if random.percent(70) => (number + 1, None),
            unchanged => unchanged,
        };
    }
}

fn document_path(number: u64) -> String {
    format!("assets/document-{number:08x}.js")
}
