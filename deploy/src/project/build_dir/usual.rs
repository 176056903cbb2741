//! The usual output directories of build tools.

use std::path::{Path, PathBuf};

use crate::project::source_tree;

/// Where build tools write, most certain first; `*` stands for one directory. What only one tool uses comes before what many use, the site
/// itself before its documentation and its component catalog.
pub(super) const USUAL: [&str; 44] = [
    // VitePress and VuePress, at the root of their own project.
    ".vitepress/dist",
    ".vuepress/dist",
    // Nuxt, Nitro, SolidStart, TanStack Start.
    ".output/public",
    // Angular from 17 on, by project; with a base path of its own.
    "dist/*/browser",
    "dist/browser",
    // Analog, and Astro, Vike and others with server functions beside the site.
    "dist/analog/public",
    "dist/client",
    "dist/public",
    "dist/static",
    // React Router and Remix; Flutter; Antora and MkDocs below `build`; Sphinx.
    "build/client",
    "build/web",
    "build/site",
    "build/html",
    "_build/html",
    "build/jaspr",
    // Quasar.
    "dist/spa",
    "dist/pwa",
    // Blazor.
    "publish/wwwroot",
    // Rspress; GitBook and HonKit; Expo before 50; Dioxus.
    "doc_build",
    "_book",
    "web-build",
    // Create React App, SvelteKit, Docusaurus, Preact; Vite, Astro, Vue, Parcel, Trunk, Expo; Next; Eleventy, Jekyll, Lume.
    "build",
    "dist",
    "out",
    "_site",
    // Hugo, Gatsby, Zola, Hexo: elsewhere it is a source of static files.
    "public",
    // Angular before 17, by project; Nx by application.
    "dist/*",
    "dist/apps/*",
    "dist/apps/*/browser",
    // Ionic, Stencil, Cordova; mdBook; Pelican, Nikola; MkDocs.
    "www",
    "book",
    "output",
    "site",
    // Documentation beside a project.
    "docs/.vitepress/dist",
    "docs/.vuepress/dist",
    "docs/build",
    "docs/dist",
    "docs/doc_build",
    "docs/_build/html",
    "docs/build/html",
    "docs/_site",
    "docs/book",
    "website/build",
    "storybook-static",
];

/// Those that people name the sources of a site too, as in a workspace.
const AMBIGUOUS: [&str; 6] = ["book", "output", "public", "site", "website/build", "www"];

/// What is found in a project.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Output directories with an `index.html`, relative to the project, most certain first.
    pub(super) outputs: Vec<PathBuf>,
    /// Usual directories of one segment that exist without an `index.html`.
    pub(super) without_index: Vec<&'static str>,
}

/// Searches the usual directories of the project at `root`.
pub(super) fn search(root: &Path) -> Found {
    let mut found = Found::default();
    for pattern in USUAL {
        // The templates of an app lie there, not the app.
        if pattern == "public" && source_tree::has_public_sources(root) {
            continue;
        }
        for dir in expand(root, pattern) {
            if found.outputs.contains(&dir) {
                continue;
            }
            if root.join(&dir).join("index.html").is_file() && !is_source(root, &dir) {
                found.outputs.push(dir);
            } else if !pattern.contains('/') {
                found.without_index.push(pattern);
            }
        }
    }
    // A page of a site, not a site: `dist/docs/browser/index.html` beside `dist/index.html`.
    let all = found.outputs.clone();
    let is_inside = |dir: &PathBuf| all.iter().any(|other| other != dir && dir.starts_with(other));
    found.outputs.retain(|dir| !is_inside(dir));
    found
}

/// Whether `dir`, relative to a project, holds sources, although outputs have such names.
pub(super) fn is_source(root: &Path, dir: &Path) -> bool {
    AMBIGUOUS.iter().any(|name| dir == Path::new(name)) && source_tree::is_source_tree(&root.join(dir))
}

/// Whether `dir`, relative to a project, is where a build tool writes.
pub(super) fn is_usual(dir: &Path) -> bool {
    let names: Vec<&str> = dir.iter().filter_map(|name| name.to_str()).collect();
    USUAL.iter().any(|pattern| {
        let wanted: Vec<&str> = pattern.split('/').collect();
        wanted.len() == names.len() && wanted.iter().zip(&names).all(|(wanted, name)| *wanted == "*" || wanted == name)
    })
}

/// The directories that match the pattern, by name.
fn expand(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut dirs = vec![PathBuf::new()];
    for name in pattern.split('/') {
        dirs =
            dirs.iter().flat_map(|dir| if name == "*" { subdirs(root, dir) } else { vec![dir.join(name)] }).collect();
    }
    dirs.retain(|dir| root.join(dir).is_dir());
    dirs
}

fn subdirs(root: &Path, dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = entries.map(|entry| dir.join(entry.file_name())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::project::tests::tree;

    fn outputs(files: &[&str]) -> Vec<String> {
        let tree = tree(&files.iter().map(|path| (*path, "")).collect::<Vec<_>>());
        search(tree.path()).outputs.iter().map(|dir| dir.display().to_string()).collect()
    }

    #[test]
    fn each_pattern_is_found_alone() {
        for pattern in USUAL {
            let dir = pattern.replace('*', "shop");
            let site = format!("{dir}/index.html");
            assert_eq!(outputs(&[&site]), [dir.as_str()], "{pattern}");
            assert!(is_usual(Path::new(&dir)), "{pattern}");
        }
        assert_eq!(USUAL.iter().collect::<BTreeSet<_>>().len(), USUAL.len());
        assert!(!is_usual(Path::new("src")) && !is_usual(Path::new("")) && !is_usual(Path::new("a/dist")));
    }

    #[test]
    fn site_comes_before_its_documentation_and_catalog() {
        let files =
            ["storybook-static/index.html", "docs/.vitepress/dist/index.html", "dist/index.html", "public/robots.txt"];
        assert_eq!(outputs(&files), ["dist", "docs/.vitepress/dist", "storybook-static"]);
        assert_eq!(outputs(&["dist/lib.js", "storybook-static/index.html"]), ["storybook-static"]);
    }

    #[test]
    fn projects_of_a_workspace_are_found_by_name() {
        let files = ["dist/shop/browser/index.html", "dist/admin/browser/index.html", "dist/shop/server/main.js"];
        assert_eq!(outputs(&files), ["dist/admin/browser", "dist/shop/browser"]);
    }

    #[test]
    fn page_of_a_site_is_no_output() {
        assert_eq!(outputs(&["dist/index.html", "dist/docs/browser/index.html", "dist/client/index.html"]), ["dist"]);
    }

    #[test]
    fn sources_with_the_name_of_an_output_are_none() {
        assert_eq!(outputs(&["www/index.html"]), ["www"]);
        assert_eq!(outputs(&["www/index.html", "www/vite.config.ts"]), [""; 0]);
        assert_eq!(outputs(&["dist/index.html", "dist/package.json"]), ["dist"]);
    }

    #[test]
    fn public_is_no_output_where_it_holds_sources() {
        assert_eq!(outputs(&["public/index.html"]), ["public"]);
        assert_eq!(outputs(&["public/index.html", "vite.config.ts"]), [""; 0]);
        assert_eq!(outputs(&["public/index.html", "hugo.toml"]), ["public"]);
    }
}
