//! Recognizes the sources of a site, which nobody means to publish.

use std::path::Path;

use super::package_json;
use crate::scan::html::Page;

/// Files, or beginnings of their names where a dot is last, that only the sources of a site have at their root.
const MARKERS: [&str; 45] = [
    ".eleventy.",
    ".vitepress",
    ".vuepress",
    "Cargo.toml",
    "Dioxus.toml",
    "Gemfile",
    "Trunk.toml",
    "_config.toml",
    "_config.yaml",
    "_config.yml",
    "angular.json",
    "antora-playbook.yml",
    "astro.config.",
    "book.toml",
    "conf.py",
    "deno.json",
    "docusaurus.config.",
    "eleventy.config.",
    "ember-cli-build.",
    "gatsby-config.",
    "hugo.json",
    "hugo.toml",
    "hugo.yaml",
    "hugo.yml",
    "mkdocs.yaml",
    "mkdocs.yml",
    "next.config.",
    "nuxt.config.",
    "nx.json",
    "pelicanconf.py",
    "pubspec.yaml",
    "quasar.config.",
    "react-router.config.",
    "remix.config.",
    "rollup.config.",
    "rsbuild.config.",
    "rspack.config.",
    "rspress.config.",
    "stencil.config.",
    "svelte.config.",
    "vite.config.",
    "vue.config.",
    "webpack.config.",
    "yarn.lock",
    "zensical.toml",
];

/// Configuration of tools that copy `public` into their output: what lies there is not built yet.
const CONFIG_WITH_PUBLIC_SOURCES: [&str; 13] = [
    "angular.json",
    "astro.config.",
    "craco.config.",
    "next.config.",
    "nuxt.config.",
    "quasar.config.",
    "react-router.config.",
    "remix.config.",
    "rsbuild.config.",
    "rspress.config.",
    "svelte.config.",
    "vite.config.",
    "vue.config.",
];

/// Packages of such tools, for projects without a configuration.
const PACKAGES_WITH_PUBLIC_SOURCES: [&str; 13] = [
    "@angular/core",
    "@craco/craco",
    "@react-router/dev",
    "@remix-run/dev",
    "@rsbuild/core",
    "@sveltejs/kit",
    "@vue/cli-service",
    "astro",
    "next",
    "nuxt",
    "react-scripts",
    "rspress",
    "vite",
];

/// Packages of other tools that build sites.
const OTHER_BUILD_TOOLS: [&str; 15] = [
    "@11ty/eleventy",
    "@docusaurus/core",
    "@parcel/core",
    "@rspack/core",
    "@storybook/cli",
    "esbuild",
    "gatsby",
    "gulp",
    "hexo",
    "parcel",
    "rollup",
    "storybook",
    "vitepress",
    "vuepress",
    "webpack",
];

/// Whether the directory holds the sources of a site: the configuration of a build tool, a package that is built, or a page that loads what no browser runs.
pub(super) fn is_source_tree(dir: &Path) -> bool {
    has_any(dir, &MARKERS) || is_built_package(dir) || is_legacy_hugo(dir) || loads_sources(dir)
}

/// Whether the directory has a `package.json` and is built. A site without a build may have one for a formatter or a server, beside its page.
fn is_built_package(dir: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(dir.join("package.json")) else { return false };
    !dir.join("index.html").is_file()
        || package_json::has_script(&text, "build")
        || package_json::dependencies(&text).iter().any(|name| is_build_tool(name))
}

fn is_build_tool(package: &str) -> bool {
    PACKAGES_WITH_PUBLIC_SOURCES.contains(&package) || OTHER_BUILD_TOOLS.contains(&package)
}

/// Whether `public` in this project is copied into the output of its build tool.
pub(super) fn has_public_sources(dir: &Path) -> bool {
    let packages = || {
        std::fs::read_to_string(dir.join("package.json")).is_ok_and(|text| {
            package_json::dependencies(&text).iter().any(|name| PACKAGES_WITH_PUBLIC_SOURCES.contains(&&**name))
        })
    };
    let is_template = || {
        let page = std::fs::read_to_string(dir.join("public/index.html"));
        page.is_ok_and(|page| page.contains("%PUBLIC_URL%") || page.contains("<%= "))
    };
    has_any(dir, &CONFIG_WITH_PUBLIC_SOURCES) || packages() || is_template()
}

fn has_any(dir: &Path, markers: &[&str]) -> bool {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let is_marker = |name: &str| {
        markers.iter().any(|marker| if marker.ends_with('.') { name.starts_with(marker) } else { name == *marker })
    };
    names.into_iter().any(|name| name.to_str().is_some_and(is_marker))
}

/// Hugo and Zola, with a configuration whose name says little.
fn is_legacy_hugo(dir: &Path) -> bool {
    dir.join("config.toml").is_file() && dir.join("content").is_dir()
}

/// Whether `index.html` loads TypeScript or JSX: a development server compiles these, no browser does.
fn loads_sources(dir: &Path) -> bool {
    let Ok(html) = std::fs::read_to_string(dir.join("index.html")) else { return false };
    let page = Page::read(&html);
    // A compiler in the page, such as Babel's, has types of its own.
    let scripts = page.scripts.iter().filter(|script| script.is_executable);
    scripts.filter_map(|script| script.source.as_deref()).any(|source| {
        let extension = Path::new(source).extension().and_then(|extension| extension.to_str());
        !source.contains("://") && extension.is_some_and(|extension| matches!(extension, "ts" | "tsx" | "jsx" | "vue"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::tree;

    #[test]
    fn sources_are_recognized_and_plain_sites_are_not() {
        for path in ["vite.config.mts", ".vitepress/config.ts", "hugo.toml", "_config.yml", "mkdocs.yml"] {
            assert!(is_source_tree(tree(&[("index.html", ""), (path, "")]).path()), "{path}");
        }
        assert!(is_source_tree(tree(&[("config.toml", ""), ("content/a.md", "")]).path()));
        assert!(is_source_tree(tree(&[("index.html", "<script type=module src=/src/main.tsx></script>")]).path()));
        let plain = tree(&[("index.html", "<script src=a.js></script>"), ("vite.svg", ""), ("config.toml", "")]);
        assert!(!is_source_tree(plain.path()));
        let compiled_in_the_page = "<script type=text/babel src=app.jsx></script>";
        assert!(!is_source_tree(tree(&[("index.html", compiled_in_the_page)]).path()));
    }

    #[test]
    fn package_is_a_source_tree_if_it_is_built() {
        for (package, is_source) in [
            (r#"{"scripts":{"build":"make"}}"#, true),
            (r#"{"devDependencies":{"vite":"7"}}"#, true),
            (r#"{"dependencies":{"@11ty/eleventy":"3"}}"#, true),
            (r#"{"name":"plain","scripts":{"start":"serve ."},"devDependencies":{"prettier":"3"}}"#, false),
            ("{", false),
        ] {
            let tree = tree(&[("package.json", package), ("index.html", "")]);
            assert_eq!(is_source_tree(tree.path()), is_source, "{package}");
        }
        assert!(is_source_tree(tree(&[("package.json", r#"{"name":"plain"}"#)]).path()), "a site has a page");
    }

    #[test]
    fn public_holds_sources_by_configuration_package_or_template() {
        for (path, text) in [
            ("next.config.mjs", ""),
            ("package.json", r#"{"devDependencies":{"vite":"7"}}"#),
            ("package.json", r#"{"dependencies":{"react-scripts":"5"}}"#),
            ("public/index.html", "<link rel=icon href=%PUBLIC_URL%/favicon.ico>"),
        ] {
            assert!(has_public_sources(tree(&[(path, text)]).path()), "{path} {text}");
        }
        let gatsby = tree(&[("gatsby-config.js", ""), ("package.json", r#"{"dependencies":{"gatsby":"5"}}"#)]);
        assert!(!has_public_sources(gatsby.path()));
    }
}
