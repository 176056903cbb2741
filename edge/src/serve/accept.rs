//! Negotiation of a page with its Markdown twin (RFC 9110 §12.5.1).
//!
//! A page is HTML for everyone but those who ask for Markdown by name: the twin is sent if
//!
//! 1. `text/markdown` is named, with a greater weight than HTML has, or with the same if only a wildcard stands for HTML; or
//! 2. HTML has the weight 0, and Markdown a greater one.
//!
//! What accepts neither gets HTML, which is more useful than a 406.

use http::{HeaderMap, header};

use super::weight;

/// Whether the request prefers Markdown over HTML.
pub(crate) fn prefers_markdown(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT).iter();
    Accepted::parse(fields.filter_map(|field| field.to_str().ok())).prefers_markdown()
}

/// The weights of the media ranges that count, in thousandths; `None` if not mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Accepted {
    markdown: Option<u16>,
    html: Option<u16>,
    /// `text/*`.
    text: Option<u16>,
    /// `*/*`.
    any: Option<u16>,
}

impl Accepted {
    /// Parses all `Accept` fields of a request. Malformed elements are ignored. Of a range that is listed twice the lowest weight counts.
    /// A range with parameters other than `q` and `charset=utf-8` is of another representation than a site has, so it is ignored.
    fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> Self {
        let mut accepted = Self::default();
        for element in fields.flat_map(|field| split_unquoted(field, b',')) {
            let mut parts = split_unquoted(element, b';');
            let range = parts.next().unwrap_or_default().trim_matches([' ', '\t']);
            let Some(weight) = weight(parts) else { continue };
            let slot = match range {
                "*/*" => &mut accepted.any,
                _ if range.eq_ignore_ascii_case("text/*") => &mut accepted.text,
                _ if range.eq_ignore_ascii_case("text/html") => &mut accepted.html,
                _ if range.eq_ignore_ascii_case("text/markdown") => &mut accepted.markdown,
                _ => continue,
            };
            *slot = Some(slot.map_or(weight, |before| before.min(weight)));
        }
        accepted
    }

    fn prefers_markdown(&self) -> bool {
        // The most specific range decides.
        let wildcard = self.text.or(self.any).unwrap_or(0);
        let html = self.html.unwrap_or(wildcard);
        match self.markdown {
            Some(markdown) if self.html.is_none() => markdown > 0 && markdown >= html,
            Some(markdown) => markdown > html,
            None => self.html == Some(0) && wildcard > 0,
        }
    }
}

/// The weight among a range's parameters, in thousandths; 1000 by default; `None` if the range does not count. What follows the weight is
/// ignored, as RFC 9110 does not have it any more.
fn weight<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    for parameter in parameters {
        let parameter = parameter.trim_matches([' ', '\t']);
        if parameter.is_empty() {
            continue;
        }
        let (name, value) = parameter.split_once('=')?;
        if name.eq_ignore_ascii_case("q") {
            return weight::parse(value);
        }
        let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        if !name.eq_ignore_ascii_case("charset") || !value.eq_ignore_ascii_case("utf-8") {
            return None;
        }
    }
    Some(weight::MAX)
}

/// The parts of a list. Separators in quoted strings (RFC 9110 §5.6.4) do not count.
fn split_unquoted(list: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = list.bytes().position(|byte| {
            let was_escaped = std::mem::take(&mut is_escaped);
            match byte {
                b'\\' if is_quoted && !was_escaped => is_escaped = true,
                b'"' if !was_escaped => is_quoted = !is_quoted,
                _ => return byte == separator && !is_quoted,
            }
            false
        });
        // A separator is ASCII, so the text is cut between characters.
        let part = end.map_or(list, |end| &list[..end]);
        rest = end.map(|end| &list[end + 1..]);
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn prefers(field: &str) -> bool {
        Accepted::parse([field].into_iter()).prefers_markdown()
    }

    #[test]
    fn markdown_is_preferred_only_by_name_and_weight() {
        for field in [
            "text/markdown",
            "TEXT/Markdown",
            "text/markdown;charset=utf-8",
            "text/markdown; charset=\"UTF-8\" ; q=0.1",
            "text/markdown, text/html;q=0.9",
            "text/html;q=0.9,text/markdown;q=0.901",
            "text/markdown, */*",
            "text/markdown, text/*",
            "text/markdown;q=0.5, text/*;q=0.5, */*",
            "text/markdown;q=0.001",
            "text/markdown;q=0.1, text/html;q=0",
            "text/html;q=0, */*",
            "text/html;q=0, text/*;q=0.1",
            "image/png;x=\",\", text/markdown",
            ",, text/markdown ,",
        ] {
            assert!(prefers(field), "{field}");
        }
    }

    #[test]
    fn page_is_html_unless_markdown_is_preferred() {
        for field in [
            "",
            "*/*",
            "text/*",
            "text/*, */*;q=0.1",
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html, text/markdown",
            "text/markdown;q=0.5, text/html;q=0.5",
            "text/markdown;q=0.5, */*",
            "text/markdown;q=0.5, text/*",
            "text/markdown;q=0",
            "text/markdown;q=0, text/html;q=0",
            "text/markdown;q=0, */*;q=0",
            "text/markdown, text/markdown;q=0",
            "text/html;q=0, text/*;q=0, */*",
            "text/html;q=0",
            "text/markdown;variant=GFM",
            "text/markdown;q=1.5",
            "text/markdown;q",
            "text/markdownx",
            "text/ markdown",
            "text/plain",
            "image/png;x=\", text/markdown",
            "image/png;x=\"\\\", text/markdown, \"",
        ] {
            assert!(!prefers(field), "{field}");
        }
        assert!(!prefers_markdown(&HeaderMap::new()));
    }

    #[test]
    fn several_fields_parse_like_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, HeaderValue::from_static("text/html;q=0.5"));
        headers.append(header::ACCEPT, HeaderValue::from_static("text/markdown"));
        assert!(prefers_markdown(&headers));
    }

    proptest! {
        #[test]
        fn arbitrary_fields_do_not_panic(field in "(\\PC|text|markdown|html|[*]/[*]|;q=|0\\.|[\\\\\",;=*/]){0,20}") {
            let _ = prefers(&field);
        }

        /// Wildcards and other types never choose Markdown, whatever their weights.
        #[test]
        fn markdown_is_never_sent_to_those_who_do_not_name_it_and_accept_html(
            ranges in prop::collection::vec(("(text/html|text/[*]|[*]/[*]|image/png)", 1..=1000_u16), 0..6),
        ) {
            let field: Vec<String> =
                ranges.iter().map(|(range, weight)| format!("{range};q={}.{:03}", weight / 1000, weight % 1000)).collect();
            prop_assert!(!prefers(&field.join(", ")));
        }

        /// With both named, the greater weight decides, whatever else is there and in which order.
        #[test]
        fn greater_weight_decides_between_named_types(
            markdown in 0..=1000_u16,
            html in 0..=1000_u16,
            others in prop::collection::vec("(text/[*]|[*]/[*]|image/png)(;q=0(\\.[0-9]{1,3})?)?", 0..3),
            html_is_first: bool,
        ) {
            let range = |name: &str, weight: u16| format!("{name};q={}.{:03}", weight / 1000, weight % 1000);
            let mut field = others;
            field.push(range("text/markdown", markdown));
            field.insert(if html_is_first { 0 } else { field.len() }, range("text/html", html));
            prop_assert_eq!(prefers(&field.join(",")), markdown > html);
        }

        #[test]
        fn parts_of_a_list_joined_are_the_list(list in "[a\\\\\",;ü]{0,12}") {
            prop_assert_eq!(split_unquoted(&list, b',').collect::<Vec<_>>().join(","), list);
        }
    }
}
