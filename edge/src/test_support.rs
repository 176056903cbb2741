//! Channels, manifests, files, sources of blobs and the status of an edge for unit tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use verge_daemon::feed::LastSeen;
use verge_daemon::origins::Origins;
use verge_daemon::{Clock, Secret, Tasks};
use verge_protocol::host::HostLabel;
use verge_protocol::manifest::File;
use verge_protocol::rules::PasswordRule;
use verge_protocol::rules::redirect::Fields;
use verge_protocol::{Coding, Content, Digest, Fallback, HtmlPaths, Lifetime, Manifest, ReleaseNumber};
use verge_test_kit::TOKEN;

use crate::metrics::{Metrics, Traffic};
use crate::status::{AppliedState, MissingBlobs, ServingStatus};
use crate::store::{BlockingStore, Store};
use crate::table::{Channel, InheritedRelease, InheritedReleases, Resource, Resources};
use crate::tls::TlsStatus;
use crate::upstream::Upstream;

/// A store that has nothing and keeps nothing, and no origin.
pub(crate) fn sources(directory: &Path, metrics: &Metrics, tasks: &Tasks) -> (Store, Upstream) {
    let store = Store::new(BlockingStore::open_for_test(directory, 0), tasks.clone());
    let origins = Origins::new(Vec::new(), None, &Secret::new(TOKEN), "test", metrics.upstream_failures.clone());
    (store, Upstream::new(origins.unwrap(), metrics.clone()))
}

/// Builds a channel of the site `demo`. The content of each file is its path.
pub(crate) struct ChannelBuilder {
    own: Manifest,
    inherited: Vec<InheritedRelease>,
}

impl ChannelBuilder {
    pub(crate) fn new(paths: &[&str]) -> Self {
        Self { own: manifest(paths, "", Lifetime::Revalidate), inherited: Vec::new() }
    }

    pub(crate) fn fallback(mut self, fallback: Fallback) -> Self {
        self.own.fallback = fallback;
        self
    }

    pub(crate) fn html(mut self, html: HtmlPaths) -> Self {
        self.own.html = html;
        self
    }

    /// With redirect rules: path or URL, target, status, and whether it is forced.
    pub(crate) fn redirects(mut self, rules: &[(&str, &str, u16, bool)]) -> Self {
        let rule = |(from, to, status, force): &(&str, &str, u16, bool)| {
            let (from, to) = ((*from).to_owned(), (*to).to_owned());
            Fields { from, query: BTreeMap::new(), to, status: *status, force: *force }.try_into().unwrap()
        };
        self.own.rules.redirects = rules.iter().map(rule).collect();
        self
    }

    pub(crate) fn passwords(mut self, rules: Vec<PasswordRule>) -> Self {
        self.own.rules.passwords = rules;
        self
    }

    pub(crate) fn former_scripts(mut self, paths: &[&str]) -> Self {
        self.own.former_scripts = Some(paths.iter().map(|path| path.parse().unwrap()).collect());
        self
    }

    /// Inherits from an earlier release than those added so far. The content of each file is `prefix` and its path.
    pub(crate) fn inherits(mut self, prefix: &str, paths: &[&str], lifetime: Lifetime) -> Self {
        self.inherited.push(InheritedRelease::whole(resources(manifest(paths, prefix, lifetime))));
        self
    }

    pub(crate) fn build(self) -> Channel {
        let label: HostLabel = "demo".parse().unwrap();
        let inherited = InheritedReleases { newer: Vec::new(), older: self.inherited };
        Channel::new(label, ReleaseNumber(2), resources(self.own), inherited, traffic())
    }
}

/// A manifest of files whose content is `prefix` and their path.
pub(crate) fn manifest(paths: &[&str], prefix: &str, lifetime: Lifetime) -> Manifest {
    let files = paths.iter().map(|path| (path.parse().unwrap(), file(path, prefix, lifetime))).collect();
    Manifest {
        site: "demo".parse().unwrap(),
        fallback: Fallback::NotFound,
        files,
        former_scripts: None,
        html: HtmlPaths::Auto,
        rules: verge_protocol::Rules::default(),
    }
}

/// The resources of a manifest.
pub(crate) fn resources(manifest: Manifest) -> Arc<Resources> {
    Arc::new(Resources::new(Digest::of(&manifest.to_bytes()), manifest))
}

/// A file that repeats its text in a parameter of its media type, for [`text_of`].
pub(crate) fn file(path: &str, prefix: &str, lifetime: Lifetime) -> File {
    let essence = match path.rsplit_once('.') {
        Some((_, "html" | "htm")) => "text/html",
        Some((_, "woff2")) => "font/woff2",
        Some((_, "js")) => "text/javascript",
        _ => "text/plain",
    };
    let content = Content::cut(&Bytes::from(format!("{prefix}{path}"))).0;
    let media_type = format!("{essence};text={prefix}{path}");
    let fingerprinted = lifetime == Lifetime::Immutable;
    File { media_type, lifetime, fingerprinted, identity: content, content_encoding: None, encodings: BTreeMap::new() }
}

/// `file` with one more encoding.
pub(crate) fn encoded(mut file: File, coding: Coding, bytes: &'static str) -> File {
    file.encodings.insert(coding, Content::cut(&Bytes::from_static(bytes.as_bytes())).0);
    file
}

/// The text of a file made by [`file`].
pub(crate) fn text_of(resource: &Resource) -> String {
    let media_type = resource.media_type().to_str().unwrap();
    media_type.split_once(";text=").unwrap().1.to_owned()
}

/// Counters for tests that do not read them.
pub(crate) fn traffic() -> Arc<Traffic> {
    Metrics::new(&mut Registry::default()).unrouted
}

/// The status of the edge `fra-1`, which has seen no origin and lacks no blobs.
pub(crate) fn serving_status(applied: &watch::Sender<AppliedState>) -> ServingStatus {
    ServingStatus {
        edge: "fra-1".parse().unwrap(),
        applied: applied.subscribe(),
        last_seen: LastSeen::never(),
        missing_blobs: MissingBlobs::default(),
        tls: TlsStatus::with_file_problems(Vec::new(), Clock::system()),
        draining: CancellationToken::new(),
    }
}
