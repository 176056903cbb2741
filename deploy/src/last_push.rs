//! What the last push of a directory has left on this machine, so that `verge check` needs no network.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use verge_protocol::api::Limits;
use verge_protocol::name_hash::{NameHash, Noise};
use verge_protocol::{Build, Digest, ReleaseNumber, SiteName, SitePath};

/// Extensions of files that build tools name by their content. People name pages and pictures so, and change them.
const OF_BUILD_TOOLS: [&str; 9] = ["css", "js", "map", "mjs", "otf", "ttf", "wasm", "woff", "woff2"];

/// The last push of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPush {
    /// The site.
    pub site: SiteName,
    /// The release.
    pub release: ReleaseNumber,
    /// The limits of the origin.
    pub limits: Limits,
    /// The content of each script, style sheet, font and the like whose name has what is certainly a hash.
    pub fingerprinted: BTreeMap<SitePath, Digest>,
}

impl LastPush {
    /// A push of `build`.
    pub fn new(site: &SiteName, release: ReleaseNumber, limits: Limits, build: &Build) -> Self {
        let has_hash = |path: &SitePath| {
            let extension = path.file_name().rsplit_once('.').map_or("", |(_, extension)| extension);
            let is_certain = |hash: NameHash<'_>| hash.noise == Noise::Random;
            OF_BUILD_TOOLS.contains(&extension) && NameHash::find(path.file_name()).is_some_and(is_certain)
        };
        let files = build.files.iter().filter(|(path, _)| has_hash(path));
        let fingerprinted = files.map(|(path, content)| (path.clone(), content.digest())).collect();
        Self { site: site.clone(), release, limits, fingerprinted }
    }

    /// The last push of `dir`; `data` is the directory for application data. `None`: there was none, or it cannot be read.
    pub fn read(data: &Path, dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(file(data, dir)?).ok()?).ok()
    }

    /// Keeps it for `dir`, whole or not at all.
    pub fn write(&self, data: &Path, dir: &Path) -> io::Result<()> {
        let file = file(data, dir).ok_or(io::ErrorKind::NotFound)?;
        let folder = file.parent().unwrap_or(data);
        std::fs::create_dir_all(folder)?;
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut temporary, self)?;
        temporary.persist(file)?;
        Ok(())
    }

    /// The files of `build` that have a name with a hash, and other bytes than in the last push.
    pub fn changed<'a>(&'a self, build: &'a Build) -> impl Iterator<Item = &'a SitePath> {
        let is_changed = |(path, before): &(&SitePath, &Digest)| {
            build.files.get(*path).is_some_and(|content| content.digest() != **before)
        };
        self.fingerprinted.iter().filter(is_changed).map(|(path, _)| path)
    }
}

fn file(data: &Path, dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    let name = Digest::of(dir.as_os_str().as_encoded_bytes()).to_string();
    Some(data.join("pushes").join(format!("{name}.json")))
}

#[cfg(test)]
mod tests {
    use verge_protocol::{Content, Fallback, HtmlPaths, Rules};

    use super::*;

    fn build(files: &[(&str, &str)]) -> Build {
        let file = |(path, text): &(&str, &str)| {
            (path.parse().unwrap(), Content::cut(&bytes::Bytes::copy_from_slice(text.as_bytes())).0)
        };
        Build {
            files: files.iter().map(file).collect(),
            fallback: Fallback::NotFound,
            legacy_service_workers: Vec::new(),
            html: HtmlPaths::Auto,
            rules: Rules::default(),
        }
    }

    #[test]
    fn files_with_a_hash_in_the_name_are_compared_with_the_last_push_of_the_directory() {
        let data = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { files: 1, file_bytes: 2, build_bytes: 3, pack_bytes: 4 };
        let first = build(&[("index.html", "a"), ("assets/app-DiwRg9da.js", "a"), ("assets/b-8f3a2b1c.css", "b")]);
        let pushed = LastPush::new(&"demo".parse().unwrap(), ReleaseNumber(3), limits, &first);
        assert_eq!(LastPush::read(data.path(), dir.path()), None);
        pushed.write(data.path(), dir.path()).unwrap();
        let last = LastPush::read(data.path(), dir.path()).unwrap();
        assert_eq!(last, pushed);
        assert_eq!(last.changed(&first).count(), 0);
        let second = build(&[("index.html", "b"), ("assets/app-DiwRg9da.js", "b")]);
        assert_eq!(last.changed(&second).map(SitePath::as_str).collect::<Vec<_>>(), ["assets/app-DiwRg9da.js"]);
        assert_eq!(LastPush::read(data.path(), data.path()), None, "of another directory");
    }
}
