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

/// Elements that frameworks do not render into, whatever their id: most cannot hold others.
const NO_MOUNTS: [&str; 20] = [
    "a", "area", "audio", "br", "button", "canvas", "embed", "hr", "iframe", "img", "input", "meter", "object",
    "picture", "progress", "select", "source", "svg", "textarea", "video",
];

/// Elements that show nothing by themselves, but for what is in them.
const WRAPPERS: [&str; 4] = ["div", "main", "section", "span"];

/// Elements of a page that has something to say. What is shown while an app loads has none.
const CONTENT: [&str; 8] = ["article", "form", "h1", "h2", "h3", "h4", "table", "ul"];

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
    if page.elements.iter().any(|element| element.name == "app-root") && !page.scripts.is_empty() {
        return Some("<app-root> of Angular".to_owned());
    }
    let visible: Vec<&Element> = page.elements.iter().filter(|element| !element.is_hidden).collect();
    if page.text_len > TEXT_MAX || visible.len() > ELEMENTS_MAX {
        return None;
    }
    if page.scripts.iter().any(|script| script.text.contains("__sveltekit_")) {
        return Some("an empty page of SvelteKit".to_owned());
    }
    if page.meta_names.iter().any(|name| name.ends_with("/config/environment")) {
        return Some("an empty page of Ember".to_owned());
    }
    if visible.iter().any(|element| CONTENT.contains(&&*element.name)) {
        return None;
    }
    let module = page.scripts.iter().find(|script| script.is_module);
    let is_mount = |element: &&Element| MOUNT_IDS.contains(&&*element.id) && !NO_MOUNTS.contains(&&*element.name);
    let (mount, script) = if let Some(mount) = page.elements.iter().find(is_mount) {
        let script = module.or_else(|| page.scripts.iter().find(|script| is_own_file(script)))?;
        (format!("<{} id=\"{}\">", mount.name, mount.id), script)
    } else if let Some(custom) = only_custom_element(page) {
        // A component of another host's is a part of a page.
        let script = page.scripts.iter().find(|script| script.is_module && is_own(script))?;
        (format!("<{}>", custom.name), script)
    } else if visible.is_empty() && page.text_len == 0 {
        // Some frameworks render into the body itself.
        ("an empty body".to_owned(), module?)
    } else {
        return None;
    };
    let script = match &script.source {
        Some(source) => format!("the script {source}"),
        None => "a module script".to_owned(),
    };
    Some(human::line(&format!("{mount} and {script}"), 120))
}

/// The custom element beside which readers see nothing. One with something beside it is a component of a page.
fn only_custom_element(page: &Page) -> Option<&Element> {
    let is_shown = |element: &&Element| !element.is_hidden && !element.is_in_custom;
    let has_other_text = page.text_len > page.custom_text_len;
    let mut shown = page.elements.iter().filter(is_shown).filter(|element| !WRAPPERS.contains(&&*element.name));
    // An island is a part of a page that was rendered before.
    let custom = shown.next().filter(|element| element.is_custom() && element.name != "astro-island")?;
    (shown.next().is_none() && !has_other_text).then_some(custom)
}

/// Whether the script is in the page, or has a path as its address.
fn is_own(script: &Script) -> bool {
    let has_host = |source: &str| source.contains("://") || source.starts_with("//");
    !script.source.as_deref().is_some_and(has_host)
}

/// Whether the script is a file of the site itself.
fn is_own_file(script: &Script) -> bool {
    script.source.as_deref().is_some_and(|source| {
        let path = source.split(['?', '#']).next().unwrap_or_default();
        let extension = Path::new(path).extension();
        is_own(script) && extension.is_some_and(|extension| extension == "js" || extension == "mjs")
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
                "<div id=app>Loading…</div><script src=js/app.js?v=1></script>",
                "<div id=\"app\"> and the script js/app.js?v=1",
            ),
            (
                "<main id=app></main><script type=module>import '/a.js'</script>",
                "<main id=\"app\"> and a module script",
            ),
            (
                "<div id=root></div><script src=/_expo/static/js/web/entry-64e57754.js defer></script>",
                "<div id=\"root\"> and the script /_expo/static/js/web/entry-64e57754.js",
            ),
            (
                "<div id=app>Chargement…</div><script type=module src=/assets/index-D1.js></script>",
                "<div id=\"app\"> and the script /assets/index-D1.js",
            ),
            (
                "<cool-root></cool-root><script src=main-A.js type=module></script>",
                "<cool-root> and the script main-A.js",
            ),
            ("<div id=elm></div><script src=elm.js></script>", "<div id=\"elm\"> and the script elm.js"),
            ("<todo-app></todo-app><script type=module src=app.js></script>", "<todo-app> and the script app.js"),
            ("<my-app></my-app><script type=module src=/assets/x.js></script>", "<my-app> and the script /assets/x.js"),
            (
                "<div class=page><my-app><p>Loading…</p><img src=spinner.png></my-app></div>\
                 <script type=module src=https://stats.example/s.js></script><script type=module src=/a.js></script>",
                "<my-app> and the script /a.js",
            ),
            (
                "<noscript>Enable it</noscript><my-app></my-app><script type=module>import '/a.js'</script>",
                "<my-app> and a module script",
            ),
            (
                "<div hidden>No<b hidden>t</b></div><my-app></my-app><script type=module src=/a.js></script>",
                "<my-app> and the script /a.js",
            ),
            (
                "<form name=contact netlify hidden><input name=x><ul><li>1</ul></form><div id=root></div>\
                 <script type=module src=/a.js></script>",
                "<div id=\"root\"> and the script /a.js",
            ),
            (
                "<div style=\"color: red; DISPLAY : none\"><div><h1>Contact</h1></div><form></form></div><div id=root></div>\
                 <script type=module src=/a.js></script>",
                "<div id=\"root\"> and the script /a.js",
            ),
            (
                "<input hidden><svg hidden><g></g></svg><my-app></my-app><script type=module src=/a.js></script>",
                "<my-app> and the script /a.js",
            ),
            ("<form hidden></form><script type=module src=/a.js></script>", "an empty body and the script /a.js"),
            (
                "<div id=app hidden></div><script type=module src=/a.js></script>",
                "<div id=\"app\"> and the script /a.js",
            ),
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
            "<body style=display:none><h1>Hello</h1><script type=module src=/show.js></script></body>",
            "<h1>Hello</h1><script src=app.js></script>",
            "<h1>Hello</h1><script type=module src=app.js></script>",
            "<body><script src=game.js></script></body>",
            "<div id=app></div>",
            "<div id=root></div><script async src=https://stats.example/s.js></script>",
            "<div id=root></div><script>track()</script>",
            "<div id=content></div><script type=module src=a.js></script>",
            "<model-viewer src=a.glb></model-viewer><script type=module src=https://cdn.example/mv.js></script>",
            "<model-viewer src=a.glb></model-viewer><script type=module src=//cdn.example/mv.js></script>",
            "<p>Soon</p><count-down></count-down><script type=module src=/c.js></script>",
            "<count-down></count-down>Soon<script type=module src=/c.js></script>",
            "<count-down></count-down><img src=logo.png><script type=module src=/c.js></script>",
            "<site-header></site-header><site-main></site-main><script type=module src=/c.js></script>",
            "<astro-island></astro-island><my-menu></my-menu><script type=module src=/c.js></script>",
            "<my-app></my-app><script src=/c.js></script>",
            "<iframe id=app src=https://x.example/></iframe><script src=/resize.js></script>",
            "<embed id=app src=a.swf><script src=/resize.js></script>",
            "<object id=root data=a.pdf></object><script src=/resize.js></script>",
            "<input hidden><h1>Hello</h1><div id=root></div><script src=a.js></script>",
            "<svg hidden></svg><h1>Hello</h1><div id=root></div><script src=a.js></script>",
            "<p hidden>a<h1>Hello</h1><div id=root></div><script src=a.js></script>",
            "<div hidden><div></div></div><h1>Hello</h1><div id=root></div><script src=a.js></script>",
            "<h1 style='display:block'>Hello</h1><div id=root></div><script src=a.js></script>",
            "<h1>World clock</h1><world-clock></world-clock><script type=module src=/clock.js></script>",
            "<div id=app><h1>Coming soon</h1></div><script src=/analytics.js></script>",
            "<canvas id=root></canvas><script src=/three.js></script>",
            "<h1>One</h1><p>text</p><astro-island></astro-island><script type=module src=/a.js></script>",
            "<p>text</p><astro-island></astro-island><script type=module src=/a.js></script>",
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
