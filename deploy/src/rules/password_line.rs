//! Texts that are, or may have been meant as, `Basic-Auth`. Without such a line a push would publish what it protects.

use verge_protocol::rules::header_rule::HeaderError;

use super::error::RuleError;

/// The name as it is written.
const BASIC_AUTH: &str = "basic-auth";

/// Whether it is the name, in any case.
pub(super) fn is_name(name: &str) -> bool {
    name.eq_ignore_ascii_case(BASIC_AUTH)
}

/// Whether it is the name, or that with other characters between its words: `Basic_Auth`, `BasicAuth`. Such a header would have the
/// password in each response.
pub(super) fn is_like_name(name: &str) -> bool {
    letters_of(name) == letters_of(BASIC_AUTH)
}

/// Whether a line may have been meant to be a password: it begins like the name (`Basic-Auth ann:secret`, `!Basic-Auth: ann:secret`).
pub(super) fn is_like_line(line: &str) -> bool {
    letters_of(line).starts_with(&letters_of(BASIC_AUTH))
}

/// Whether the name, or one that may have been meant to be it, is anywhere in a text.
pub(super) fn is_mentioned(text: &str) -> bool {
    text.lines().any(|line| letters_of(line).contains(&letters_of(BASIC_AUTH)))
}

/// Whether a line that begins with a path goes on with a password.
pub(super) fn follows_path(line: &str) -> bool {
    line.split_whitespace().skip(1).any(is_like_line)
}

/// Whether an invalid line of a block may have been meant to be a path, to which the lines after it belong.
pub(super) fn may_be_path(error: &RuleError) -> bool {
    matches!(error, RuleError::NoColon(_) | RuleError::Header(HeaderError::Name(_)))
}

fn letters_of(text: &str) -> String {
    text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_that_may_be_a_password_is_recognized() {
        for line in [
            "Basic-Auth",
            "basic-auth:",
            "Basic-Auth ann:x",
            "Basic_Auth: a:b",
            "!Basic-Auth: a:b",
            "Basic\u{2011}Auth\u{ff1a}a",
        ] {
            assert!(is_like_line(line), "{line}");
        }
        for line in ["X-Basic-Auth: 1", "Basic: a", "Authorization: Basic-Auth", ""] {
            assert!(!is_like_line(line), "{line}");
        }
        assert!(follows_path("/staff/*  Basic-Auth: ann:x") && !follows_path("/basic-auth/x y"));
    }
}
