//! Domain names as people write them. Everything else in Verge has them as A-labels (RFC 5890), and so has JSON.
//!
//! They are read by UTS 46, non-transitional and with the rules of STD 3, as browsers do: `Bücher.example` is `xn--bcher-kva.example`. They
//! are shown in Unicode unless a label could pass for another one, as `xn--80ak6aa92e.com` would for `apple.com`.

use std::collections::BTreeSet;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use verge_protocol::DomainName;

/// Why a text is no domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid domain name `{0}`: expected labels of letters, digits and inner hyphens, separated by dots, such as www.example.com"
)]
pub struct UnicodeDomainError(String);

/// Parses a domain in any case, in Unicode or as A-labels, with or without the final dot.
pub fn parse(text: &str) -> Result<DomainName, UnicodeDomainError> {
    let invalid = || UnicodeDomainError(text.to_owned());
    if text.is_ascii() {
        return text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase().parse().map_err(|_| invalid());
    }
    let (deny, hyphens, length) = (AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::VerifyAllowRootDot);
    let ascii = Uts46::new().to_ascii(text.as_bytes(), deny, hyphens, length).map_err(|_| invalid())?;
    ascii.strip_suffix('.').unwrap_or(&ascii).parse().map_err(|_| invalid())
}

/// The domain as people write it. A label that could pass for another stays an A-label, as does one that no domain can have.
pub fn show(domain: &DomainName) -> String {
    show_text(domain.as_str())
}

/// `text` with the domains in it as people write them.
pub fn show_in(text: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        shown.push_str(&show_text(&rest[..end]));
        let other = rest[end..].find(is_part).unwrap_or(rest.len() - end);
        shown.push_str(&rest[end..end + other]);
        rest = &rest[end + other..];
    }
    shown
}

fn show_text(name: &str) -> String {
    if !name.split('.').any(|label| label.starts_with("xn--")) {
        return name.to_owned();
    }
    let decide = |label: &[char], _: &[char], _: bool| is_plain(label);
    match Uts46::new().to_user_interface(name.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, decide) {
        (shown, Ok(())) => shown.into_owned(),
        (_, Err(_)) => name.to_owned(),
    }
}

/// A writing system, as far as it matters for names that look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Arabic,
    /// Chinese, Japanese and Korean, which are written together, and with Latin.
    EastAsian,
    /// Any other, by its block of 128 code points.
    Other(u32),
}

/// Whether a label is of one writing system, or of two that are written together, and is not made of the letters that look Latin.
fn is_plain(label: &[char]) -> bool {
    let letters = || label.iter().filter(|character| character.is_alphabetic());
    let scripts: BTreeSet<Script> = letters().map(|letter| script(*letter)).collect();
    match scripts.iter().collect::<Vec<_>>()[..] {
        [Script::Cyrillic | Script::Greek] => !letters().all(|letter| looks_latin(*letter)),
        [] | [_] | [Script::Latin, Script::EastAsian] => true,
        _ => false,
    }
}

fn script(letter: char) -> Script {
    match letter {
        '\0'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Script::Latin,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Script::Greek,
        '\u{400}'..='\u{52f}' => Script::Cyrillic,
        '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}' => Script::Arabic,
        '\u{1100}'..='\u{11ff}' | '\u{3005}'..='\u{31ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' => {
            Script::EastAsian
        }
        '\u{20000}'..='\u{3ffff}' => Script::EastAsian,
        other => Script::Other(u32::from(other) >> 7),
    }
}

fn looks_latin(letter: char) -> bool {
    "асԁеһіјӏорԛѕԝхуьґαεικνορτυχω".contains(letter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn domain_is_parsed_in_any_case_and_with_final_dot() {
        for (text, name) in [
            ("WWW.Example.com.", "www.example.com"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("BU\u{308}CHER.EXAMPLE.", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            // Non-transitional: not fussball.example.
            ("fußball.example", "xn--fuball-cta.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("r3--x.bücher.example", "r3--x.xn--bcher-kva.example"),
        ] {
            assert_eq!(parse(text).unwrap().as_str(), name, "{text}");
        }
        let long = format!("{}.example", "ü".repeat(70));
        for bad in [
            "",
            ".",
            "example..com",
            "example.com..",
            "http://example.com",
            "bü cher.example",
            "ü_b.example",
            "-ü.example",
            "a\u{200d}ü.example",
            &long,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn domain_is_shown_in_unicode_unless_it_could_pass_for_another() {
        for (name, shown) in [
            ("www.example.com", "www.example.com"),
            ("xn--bcher-kva.example", "bücher.example"),
            ("www.xn--fuball-cta.example", "www.fußball.example"),
            ("xn--r8jz45g.xn--zckzah", "例え.テスト"),
            ("xn--e1afmkfd.xn--e1afmkfd", "пример.пример"),
            // Cyrillic letters that look Latin, alone and among Latin ones.
            ("xn--80ak6aa92e.com", "xn--80ak6aa92e.com"),
            ("xn--pple-43d.com", "xn--pple-43d.com"),
            // No name has this label.
            ("xn--a.example", "xn--a.example"),
        ] {
            assert_eq!(show(&name.parse().unwrap()), shown, "{name}");
        }
    }

    #[test]
    fn domains_within_a_text_are_shown() {
        let text = "`xn--bcher-kva.example` is a domain of site `demo`: see _verge.xn--bcher-kva.example, ü";
        assert_eq!(show_in(text), "`bücher.example` is a domain of site `demo`: see _verge.bücher.example, ü");
        assert_eq!(show_in("a: 1.2.3.4 (x)."), "a: 1.2.3.4 (x).");
    }

    proptest! {
        #[test]
        fn shown_domain_is_parsed_to_the_same(text in "[a-zü例пα-]{1,8}\\.[a-zé]{1,5}") {
            if let Ok(domain) = parse(&text) {
                prop_assert_eq!(parse(&show(&domain)).unwrap(), domain);
            }
        }

        #[test]
        fn arbitrary_text_is_shown(text in "(xn--[a-z0-9-]{0,6}|[ .`_a]|ü){0,10}") {
            show_in(&text);
        }
    }
}
