//! The resources of one manifest.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use verge_protocol::manifest::File;
use verge_protocol::nfc::nfc;
use verge_protocol::{Content, Digest, Fallback, HtmlPaths, Manifest, SiteName};

use super::not_found_pages::NotFoundPages;
use super::release_blobs::ReleaseBlobs;
use super::resource::Resource;
use super::site_rules::SiteRules;

/// The resources of one manifest, by path. Shared by all channels that point at it or inherit from it.
pub(crate) struct Resources {
    manifest: Digest,
    site: SiteName,
    by_path: HashMap<Box<str>, Arc<Resource>>,
    not_found: NotFoundPages,
    single_page: Option<Arc<Resource>>,
    blobs: ReleaseBlobs,
    /// Paths of scripts that only earlier releases had, and of legacy service workers.
    former_scripts: HashSet<Box<str>>,
    html: HtmlPaths,
    rules: Arc<SiteRules>,
}

impl Resources {
    /// Builds the resources of the manifest `id`. Rules beyond limits are served as far as they are [within](verge_protocol::Rules::within_limits)
    /// them. Paths are composed, since older manifests have them as the file system did; if two become
    /// one, one of them is kept.
    pub(crate) fn new(id: Digest, manifest: Manifest) -> Self {
        let blobs = ReleaseBlobs::of(manifest.files.values());
        let mut by_path: HashMap<Box<str>, Arc<Resource>> =
            manifest.files.into_iter().map(|(path, file)| resource_at(&nfc(path.as_str()), file)).collect();
        link_markdown(&mut by_path);
        let single_page = match manifest.fallback {
            Fallback::SinglePage { path } => by_path.get(&*nfc(path.as_str())).cloned(),
            Fallback::NotFound => None,
        };
        let not_found = not_found_pages(&by_path);
        let former_scripts = manifest.former_scripts.unwrap_or_default();
        let former_scripts = former_scripts.iter().map(|path| nfc(path.as_str()).into()).collect();
        let rules = match manifest.rules.check() {
            Ok(()) => manifest.rules,
            // It is on disk since before there were limits: its site must not go down.
            Err(error) => {
                tracing::error!(site = %manifest.site, manifest = %id, %error, "the rules of a release are beyond limits: serving it without those kinds of rules that are, and nothing if it is passwords");
                manifest.rules.within_limits()
            }
        };
        let (site, html, rules) = (manifest.site, manifest.html, Arc::new(SiteRules::new(rules)));
        Self { manifest: id, site, by_path, not_found, single_page, blobs, former_scripts, html, rules }
    }

    /// The id of the manifest.
    pub(crate) fn manifest(&self) -> Digest {
        self.manifest
    }

    /// The site that it is a manifest of.
    pub(crate) fn site(&self) -> &SiteName {
        &self.site
    }

    /// The same resources with those marked whose content is among `erased`, and without the blobs that only they need. `None` if there
    /// is none but those that are marked already.
    pub(crate) fn erase(&self, erased: &BTreeSet<Digest>) -> Option<Self> {
        let is_new =
            |resource: &Resource| !resource.is_erased() && erased.contains(&resource.identity().content().digest());
        if !self.by_path.values().any(|resource| is_new(resource)) {
            return None;
        }
        let mark = |resource: &Arc<Resource>| {
            if is_new(resource) { Arc::new(resource.erased()) } else { Arc::clone(resource) }
        };
        let mut by_path: HashMap<_, _> =
            self.by_path.iter().map(|(path, resource)| (path.clone(), mark(resource))).collect();
        link_markdown(&mut by_path);
        let rest = by_path.values().filter(|resource| !resource.is_erased());
        let files = u32::try_from(rest.clone().count()).unwrap_or(u32::MAX);
        let needed: HashSet<Digest> =
            rest.flat_map(|resource| resource.contents()).flat_map(Content::slices).map(|slice| slice.digest).collect();
        Some(Self {
            manifest: self.manifest,
            site: self.site.clone(),
            not_found: not_found_pages(&by_path),
            single_page: self.single_page.as_ref().map(mark),
            blobs: self.blobs.only(files, |blob| needed.contains(blob)),
            former_scripts: self.former_scripts.clone(),
            html: self.html,
            rules: Arc::clone(&self.rules),
            by_path,
        })
    }

    /// The resource at exactly this path.
    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Resource>> {
        self.by_path.get(path)
    }

    /// The resources and their paths, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Resource>)> {
        self.by_path.iter().map(|(path, resource)| (&**path, resource))
    }

    /// The `404.html` in this directory, or in the nearest directory above it; the root is the empty string.
    pub(crate) fn not_found_page(&self, directory: &str) -> Option<&Arc<Resource>> {
        self.not_found.nearest(directory)
    }

    /// The single-page fallback, which answers navigations to paths without a file.
    pub(crate) fn single_page(&self) -> Option<&Arc<Resource>> {
        self.single_page.as_ref()
    }

    /// How the addresses of pages relate to their files.
    pub(crate) fn html_paths(&self) -> HtmlPaths {
        self.html
    }

    /// Its redirects, headers and passwords.
    pub(crate) fn rules(&self) -> &Arc<SiteRules> {
        &self.rules
    }

    /// The number of files.
    pub(crate) fn len(&self) -> usize {
        self.by_path.len()
    }

    /// The blobs of all representations of all resources.
    pub(crate) fn blobs(&self) -> &ReleaseBlobs {
        &self.blobs
    }

    /// Whether only earlier releases had a script at this path, or the site named it as a legacy service worker.
    pub(crate) fn is_former_script(&self, path: &str) -> bool {
        self.former_scripts.contains(path)
    }
}

fn not_found_pages(by_path: &HashMap<Box<str>, Arc<Resource>>) -> NotFoundPages {
    NotFoundPages::of(by_path.iter().map(|(path, resource)| (&**path, resource)))
}

fn resource_at(path: &str, file: File) -> (Box<str>, Arc<Resource>) {
    (path.into(), Arc::new(Resource::new(path, file)))
}

/// Gives each page the Markdown file beside it that has its name: `page.md` of `page.html`.
fn link_markdown(by_path: &mut HashMap<Box<str>, Arc<Resource>>) {
    let linked = by_path.iter().filter_map(|(path, page)| {
        let name = path.strip_suffix(".html").or_else(|| path.strip_suffix(".htm"))?;
        let twin = by_path.get(format!("{name}.md").as_str());
        let linked = match twin.and_then(|twin| page.with_markdown(twin)) {
            // The twin was erased.
            None => page.markdown().map(|_| page.without_markdown())?,
            Some(linked) => linked,
        };
        Some((path.clone(), Arc::new(linked)))
    });
    let linked: Vec<_> = linked.collect();
    by_path.extend(linked);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decomposed_paths_of_a_manifest_are_found_composed() {
        let content = Content::cut(&"x".into()).0;
        let file = serde_json::json!({ "identity": content, "media_type": "text/html", "lifetime": "revalidate" });
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "site": "demo",
            "files": { "cafe\u{301}/404.html": file, "cafe\u{301}/index.html": file },
            "fallback": Fallback::SinglePage { path: "cafe\u{301}/index.html".parse().unwrap() },
            "former_scripts": ["cafe\u{301}/sw.js"],
        }))
        .unwrap();
        let resources = Resources::new(Digest::of(b"m"), manifest);
        assert!(resources.get("caf\u{e9}/index.html").is_some() && resources.single_page().is_some());
        assert!(resources.not_found_page("caf\u{e9}").is_some() && resources.is_former_script("caf\u{e9}/sw.js"));
        assert!(resources.get("cafe\u{301}/index.html").is_none());
    }

    #[test]
    fn manifest_with_rules_beyond_limits_is_served_without_them_but_never_without_its_passwords() {
        let deep = "/a".repeat(120);
        let redirects: Vec<_> = (0..4000)
            .map(|number| serde_json::json!({ "from": format!("/{number}{deep}"), "to": "/", "status": 301 }))
            .collect();
        let passwords = serde_json::json!([{ "for": "/staff/*", "users": [] }]);
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "site": "demo", "files": {}, "rules": { "redirects": redirects, "passwords": passwords },
        }))
        .unwrap();
        let resources = Resources::new(Digest::of(b"m"), manifest);
        assert!(resources.rules().redirects().rules().is_empty());
        assert!(resources.rules().password_of(["/staff/x"].into_iter(), false).is_some());
        assert!(resources.rules().password_of(["/x"].into_iter(), false).is_none());
    }
}
