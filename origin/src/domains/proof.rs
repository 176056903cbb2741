//! The TXT record that proves a domain, bound to one site.

use verge_protocol::{DomainName, SiteName};

use super::resolver::ResolveError;

/// The first label of the record's name.
const LABEL: &str = "_verge.";

/// The longest domain whose record has a valid name, in characters (RFC 1035 §2.3.4).
pub(super) const DOMAIN_MAX: usize = 253 - LABEL.len();

/// How many of the texts found instead are quoted, and how many characters of each.
const QUOTED_TEXTS: usize = 3;
const QUOTED_CHARACTERS: usize = 60;

/// The name of the record: `_verge.www.example.com`.
pub(crate) fn record_name(domain: &DomainName) -> String {
    format!("{LABEL}{domain}")
}

/// The text of the record: `verge-demo-` and 32 random hex digits.
pub(super) fn generate(site: &SiteName, random: [u8; 16]) -> String {
    format!("verge-{site}-{:032x}", u128::from_be_bytes(random))
}

/// The record was not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotProven {
    /// Why, for a person to read.
    pub(super) reason: String,
    /// DNS answered that the record does not exist. False if the query failed.
    pub(super) is_definite: bool,
}

/// Checks that one of the TXT records at the record's name has the text of the proof.
pub(super) fn examine(
    domain: &DomainName,
    proof: &str,
    texts: Result<Vec<String>, ResolveError>,
) -> Result<(), NotProven> {
    let texts = texts.map_err(|error| NotProven { reason: error.to_string(), is_definite: error.is_definite() })?;
    if texts.iter().any(|text| is_proof(text, proof)) {
        return Ok(());
    }
    let quoted: Vec<String> = texts.iter().take(QUOTED_TEXTS).map(|text| quoted(text)).collect();
    let more = texts.len().saturating_sub(QUOTED_TEXTS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let name = record_name(domain);
    let reason = format!("no TXT record of `{name}` has the expected text; found: {}{more}", quoted.join(", "));
    Err(NotProven { reason, is_definite: true })
}

/// Whether a text is that of the proof.
pub(super) fn is_proof(text: &str, proof: &str) -> bool {
    // Some DNS control panels store the quotes that others require.
    text.trim().trim_matches('"') == proof
}

/// A text of a stranger, safe to print, in backquotes.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text))
}

fn shortened(text: &str) -> String {
    let printable = |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    let mut short: String = text.chars().take(QUOTED_CHARACTERS).map(printable).collect();
    if text.chars().count() > QUOTED_CHARACTERS {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examine(texts: &[&str]) -> Result<(), NotProven> {
        let texts = texts.iter().map(ToString::to_string).collect();
        super::examine(&"www.example.com".parse().unwrap(), "verge-demo-00", Ok(texts))
    }

    #[test]
    fn the_record_is_found_among_others_and_in_quotes() {
        assert_eq!(examine(&["v=spf1 -all", "verge-demo-00"]), Ok(()));
        assert_eq!(examine(&[" \"verge-demo-00\" "]), Ok(()));
        assert!(examine(&["verge-demo-000"]).is_err());
    }

    #[test]
    fn a_missing_record_quotes_the_texts_found_shortened() {
        let long = "x".repeat(100);
        let problem = examine(&["a\u{1b}b", &long, "c", "d", "e"]).unwrap_err();
        insta::assert_snapshot!(problem.reason);
    }

    #[test]
    fn the_text_names_its_site() {
        let text = generate(&"my-site".parse().unwrap(), [0xab; 16]);
        assert_eq!(text, format!("verge-my-site-{}", "ab".repeat(16)));
    }
}
