//! Recognizes the page of a single-page app: a nearly empty body which a script fills.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::html::{Element, Page, Script};
use crate::output::human;

/// How much of a page is read, in bytes. Apps that have all of their scripts in the page are longer, but their body is not.
const HEAD_LEN: u64 = 512 * 1024;

/// The most visible text of a page that a script fills, in characters: "Loading…", or a sentence for those without scripts.
const TEXT_MAX: usize = 200;

/// The longest text of a placeholder, in bytes of its letters.
const PLACEHOLDER_MAX: usize = 40;

/// The most elements of such a page: some splash screens have a spinner of a dozen.
const ELEMENTS_MAX: usize = 40;

/// Ids of the elements that frameworks and their templates render into.
const MOUNT_IDS: [&str; 19] = [
    "__next",
    "__nuxt",
    "app",
    "app-root",
    "application",
    "app-container",
    "elm",
    "elm-app",
    "main-app",
    "mount",
    "mount-point",
    "preact-app",
    "q-app",
    "react-app",
    "react-root",
    "root",
    "svelte",
    "svelte-app",
    "vue-app",
];

/// Custom elements of apps: these, and those whose name ends in `-app`. Others are parts of a page: a clock, a map.
const APP_ELEMENTS: [&str; 4] = ["app-root", "app-shell", "flt-glass-pane", "flutter-view"];

/// Elements that no framework renders into, whatever their id is.
const NO_MOUNTS: [&str; 7] = ["canvas", "embed", "iframe", "img", "input", "svg", "video"];

/// Where builders put scripts that are no modules, and the first part of their names: `static/js/main.8f3a2b1c.js`. An empty directory: any,
/// but only with a hash, since people write scripts of these names too. An empty name: any.
const CLASSIC_BUILDS: [(&str, &str); 14] = [
    ("static/js/", "main"),
    ("static/js/", "bundle"),
    ("js/", "app"),
    ("js/", "chunk-vendors"),
    ("_nuxt/", ""),
    ("_next/static/", ""),
    ("", "app"),
    ("", "bundle"),
    ("", "index"),
    ("", "main"),
    ("", "polyfills"),
    ("", "runtime"),
    ("", "umi"),
    ("", "vendor"),
];

/// The fewest characters of a hash in a name.
const HASH_MIN: usize = 6;

/// Scripts that start a framework with a router of its own, by a part of their address.
const ROUTER_SCRIPTS: [(&str, &str); 4] = [
    ("flutter_bootstrap.js", "Flutter"),
    ("flutter.js", "Flutter"),
    ("main.dart.js", "Flutter"),
    ("_framework/blazor.webassembly", "Blazor"),
];

/// Why the page at `source` is that of a single-page app, as a phrase; `None`: it is not.
pub(super) fn evidence(source: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(source)?.take(HEAD_LEN).read_to_end(&mut bytes)?;
    Ok(evidence_in(&Page::read(&String::from_utf8_lossy(&bytes))))
}

fn evidence_in(page: &Page) -> Option<String> {
    for (part, framework) in ROUTER_SCRIPTS {
        if page.scripts.iter().any(|script| script.source.as_deref().is_some_and(|source| source.contains(part))) {
            return Some(format!("the script {part} of {framework}"));
        }
    }
    let is_of_angular = |script: &Script| script.is_module || is_own(script);
    let app_root = page.elements.iter().find(|element| element.name == "app-root");
    if app_root.is_some_and(|element| is_unfilled(page, element)) && page.scripts.iter().any(is_of_angular) {
        return Some("<app-root> of Angular".to_owned());
    }
    if page.text_len > TEXT_MAX || page.elements.len() > ELEMENTS_MAX {
        return None;
    }
    if page.scripts.iter().any(|script| script.text.contains("__sveltekit_")) {
        return Some("an empty page of SvelteKit".to_owned());
    }
    if page.meta_names.iter().any(|name| name.ends_with("/config/environment")) {
        return Some("an empty page of Ember".to_owned());
    }
    let script = page
        .scripts
        .iter()
        .find(|script| script.is_module)
        .or_else(|| page.scripts.iter().find(|script| is_classic_build(script)))?;
    let unfilled = || page.elements.iter().filter(|element| is_unfilled(page, element));
    let is_mount = |element: &&Element| MOUNT_IDS.contains(&&*element.id) && !NO_MOUNTS.contains(&&*element.name);
    let is_app = |element: &&Element| APP_ELEMENTS.contains(&&*element.name) || element.name.ends_with("-app");
    let (mount, custom) = (unfilled().find(is_mount), unfilled().find(is_app));
    let mount = match (mount, custom) {
        (Some(mount), _) => format!("<{} id=\"{}\">", mount.name, mount.id),
        (None, Some(custom)) => format!("<{}>", custom.name),
        // Some frameworks render into the body itself.
        (None, None) if page.elements.is_empty() && page.text_len == 0 && script.is_module => {
            "an empty body".to_owned()
        }
        (None, None) => return None,
    };
    let script = match &script.source {
        Some(source) => format!("the script {source}"),
        None => "a module script".to_owned(),
    };
    Some(human::line(&format!("{mount} and {script}"), 120))
}

/// Whether an element has no visible text of its own, but for a placeholder such as "Loading…" until the script fills it.
fn is_unfilled(page: &Page, element: &Element) -> bool {
    let letters: String =
        page.text[element.text.clone()].chars().filter(|character| character.is_alphanumeric()).collect();
    letters.is_empty() || (letters.len() <= PLACEHOLDER_MAX && letters.to_lowercase().contains("loading"))
}

/// Whether the script is one that is no module, as a known builder names it. Other scripts count what readers do, or draw something.
fn is_classic_build(script: &Script) -> bool {
    let source = script.source.as_deref().filter(|_| is_own(script)).unwrap_or_default();
    let path = source.split(['?', '#']).next().unwrap_or_default();
    let (_, file) = path.rsplit_once('/').unwrap_or(("", path));
    CLASSIC_BUILDS.into_iter().any(|(dir, name)| {
        let in_dir = path == format!("{dir}{file}") || path.contains(&format!("/{dir}"));
        let rest = file.strip_prefix(name);
        let rest = rest.filter(|rest| name.is_empty() || rest.starts_with(['.', '-', '~', '_']));
        rest.is_some_and(|rest| if dir.is_empty() { has_hash(rest) } else { in_dir })
    })
}

/// Whether a part of a name is a hash: long enough, and with a digit.
fn has_hash(name: &str) -> bool {
    name.split(|character: char| !character.is_ascii_alphanumeric())
        .any(|part| part.len() >= HASH_MIN && part.contains(|character: char| character.is_ascii_digit()))
}

/// Whether the script is a file of the site itself.
fn is_own(script: &Script) -> bool {
    script.source.as_deref().is_some_and(|source| {
        let path = source.split(['?', '#']).next().unwrap_or_default();
        let is_elsewhere = source.contains("://") || source.starts_with("//");
        !is_elsewhere && Path::new(path).extension().is_some_and(|extension| extension == "js" || extension == "mjs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(html: &str) -> Option<String> {
        evidence_in(&Page::read(html))
    }

    #[test]
    fn page_of_an_app_is_recognized_with_its_evidence() {
        for (html, expected) in [
            (
                "<head><script type=module src=/assets/index-D1.js></script></head><body><div id=root></div></body>",
                "<div id=\"root\"> and the script /assets/index-D1.js",
            ),
            (
                "<noscript>You need to enable JavaScript.</noscript><div id=\"root\"></div><script defer src=\"/static/js/main.1f.js\"></script>",
                "<div id=\"root\"> and the script /static/js/main.1f.js",
            ),
            (
                "<div id=app></div><script src=/js/chunk-vendors.8f3a2b1c.js></script>",
                "<div id=\"app\"> and the script /js/chunk-vendors.8f3a2b1c.js",
            ),
            (
                "<div id=__nuxt><div class=spinner></div></div><script src=/_nuxt/8f3a2b1.js></script>",
                "<div id=\"__nuxt\"> and the script /_nuxt/8f3a2b1.js",
            ),
            (
                "<div id=root></div><script src=/main.8f3a2b1c9d.js></script>",
                "<div id=\"root\"> and the script /main.8f3a2b1c9d.js",
            ),
            (
                "<app-root>Loading…</app-root><script src=main-es5.8f3a2b1c.js nomodule></script>",
                "<app-root> of Angular",
            ),
            (
                "<div id=app>Loading…</div><script src=js/app.js?v=1></script>",
                "<div id=\"app\"> and the script js/app.js?v=1",
            ),
            (
                "<main id=app></main><script type=module>import '/a.js'</script>",
                "<main id=\"app\"> and a module script",
            ),
            ("<todo-app></todo-app><script type=module src=app.js></script>", "<todo-app> and the script app.js"),
            ("<body><script type=module>import init from '/x.js'</script></body>", "an empty body and a module script"),
            ("<app-root></app-root><script src=main.js type=module></script>", "<app-root> of Angular"),
            (
                "<body><script src=\"flutter_bootstrap.js\" async></script></body>",
                "the script flutter_bootstrap.js of Flutter",
            ),
            (
                "<div style=\"display: contents\"><script>{ __sveltekit_1abc = {}; import('/_app/start.js') }</script></div>",
                "an empty page of SvelteKit",
            ),
            (
                "<meta name=\"shop/config/environment\" content=\"%7B\"><script src=/assets/vendor.js></script>",
                "an empty page of Ember",
            ),
            (
                "<div id=app>Loading</div><script src=_framework/blazor.webassembly.js></script>",
                "the script _framework/blazor.webassembly of Blazor",
            ),
        ] {
            assert_eq!(evidence(html).as_deref(), Some(expected), "{html}");
        }
    }

    #[test]
    fn plain_page_is_no_app() {
        let prerendered = format!(
            "<div id=root><h1>Us</h1><p>{}</p></div><script type=module src=/a.js></script>",
            "word ".repeat(60)
        );
        let gallery = format!("<div id=app>{}</div><script src=a.js></script>", "<img src=1.png>".repeat(50));
        for html in [
            "",
            "<!doctype html>",
            "<h1>Hello</h1>",
            "<h1>Hello</h1><script src=app.js></script>",
            "<h1>Hello</h1><script type=module src=app.js></script>",
            "<body><script src=game.js></script></body>",
            "<div id=app></div>",
            "<div id=root></div><script async src=https://stats.example/s.js></script>",
            "<div id=root></div><script>track()</script>",
            "<div id=content></div><script type=module src=a.js></script>",
            "<h1>World clock</h1><world-clock></world-clock><script type=module src=/clock.js></script>",
            "<div id=\"app\"><h1>Coming soon</h1></div><script src=/analytics.js></script>",
            "<div id=\"app\"><h1>Coming soon</h1></div><script type=module src=/analytics.js></script>",
            "<div id=\"app\"></div><script src=/analytics.js></script>",
            "<canvas id=\"root\"></canvas><script src=/three.js></script>",
            "<canvas id=\"root\"></canvas><script type=module src=/three.js></script>",
            "<h1>Astro one</h1><p>text</p><astro-island></astro-island><script type=module src=/_astro/a.js></script>",
            "<app-root>Our shop is closed</app-root><script type=module src=main.js></script>",
            "<app-root></app-root><script src=https://stats.example/main.js></script>",
            &prerendered,
            &gallery,
        ] {
            assert_eq!(evidence(html), None, "{html}");
        }
    }

    #[test]
    fn only_the_beginning_of_a_page_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.html");
        let page = "<div id=app></div><script type=module>";
        std::fs::write(&path, format!("{page}{}", "1;".repeat(1 << 20))).unwrap();
        assert_eq!(super::evidence(&path).unwrap().as_deref(), Some("<div id=\"app\"> and a module script"));
        std::fs::write(&path, format!("<!--{}-->{page}", " ".repeat(1 << 20))).unwrap();
        assert_eq!(super::evidence(&path).unwrap(), None);
    }
}
