//! The little of HTML that is needed to tell an app from a page: elements, attributes, scripts and how much text there is.
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
            _ => {}
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
        attributes.push((name, value.to_owned()));
    }
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
