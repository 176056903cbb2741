//! The little of HTML that is needed to tell an app from a page, and to follow links: elements, attributes, scripts, URLs and how much
//! text there is.
//!
//! Not a parser: it reads start tags, text and scripts in one pass, accepts anything, and never fails.

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
    /// The URL that others are relative to: that of the first `base` element.
    pub(crate) base: Option<String>,
    /// The URLs of other pages and files.
    pub(crate) links: Vec<Link>,
}

/// A URL in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// The URL, perhaps relative.
    pub(crate) url: String,
    /// Whether people follow it to another page; otherwise browsers load it with this page.
    pub(crate) is_page: bool,
}

/// An element of the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// In lowercase.
    pub(crate) name: String,
    /// Its attribute `id`, or empty.
    pub(crate) id: String,
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

/// Where elements have URLs: the element, the attribute, and whether it is that of a page.
const LINKS: [(&str, &str, bool); 14] = [
    ("a", "href", true),
    ("area", "href", true),
    ("iframe", "src", true),
    ("audio", "src", false),
    ("embed", "src", false),
    ("img", "src", false),
    ("img", "srcset", false),
    ("object", "data", false),
    ("script", "src", false),
    ("source", "src", false),
    ("source", "srcset", false),
    ("track", "src", false),
    ("video", "poster", false),
    ("video", "src", false),
];

/// What a `link` element refers to that browsers load.
const LOADED: [&str; 8] =
    ["apple-touch-icon", "icon", "manifest", "mask-icon", "modulepreload", "prefetch", "preload", "stylesheet"];

/// Types of scripts that are not modules.
const JAVASCRIPT_TYPES: [&str; 5] = [
    "text/javascript",
    "application/javascript",
    "application/ecmascript",
    "application/x-javascript",
    "text/ecmascript",
];

impl Page {
    /// Reads a page, or the beginning of one.
    pub(crate) fn read(html: &str) -> Self {
        let mut page = Self::default();
        let mut rest = html;
        while let Some((text, tag)) = rest.split_once('<') {
            page.add_text(text);
            rest = if let Some(comment) = tag.strip_prefix("!--") {
                after(comment, "-->")
            } else if tag.starts_with(|first: char| first.is_ascii_alphabetic()) {
                page.add_element(tag)
            } else if tag.starts_with(['/', '!', '?']) {
                after(tag, ">")
            } else {
                page.text_len += 1;
                tag
            };
        }
        page.add_text(rest);
        page
    }

    fn add_text(&mut self, text: &str) {
        self.text_len += text.chars().filter(|character| !character.is_whitespace()).count();
    }

    /// Adds the element whose start tag begins here, after the `<`. Returns what follows the tag, or the element if that is opaque.
    fn add_element<'a>(&mut self, tag: &'a str) -> &'a str {
        let end = tag.find(|character: char| character.is_whitespace() || matches!(character, '/' | '>'));
        let (name, rest) = tag.split_at(end.unwrap_or(tag.len()));
        let name = name.to_ascii_lowercase();
        let (attributes, rest) = attributes(rest);
        let value = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let (content, rest) = if OPAQUE.contains(&&*name) { until_end_tag(rest, &name) } else { ("", rest) };
        match &*name {
            "script" => {
                let kind = value("type").map(|kind| kind.trim().to_ascii_lowercase()).unwrap_or_default();
                let is_module = kind == "module";
                self.scripts.push(Script {
                    source: value("src").filter(|source| !source.is_empty()),
                    is_module,
                    is_executable: is_module || kind.is_empty() || JAVASCRIPT_TYPES.contains(&&*kind),
                    text: content.to_owned(),
                });
            }
            "meta" => self.meta_names.extend(value("name")),
            "base" if self.base.is_none() => self.base = value("href"),
            "link" => {
                let relations = value("rel").unwrap_or_default().to_ascii_lowercase();
                if relations.split_ascii_whitespace().any(|relation| LOADED.contains(&relation)) {
                    self.links.extend(value("href").map(|url| Link { url, is_page: false }));
                }
            }
            _ => {}
        }
        for (_, attribute, is_page) in LINKS.into_iter().filter(|(element, ..)| *element == name) {
            let Some(value) = value(attribute) else { continue };
            let urls = if attribute == "srcset" { srcset(&value) } else { vec![value] };
            self.links.extend(urls.into_iter().map(|url| Link { url, is_page }));
        }
        if !INVISIBLE.contains(&&*name) {
            self.elements.push(Element { name, id: value("id").unwrap_or_default() });
        }
        rest
    }
}

fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// The content up to the end tag, and what follows that.
fn until_end_tag<'a>(text: &'a str, name: &str) -> (&'a str, &'a str) {
    let ends = |at: usize| {
        let tag = text.as_bytes().get(at + 2..at + 2 + name.len());
        tag.is_some_and(|tag| tag.eq_ignore_ascii_case(name.as_bytes()))
    };
    match text.match_indices("</").map(|(at, _)| at).find(|at| ends(*at)) {
        Some(at) => (&text[..at], after(&text[at..], ">")),
        None => (text, ""),
    }
}

/// The attributes of a start tag, names in lowercase, and what follows the tag.
fn attributes(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|character: char| character.is_whitespace() || character == '/');
        if rest.is_empty() {
            return (attributes, rest);
        }
        if let Some(rest) = rest.strip_prefix('>') {
            return (attributes, rest);
        }
        // The first character belongs to the name, whatever it is, so that each turn consumes something.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let is_end = |character: char| character.is_whitespace() || matches!(character, '=' | '>' | '/');
        let end = rest[first..].find(is_end).map_or(rest.len(), |end| first + end);
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(assigned) = rest.strip_prefix('=') {
            let assigned = assigned.trim_start();
            (value, rest) = match assigned.chars().next() {
                Some(quote @ ('"' | '\'')) => assigned[1..].split_once(quote).unwrap_or((&assigned[1..], "")),
                _ => assigned.split_at(
                    assigned
                        .find(|character: char| character.is_whitespace() || character == '>')
                        .unwrap_or(assigned.len()),
                ),
            };
        }
        attributes.push((name, decoded(value)));
    }
}

/// The URLs of a `srcset`: each ends at white space or a comma, and its descriptors at a comma.
fn srcset(value: &str) -> Vec<String> {
    let mut urls = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches(|character: char| character.is_whitespace() || character == ',');
        if rest.is_empty() {
            return urls;
        }
        let (url, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        let bare = url.trim_end_matches(',');
        urls.push(bare.to_owned());
        rest = if bare.len() == url.len() { after.split_once(',').map_or("", |(_, rest)| rest) } else { after };
    }
}

/// An attribute's value with the character references that URLs have.
fn decoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, reference)) = rest.split_once('&') {
        text.push_str(before);
        let found = reference.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        match found {
            Some((character, after)) => {
                text.push(character);
                rest = after;
            }
            None => {
                text.push('&');
                rest = reference;
            }
        }
    }
    text.push_str(rest);
    text
}

fn character(reference: &str) -> Option<char> {
    Some(match reference {
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "lt" => '<',
        "gt" => '>',
        _ => {
            let number = reference.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
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
    fn script_is_executable_if_its_type_is_javascript() {
        for (kind, is_executable) in [
            ("", true),
            ("type=\"\"", true),
            ("type=Module", true),
            ("type=text/javascript", true),
            ("type=text/babel", false),
            ("type=application/json", false),
        ] {
            let page = Page::read(&format!("<script {kind} src=a.jsx></script>"));
            assert_eq!(page.scripts[0].is_executable, is_executable, "{kind}");
        }
    }

    #[test]
    fn urls_of_pages_and_of_what_they_load_are_read() {
        let page = Page::read(
            "<base href=/docs/><base href=/other/><link rel='shortcut ICON' href=i.svg><link rel=canonical href=/c>\
             <a href='a?x=1&amp;y=2#z'>a</a><img src=1.png srcset='2.png 2x, 3.png, data:image/png;base64,AA== 4x,5.png'>\
             <script src=s.js></script><iframe src=f.html></iframe><a name=x>b</a><a href=Q&#38;A&#x2f;&nope;>c</a>",
        );
        let urls = |is_page: bool| -> Vec<&str> {
            page.links.iter().filter(|link| link.is_page == is_page).map(|link| &*link.url).collect()
        };
        assert_eq!(page.base.as_deref(), Some("/docs/"));
        assert_eq!(urls(true), ["a?x=1&y=2#z", "f.html", "Q&A/&nope;"]);
        assert_eq!(urls(false), ["i.svg", "1.png", "2.png", "3.png", "data:image/png;base64,AA==", "5.png", "s.js"]);
    }

    #[test]
    fn truncated_page_is_read_as_far_as_it_goes() {
        for (html, elements) in
            [("<p>a<", 1), ("<div id=\"x", 1), ("<div", 1), ("<!--", 0), ("<script>a", 0), ("</", 0)]
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
