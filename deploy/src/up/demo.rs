//! The demo site, which shows the release and the edge that served it.

use std::io;
use std::path::Path;

use serde::Serialize;
use verge_protocol::{Digest, Manifest, SitePath};

use super::cluster::Cluster;
use super::edge::RunningEdge;

/// The files of `deploy/demo/`.
const FILES: [(&str, &[u8]); 5] = [
    ("index.html", include_bytes!("../../demo/index.html")),
    ("404.html", include_bytes!("../../demo/404.html")),
    ("style.css", include_bytes!("../../demo/style.css")),
    ("demo.js", include_bytes!("../../demo/demo.js")),
    ("icon.svg", include_bytes!("../../demo/icon.svg")),
];

/// The name of the file with the data.
const DATA: &str = "up.json";

/// The data of the demo site, `up.json`.
#[derive(Debug, Serialize)]
pub struct Demo {
    /// How to call this program.
    command: String,
    edges: Vec<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    name: String,
    url: String,
}

impl Demo {
    /// The demo of this cluster; `host` is the host name of the site.
    pub fn new(cluster: &Cluster, host: &str, command: &str) -> Self {
        let link = |edge: &RunningEdge| {
            let (scheme, address) = edge.https.map_or(("http", edge.public), |https| ("https", https));
            Link { name: edge.name.to_string(), url: format!("{scheme}://{host}:{}/", address.port()) }
        };
        Self { command: command.to_owned(), edges: cluster.edges().iter().map(link).collect() }
    }

    /// Writes the site to an empty directory.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        for (name, bytes) in FILES {
            std::fs::write(dir.join(name), bytes)?;
        }
        std::fs::write(dir.join(DATA), self.data())
    }

    fn data(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("the demo can be serialized")
    }

    /// Whether a release has the files of the demo, with these bytes.
    pub fn is_in(&self, release: &Manifest) -> bool {
        let data = self.data();
        FILES.into_iter().chain([(DATA, &*data)]).all(|(name, bytes)| {
            let path: SitePath = name.parse().expect("a name of a file is a path");
            release.files.get(&path).is_some_and(|file| file.identity.digest() == Digest::of(bytes))
        })
    }

    /// Whether a release has the paths of a demo, such as that of another cluster or of an earlier version, and no others.
    pub fn is_like(release: &Manifest) -> bool {
        let has = |name: &str| release.files.keys().any(|path| path.as_str() == name);
        let is_known = |path: &SitePath| path.as_str() == DATA || FILES.iter().any(|(name, _)| path.as_str() == *name);
        has("index.html") && has(DATA) && release.files.keys().all(is_known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_demo_is_embedded() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
        let mut on_disk: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        on_disk.sort();
        let mut embedded: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        embedded.sort_unstable();
        assert_eq!(on_disk, embedded);
    }
}
