//! The scripts that earlier releases of a site had and a new one lacks.
//!
//! A browser keeps a service worker until it gets another one from the same path, and with it the old site. Each manifest lists the
//! former scripts of the site, so the list of a new release is made from the release before it alone.

use std::collections::{BTreeMap, HashSet};

use verge_daemon::error_chain;
use verge_protocol::manifest::{FORMER_SCRIPTS_MAX, File};
use verge_protocol::{Manifest, SiteName, SitePath};

use super::contents::Contents;
use super::error::PublishError;

/// How many releases are read at most if the manifests of the last ones list nothing: an older origin built them, or they are corrupt.
const RELEASES_READ: usize = 100;

/// The unhashed scripts of all earlier releases of `site`, the most recent first. A manifest that cannot be read is passed over: it must
/// not prevent the push that may restore it.
pub(super) async fn of_earlier_releases(contents: &Contents, site: &SiteName) -> Result<Vec<SitePath>, PublishError> {
    let mut scripts = Vec::new();
    for release in contents.database.releases(site).await?.into_iter().take(RELEASES_READ) {
        let id = release.manifest;
        let manifest = match contents.manifest(id).await {
            Ok(bytes) => Manifest::verify(id, &bytes)?,
            Err(error @ (PublishError::CorruptManifest(_) | PublishError::UnknownManifest(_))) => {
                tracing::error!(%site, release = %release.number, error = error_chain(&error), "failed to read former scripts");
                continue;
            }
            Err(error) => return Err(error),
        };
        scripts.extend(manifest.scripts().cloned());
        if let Some(former) = manifest.former_scripts {
            scripts.extend(former);
            break;
        }
    }
    Ok(scripts)
}

/// The former scripts of a release with these `files`: `legacy` ones, then those of `earlier` releases that it lacks. Each once, at
/// most [`FORMER_SCRIPTS_MAX`].
pub(super) fn choose(legacy: Vec<SitePath>, earlier: Vec<SitePath>, files: &BTreeMap<SitePath, File>) -> Vec<SitePath> {
    let mut known = HashSet::new();
    let earlier = earlier.into_iter().filter(|path| !files.contains_key(path));
    legacy.into_iter().chain(earlier).filter(|path| known.insert(path.clone())).take(FORMER_SCRIPTS_MAX).collect()
}

/// Whether `manifest` ends exactly the service workers that a build with its files and these `legacy` ones would end. A former script
/// that is a file of the manifest too was named by the build, and is served again once the build does not name it.
pub(super) fn lists(manifest: &Manifest, legacy: &[SitePath]) -> bool {
    let listed = manifest.former_scripts.clone().unwrap_or_default();
    let chosen = choose(legacy.to_vec(), listed.clone(), &manifest.files);
    chosen.into_iter().collect::<HashSet<_>>() == listed.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use verge_protocol::{Content, Fallback, HtmlPaths, Lifetime, Rules};

    use super::*;

    fn paths(paths: &[&str]) -> Vec<SitePath> {
        paths.iter().map(|path| path.parse().unwrap()).collect()
    }

    fn files(names: &[&str]) -> BTreeMap<SitePath, File> {
        let file = File {
            media_type: "text/javascript; charset=utf-8".to_owned(),
            lifetime: Lifetime::Revalidate,
            fingerprinted: false,
            identity: Content::cut(&"x".into()).0,
            content_encoding: None,
            encodings: BTreeMap::new(),
        };
        paths(names).into_iter().map(|path| (path, file.clone())).collect()
    }

    #[test]
    fn scripts_that_the_release_lacks_are_listed_once_and_the_most_recent_first() {
        let chosen = choose(Vec::new(), paths(&["sw.js", "app.js", "old-sw.js", "sw.js"]), &files(&["app.js"]));
        assert_eq!(chosen, paths(&["sw.js", "old-sw.js"]));
    }

    #[test]
    fn legacy_service_workers_are_listed_even_if_the_release_has_them() {
        let chosen = choose(paths(&["sw.js", "x/sw.js"]), paths(&["a.js", "sw.js"]), &files(&["sw.js"]));
        assert_eq!(chosen, paths(&["sw.js", "x/sw.js", "a.js"]));
    }

    #[test]
    fn manifest_ends_the_service_workers_of_a_build_if_it_lists_those_that_the_build_names_and_no_file_besides() {
        let lists = |former: Option<&[&str]>, legacy: &[&str]| {
            let manifest = Manifest {
                site: "demo".parse().unwrap(),
                fallback: Fallback::NotFound,
                files: files(&["sw.js"]),
                former_scripts: former.map(paths),
                html: HtmlPaths::Auto,
                rules: Rules::default(),
            };
            super::lists(&manifest, &paths(legacy))
        };
        assert!(lists(Some(&["sw.js", "old.js"]), &["sw.js"]));
        assert!(lists(Some(&["old.js"]), &[]), "one of an earlier release");
        assert!(lists(None, &[]), "of an older origin");
        assert!(!lists(Some(&["old.js"]), &["sw.js"]), "not yet named");
        assert!(!lists(Some(&["sw.js", "old.js"]), &[]), "no longer named");
        assert!(!lists(None, &["sw.js"]));
    }

    #[test]
    fn number_of_former_scripts_is_limited() {
        let names: Vec<String> = (0..2 * FORMER_SCRIPTS_MAX).map(|number| format!("{number}.js")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let chosen = choose(Vec::new(), paths(&names), &files(&[]));
        assert_eq!((chosen.len(), chosen[0].as_str()), (FORMER_SCRIPTS_MAX, "0.js"));
    }
}
