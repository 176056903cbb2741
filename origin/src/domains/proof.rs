//! The TXT record that proves a domain, bound to one site.

use verge_protocol::{DomainName, SiteName};

use super::resolver::ResolveError;

/// What the record's name begins with.
const LABEL: &str = "_verge.";

/// The longest domain whose record still has a name (RFC 1035 §2.3.4).
pub(super) const DOMAIN_MAX: usize = 253 - LABEL.len();

/// How many of the texts that were found instead are told, and how much of each.
const TOLD_TEXTS: usize = 3;
const TOLD_CHARACTERS: usize = 60;

/// The record's name: `_verge.www.example.com`.
pub(crate) fn name(domain: &DomainName) -> String {
    format!("{LABEL}{domain}")
}

/// The record's text: `verge-demo-` and 32 hex digits of chance.
pub(super) fn value(site: &SiteName, random: [u8; 16]) -> String {
    format!("verge-{site}-{:032x}", u128::from_be_bytes(random))
}

/// A proof that was not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unseen {
    /// What a person should know.
    pub(super) why: String,
    /// Whether DNS said that it is not there, rather than nothing.
    pub(super) definite: bool,
}

/// Whether the record was there, and if not, why.
pub(super) fn examine(domain: &DomainName, proof: &str, seen: Result<Vec<String>, ResolveError>) -> Result<(), Unseen> {
    let texts = seen.map_err(|error| Unseen { why: error.to_string(), definite: error.is_definite() })?;
    // Some panels keep the quotes that others ask for.
    if texts.iter().any(|text| text.trim().trim_matches('"') == proof) {
        return Ok(());
    }
    let told: Vec<String> = texts.iter().take(TOLD_TEXTS).map(|text| format!("`{}`", short(text))).collect();
    let more = texts.len().saturating_sub(TOLD_TEXTS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let why = format!("`{}` has TXT records, but none is the proof: {}{more}", name(domain), told.join(", "));
    Err(Unseen { why, definite: true })
}

fn short(text: &str) -> String {
    let plain = |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    let mut short: String = text.chars().take(TOLD_CHARACTERS).map(plain).collect();
    if text.chars().count() > TOLD_CHARACTERS {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examine(seen: &[&str]) -> Result<(), Unseen> {
        let texts = seen.iter().map(ToString::to_string).collect();
        super::examine(&"www.example.com".parse().unwrap(), "verge-demo-00", Ok(texts))
    }

    #[test]
    fn the_record_may_stand_among_others() {
        assert_eq!(examine(&["v=spf1 -all", "verge-demo-00"]), Ok(()));
        assert_eq!(examine(&[" \"verge-demo-00\" "]), Ok(()));
        assert!(examine(&["verge-demo-000"]).is_err());
    }

    #[test]
    fn what_was_found_instead_is_told_shortly() {
        let long = "x".repeat(100);
        let problem = examine(&["a\u{1b}b", &long, "c", "d", "e"]).unwrap_err();
        insta::assert_snapshot!(problem.why);
    }

    #[test]
    fn the_text_names_its_site() {
        let value = value(&"my-site".parse().unwrap(), [0xab; 16]);
        assert_eq!(value, format!("verge-my-site-{}", "ab".repeat(16)));
    }
}
