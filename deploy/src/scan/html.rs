//! The little of HTML that is needed to tell an app from a page, and to follow links: elements, attributes, scripts, URLs and how much
//! text there is.
//!
//! It reads tokens (HTML Standard §13.2.5) without building a tree, accepts anything, and never fails.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

/// What a page consists of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// Its elements, but for those of the head and what is in `svg`, `noscript` and `template`, in order.
    pub(crate) elements: Vec<Element>,
    /// Its scripts.
    pub(crate) scripts: Vec<Script>,
    /// The names of its `meta` elements.
    pub(crate) meta_names: Vec<String>,
    /// The number of characters of visible text, without white space.
    pub(crate) text_len: usize,
    /// How many of them are in a custom element.
    pub(crate) custom_text_len: usize,
    /// The URL that others are relative to: that of the first `base` element.
    pub(crate) base: Option<String>,
    /// The URLs of other pages and files.
    pub(crate) links: Vec<Link>,
}

/// A URL in a page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Link {
    /// The URL, perhaps relative.
    pub(crate) url: String,
    /// For what.
    pub(crate) use_: LinkUse,
}

/// For what a page has a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LinkUse {
    /// People follow it to another page.
    Page,
    /// A page within the page.
    Frame,
    /// A file that browsers load with the page.
    File,
}

/// An element of the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// In lowercase.
    pub(crate) name: String,
    /// Its attribute `id`, or empty.
    pub(crate) id: String,
    /// Whether readers do not see it at first, since it is hidden, or in an element that is.
    pub(crate) is_hidden: bool,
    /// Whether it is in a custom element.
    pub(crate) is_in_custom: bool,
}

impl Element {
    /// Whether it is a custom element (HTML Standard §4.13.3).
    pub(crate) fn is_custom(&self) -> bool {
        is_custom(&self.name)
    }
}

/// A script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Script {
    /// Where it is; `None`: in the page.
    pub(crate) source: Option<String>,
    /// Whether it is a module.
    pub(crate) is_module: bool,
    /// Whether browsers run it: other types are data, or for a compiler in the page.
    pub(crate) is_executable: bool,
    /// Its text, if it is in the page.
    pub(crate) text: String,
}

/// Elements whose content is not markup, or not visible at first.
const OPAQUE: [&str; 8] = ["script", "style", "title", "textarea", "noscript", "template", "svg", "iframe"];

/// Elements that are not visible themselves, and may be anywhere.
const INVISIBLE: [&str; 11] =
    ["html", "head", "body", "meta", "link", "base", "script", "style", "title", "noscript", "template"];

/// Elements without an end tag, and those whose end tag may be left out (HTML Standard §13.1.2, §13.1.2.4). Where what is in them ends
/// is not known without a tree.
const WITHOUT_END: [&str; 30] = [
    "area", "base", "br", "caption", "col", "colgroup", "dd", "dt", "embed", "hr", "img", "input", "li", "link",
    "meta", "optgroup", "option", "p", "param", "rp", "rt", "source", "tbody", "td", "tfoot", "th", "thead", "tr",
    "track", "wbr",
];

/// Where elements have URLs.
const LINKS: [(&str, &str, LinkUse); 19] = [
    ("a", "href", LinkUse::Page),
    ("a", XLINK_HREF, LinkUse::Page),
    ("area", "href", LinkUse::Page),
    ("iframe", "src", LinkUse::Frame),
    ("audio", "src", LinkUse::File),
    ("embed", "src", LinkUse::File),
    ("image", "href", LinkUse::File),
    ("image", XLINK_HREF, LinkUse::File),
    ("img", "src", LinkUse::File),
    ("img", "srcset", LinkUse::File),
    ("object", "data", LinkUse::File),
    ("script", "src", LinkUse::File),
    ("source", "src", LinkUse::File),
    ("source", "srcset", LinkUse::File),
    ("track", "src", LinkUse::File),
    ("use", "href", LinkUse::File),
    ("use", XLINK_HREF, LinkUse::File),
    ("video", "poster", LinkUse::File),
    ("video", "src", LinkUse::File),
];

/// What `href` is called in SVG 1.1. It counts only without an `href` (SVG 2 §16.1.6).
const XLINK_HREF: &str = "xlink:href";

/// What a `link` element refers to that browsers load as a file.
const LOADED: [&str; 7] =
    ["apple-touch-icon", "icon", "manifest", "mask-icon", "modulepreload", "preload", "stylesheet"];

/// Types of scripts that are not modules.
const JAVASCRIPT_TYPES: [&str; 5] = [
    "text/javascript",
    "application/javascript",
    "application/ecmascript",
    "application/x-javascript",
    "text/ecmascript",
];

impl Page {
    /// Reads a page, or the beginning of one. The links in `svg` and `noscript` count, though nothing else there does.
    pub(crate) fn read(html: &str) -> Self {
        let mut noscripts = Vec::new();
        let mut page = Self::read_markup(html, &mut noscripts);
        for markup in noscripts {
            // One in another has no meaning: depth is bounded.
            page.links.append(&mut Self::read_markup(&markup, &mut Vec::new()).links);
        }
        page
    }

    /// Reads markup, of which the content of each `noscript` is added to `noscripts` as text.
    fn read_markup(html: &str, noscripts: &mut Vec<String>) -> Self {
        let mut page = Self::default();
        let mut emitter = DefaultEmitter::default();
        // Scripts, styles and titles have no elements in them.
        emitter.naively_switch_states(true);
        let mut opaque: Option<Open> = None;
        let mut outer = Outer::default();
        for token in Tokenizer::new_with_emitter(html, emitter) {
            let Ok(token) = token;
            match (token, &mut opaque) {
                (Token::StartTag(tag), None) => {
                    let tag = Tag::new(&tag);
                    page.add_element(&tag, &outer);
                    if tag.name == "noscript" {
                        noscripts.push(String::new());
                    }
                    if !OPAQUE.contains(&&*tag.name) {
                        outer.start(&tag);
                    } else if !(tag.name == "svg" && tag.is_self_closing) {
                        opaque = Some(Open::new(&tag.name));
                    }
                }
                (Token::StartTag(tag), Some(open)) => {
                    if !tag.self_closing {
                        open.start(&text(&tag.name));
                    }
                    if open.name == "svg" {
                        page.add_links(&Tag::new(&tag));
                    }
                }
                (Token::EndTag(tag), None) => outer.end(&text(&tag.name)),
                (Token::EndTag(tag), Some(_)) => {
                    opaque.take_if(|open| open.is_ended_by(&text(&tag.name)));
                }
                (Token::String(string), None) => page.add_text(&text(&string), &outer),
                (Token::String(string), Some(open)) if open.name == "script" => {
                    if let Some(script) = page.scripts.last_mut() {
                        script.text.push_str(&text(&string));
                    }
                }
                (Token::String(string), Some(open)) if open.name == "noscript" => {
                    if let Some(markup) = noscripts.last_mut() {
                        markup.push_str(&text(&string));
                    }
                }
                _ => {}
            }
        }
        page
    }

    fn add_text(&mut self, text: &str, outer: &Outer) {
        let length = text.chars().filter(|character| !character.is_whitespace()).count();
        if outer.hidden.is_none() {
            self.text_len += length;
            self.custom_text_len += if outer.custom.is_some() { length } else { 0 };
        }
    }

    fn add_element(&mut self, tag: &Tag, outer: &Outer) {
        match &*tag.name {
            "script" => {
                self.scripts.push(Script {
                    source: tag.value("src").filter(|source| !source.is_empty()).map(str::to_owned),
                    is_module: tag.script_type() == "module",
                    is_executable: tag.is_executable_script(),
                    text: String::new(),
                });
            }
            "meta" => self.meta_names.extend(tag.value("name").map(str::to_owned)),
            "base" if self.base.is_none() => self.base = tag.value("href").map(str::to_owned),
            _ => {}
        }
        self.add_links(tag);
        if !INVISIBLE.contains(&&*tag.name) {
            let id = tag.value("id").unwrap_or_default().to_owned();
            self.elements.push(Element {
                name: tag.name.clone(),
                id,
                is_hidden: outer.hidden.is_some() || tag.is_hidden(),
                is_in_custom: outer.custom.is_some(),
            });
        }
    }

    fn add_links(&mut self, tag: &Tag) {
        let is = |name: &str, value: &str| tag.value(name).is_some_and(|text| text.trim().eq_ignore_ascii_case(value));
        match &*tag.name {
            "link" => {
                let relations = tag.value("rel").unwrap_or_default().to_ascii_lowercase();
                if relations.split_ascii_whitespace().any(|relation| LOADED.contains(&relation)) {
                    let images = tag.value("imagesrcset").map(srcset).unwrap_or_default();
                    let urls = tag.value("href").into_iter().chain(images);
                    self.links.extend(urls.map(|url| Link::new(url, LinkUse::File)));
                }
            }
            "input" if is("type", "image") => {
                self.links.extend(tag.value("src").map(|url| Link::new(url, LinkUse::File)));
            }
            "meta" if is("http-equiv", "refresh") => {
                let url = tag.value("content").and_then(refresh_url);
                self.links.extend(url.map(|url| Link::new(url, LinkUse::Page)));
            }
            _ => {}
        }
        // Browsers do not load what they do not run (HTML Standard §4.12.1.1).
        if tag.name == "script" && !tag.is_executable_script() {
            return;
        }
        for (_, attribute, use_) in LINKS.into_iter().filter(|(element, ..)| *element == tag.name) {
            let Some(value) = tag.value(attribute) else { continue };
            let is_replaced = attribute == XLINK_HREF && tag.value("href").is_some();
            // `<use href="#a">` draws what the page itself has.
            let is_in_page = use_ == LinkUse::File && value.trim_start().starts_with('#');
            if is_replaced || is_in_page {
                continue;
            }
            let urls = if attribute == "srcset" { srcset(value) } else { vec![value] };
            self.links.extend(urls.into_iter().map(|url| Link::new(url, use_)));
        }
    }
}

/// The elements around a place in the page that tell something about it: of each kind, the outermost that is open.
#[derive(Default)]
struct Outer {
    hidden: Option<Open>,
    custom: Option<Open>,
}

impl Outer {
    /// Notes a start tag; what is in the element is neither a script nor opaque. A page that is hidden as a whole is shown by a script.
    fn start(&mut self, tag: &Tag) {
        let kinds = [
            (
                &mut self.hidden,
                tag.is_hidden() && !["html", "body"].contains(&&*tag.name) && !WITHOUT_END.contains(&&*tag.name),
            ),
            (&mut self.custom, is_custom(&tag.name)),
        ];
        for (open, is_of_kind) in kinds {
            match open {
                Some(open) => open.start(&tag.name),
                None => *open = is_of_kind.then(|| Open::new(&tag.name)),
            }
        }
    }

    fn end(&mut self, name: &str) {
        for open in [&mut self.hidden, &mut self.custom] {
            open.take_if(|open| open.is_ended_by(name));
        }
    }
}

/// An element that is open.
struct Open {
    name: String,
    /// How many of this name are open: it, and those in it.
    count: usize,
}

impl Open {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), count: 1 }
    }

    /// Notes a start tag in it.
    fn start(&mut self, name: &str) {
        self.count += usize::from(self.name == name);
    }

    /// Whether this end tag in it is its own.
    fn is_ended_by(&mut self, name: &str) -> bool {
        self.count -= usize::from(self.name == name);
        self.count == 0
    }
}

/// A start tag.
struct Tag {
    /// In lowercase.
    name: String,
    attributes: Vec<(String, String)>,
    is_self_closing: bool,
}

impl Tag {
    fn new(tag: &StartTag<()>) -> Self {
        let attributes = tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
        Self { name: text(&tag.name), attributes, is_self_closing: tag.self_closing }
    }

    fn value(&self, wanted: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| &**value)
    }

    /// What a `type` says, in lowercase.
    fn script_type(&self) -> String {
        self.value("type").map(|kind| kind.trim().to_ascii_lowercase()).unwrap_or_default()
    }

    /// Whether browsers run it, if it is a script.
    fn is_executable_script(&self) -> bool {
        let kind = self.script_type();
        kind.is_empty() || kind == "module" || JAVASCRIPT_TYPES.contains(&&*kind)
    }

    /// Whether the element is not shown, by itself: style sheets are not read.
    fn is_hidden(&self) -> bool {
        let is_not_displayed = |style: &str| {
            style.split(';').filter_map(|declaration| declaration.split_once(':')).any(|(property, value)| {
                let value = value.split('!').next().unwrap_or_default();
                property.trim().eq_ignore_ascii_case("display") && value.trim().eq_ignore_ascii_case("none")
            })
        };
        self.value("hidden").is_some() || self.value("style").is_some_and(is_not_displayed)
    }
}

fn is_custom(name: &str) -> bool {
    name.contains('-')
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Link {
    /// Whether browsers load it with the page.
    pub(crate) fn is_file(&self) -> bool {
        self.use_ == LinkUse::File
    }

    fn new(url: &str, use_: LinkUse) -> Self {
        Self { url: url.to_owned(), use_ }
    }
}

/// The URLs of a `srcset`: each ends at white space or a comma, and its descriptors at a comma.
fn srcset(value: &str) -> Vec<&str> {
    let mut urls = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches(|character: char| character.is_whitespace() || character == ',');
        if rest.is_empty() {
            return urls;
        }
        let (url, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        let bare = url.trim_end_matches(',');
        urls.push(bare);
        rest = if bare.len() == url.len() { after.split_once(',').map_or("", |(_, rest)| rest) } else { after };
    }
}

/// The URL in the `content` of a `meta` element that reloads the page, or loads another (HTML Standard §4.2.5.3).
fn refresh_url(content: &str) -> Option<&str> {
    let content = content.trim_start();
    let after = content.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.');
    let is_number =
        after.len() < content.len() && after.starts_with(|end: char| end.is_whitespace() || ";,".contains(end));
    let rest = after.trim_start();
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_start();
    let after_name = rest.get(..3).filter(|name| name.eq_ignore_ascii_case("url")).map(|_| rest[3..].trim_start());
    let value = after_name.and_then(|rest| rest.strip_prefix('=')).map_or(rest, str::trim_start);
    let url = match value.strip_prefix(['"', '\'']) {
        Some(quoted) => quoted.split(&value[..1]).next().unwrap_or_default(),
        None => value,
    };
    Some(url.trim()).filter(|url| is_number && !url.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_scripts_and_text_are_read() {
        let page = Page::read(
            "<!doctype html><!-- <p>no</p> --><HTML lang=en><head><title>A <b> c</title><meta name='x/y' content=1>\
             <script TYPE=module crossorigin src=\"/a.js\"></script><style>p > a { }</style></head>\
             <body class='a>b'><div\n id = root ></div ><script>if (a < b) c('</p>')</script>\
             <svg><path d=1></svg><noscript>Enable <b>it</b></noscript> 1 < 2 <my-app id='m'/></body>",
        );
        let elements: Vec<(&str, &str)> = page.elements.iter().map(|element| (&*element.name, &*element.id)).collect();
        assert_eq!(elements, [("div", "root"), ("svg", ""), ("my-app", "m")]);
        assert_eq!(page.meta_names, ["x/y"]);
        assert_eq!(page.text_len, "1<2".len());
        let scripts: Vec<_> =
            page.scripts.iter().map(|script| (script.source.as_deref(), script.is_module, &*script.text)).collect();
        assert_eq!(scripts, [(Some("/a.js"), true, ""), (None, false, "if (a < b) c('</p>')")]);
    }

    #[test]
    fn hidden_elements_and_those_in_custom_ones_end_where_they_do() {
        for (html, hidden, in_custom, text_len, custom_text_len) in [
            ("<b hidden>x</b><i>y</i>", &["b"][..], &[][..], 1, 0),
            ("<b hidden><b><u>x</u></b>y</b><i>z</i>", &["b", "b", "u"], &[], 1, 0),
            ("<div style='a:b;display: None !important'><u></u></div><i>x</i>", &["div", "u"], &[], 1, 0),
            ("<i style='display:flex'>x</i><i style='none'>y</i>", &[], &[], 2, 0),
            ("<input hidden><p hidden>x<p>y", &["input", "p"], &[], 2, 0),
            ("<svg hidden><g></svg><i>x</i>", &["svg"], &[], 1, 0),
            ("<a-b>x<u><a-b></a-b></u><i>y</i></a-b>z<b></b>", &[], &["u", "a-b", "i"], 3, 2),
            ("<a-b><u hidden>x</u></a-b></a-b><b>y</b>", &["u"], &["u"], 1, 0),
        ] {
            let page = Page::read(html);
            let names = |is_one: fn(&Element) -> bool| -> Vec<&str> {
                page.elements.iter().filter(|element| is_one(element)).map(|element| &*element.name).collect()
            };
            assert_eq!(names(|element| element.is_hidden), hidden, "{html}");
            assert_eq!(names(|element| element.is_in_custom), in_custom, "{html}");
            assert_eq!((page.text_len, page.custom_text_len), (text_len, custom_text_len), "{html}");
        }
        assert_eq!(Page::read("<div hidden><a href=x>x</a></div>").links.len(), 1);
    }

    #[test]
    fn script_is_executable_and_loaded_if_its_type_is_javascript() {
        for (kind, is_executable) in [
            ("", true),
            ("type=\"\"", true),
            ("type=Module", true),
            ("type=text/javascript", true),
            ("type=text/babel", false),
            ("type=application/json", false),
            ("type=text/template", false),
        ] {
            let page = Page::read(&format!("<script {kind} src=a.jsx></script>"));
            assert_eq!(page.scripts[0].is_executable, is_executable, "{kind}");
            assert_eq!(page.links.len(), usize::from(is_executable), "{kind}: others are not loaded");
        }
    }

    #[test]
    fn urls_of_pages_and_of_what_they_load_are_read() {
        let page = Page::read(
            "<base href=/docs/><base href=/other/><link rel='shortcut ICON' href=i.svg><link rel=canonical href=/c>\
             <a href='a?x=1&amp;y=2#z'>a</a><img src=1.png srcset='2.png 2x, 3.png, data:image/png;base64,AA== 4x,5.png'>\
             <script src=s.js></script><iframe src=f.html></iframe><a name=x>b</a><a href=Q&#38;A&#x2f;&nope;>c</a><a href=caf&eacute;.html>d</a>",
        );
        let urls = |use_: LinkUse| -> Vec<&str> {
            page.links.iter().filter(|link| link.use_ == use_).map(|link| &*link.url).collect()
        };
        assert_eq!(page.base.as_deref(), Some("/docs/"));
        assert_eq!(urls(LinkUse::Page), ["a?x=1&y=2#z", "Q&A/&nope;", "café.html"]);
        assert_eq!(urls(LinkUse::Frame), ["f.html"]);
        let files = ["i.svg", "1.png", "2.png", "3.png", "data:image/png;base64,AA==", "5.png", "s.js"];
        assert_eq!(urls(LinkUse::File), files);
    }

    #[test]
    fn elements_in_which_nothing_is_visible_end_where_they_do() {
        for html in [
            "<svg/><a href=x>",
            "<svg><svg/><path></svg><a href=x>",
            "<!--><a href=x>",
            "<!---><a href=x><!-- <a href=y> -->",
            "<template><template></template><a href=y></template><a href=x>",
            "<script>'<a href=y>'</script><a href=x>",
        ] {
            let urls: Vec<String> = Page::read(html).links.into_iter().map(|link| link.url).collect();
            assert_eq!(urls, ["x"], "{html}");
        }
    }

    #[test]
    fn urls_in_svg_and_noscript_are_read_without_their_elements() {
        for (html, expected) in [
            ("<svg><use href='/i.svg#a'/></svg>", &["/i.svg#a"][..]),
            (
                "<svg><g><svg><use xlink:href=/i.svg#a></svg></g><image href=1.png xlink:href=2.png></svg>",
                &["/i.svg#a", "1.png"],
            ),
            ("<svg><use href='#a'/><use xlink:href=' #b'/></svg>", &[]),
            ("<svg><a xlink:href=/x><text>x</text></a></svg>", &["/x"]),
            ("<noscript><img src=/pixel.png><a href=/y>y</a></noscript>", &["/pixel.png", "/y"]),
            ("<noscript><link rel=stylesheet href=n.css></noscript><noscript><img src=1.png>", &["n.css", "1.png"]),
            ("<noscript>&lt;img src=x></noscript><template><img src=y></template>", &[]),
        ] {
            let page = Page::read(html);
            let urls: Vec<&str> = page.links.iter().map(|link| &*link.url).collect();
            assert_eq!(urls, expected, "{html}");
            assert!(page.elements.iter().all(|element| element.name == "svg") && page.text_len == 0, "{html}");
        }
        assert_eq!(Page::read(&"<noscript>".repeat(100_000)).links, []);
    }

    #[test]
    fn urls_of_image_buttons_and_preloaded_images_are_read() {
        for (html, expected) in [
            ("<input TYPE=Image src=go.png>", &["go.png"][..]),
            ("<input src=go.png><input type=text src=go.png>", &[]),
            ("<link rel=preload as=image imagesrcset='1.png 1x, 2.png 2x'>", &["1.png", "2.png"]),
            ("<link rel=preload as=image href=0.png imagesrcset=1.png>", &["0.png", "1.png"]),
            ("<link rel=prefetch imagesrcset=1.png>", &[]),
        ] {
            let links = Page::read(html).links;
            assert!(links.iter().all(Link::is_file), "{html}");
            assert_eq!(links.iter().map(|link| &*link.url).collect::<Vec<_>>(), expected, "{html}");
        }
    }

    #[test]
    fn url_of_a_refresh_is_a_link_to_a_page() {
        for (content, expected) in [
            ("0; url=/gone", Some("/gone")),
            ("0;URL='/a b' x", Some("/a b")),
            (" 1.5 , url = \"/x\"", Some("/x")),
            ("3 /x", Some("/x")),
            ("0;urls", Some("urls")),
            ("0;url", Some("url")),
            ("5", None),
            ("5;", None),
            ("5; url=", None),
            ("url=/x", None),
            ("0url=/x", None),
            ("0;é", Some("é")),
        ] {
            let page = Page::read(&format!("<meta http-equiv=Refresh content='{}'>", content.replace('\'', "&#39;")));
            let expected: Vec<Link> = expected.into_iter().map(|url| Link::new(url, LinkUse::Page)).collect();
            assert_eq!(page.links, expected, "{content}");
        }
        assert_eq!(Page::read("<meta name=refresh content='0; url=/x'>").links, []);
    }

    #[test]
    fn truncated_page_is_read_as_far_as_it_goes() {
        for (html, elements) in
            [("<p>a<", 1), ("<p><div id=\"x", 1), ("<p><div", 1), ("<!--", 0), ("<script>a", 0), ("</", 0)]
        {
            assert_eq!(Page::read(html).elements.len(), elements, "{html}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_read(html in "([<>/='\" a-c!-]|<script|</script>|é){0,40}") {
            Page::read(&html);
        }
    }
}
