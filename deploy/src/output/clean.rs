//! Text that a terminal shows as it is, and that a CI system does not take for a command.
//!
//! Names of files and text of servers may contain anything. What is dangerous in them is written as an escape of JSON, so that text which is
//! JSON remains the same JSON.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How the commands of CI systems begin, within a line: older ones of GitHub, and those of Azure and `TeamCity`.
const COMMANDS: [&str; 3] = ["##[", "##vso[", "##teamcity["];

/// `text` with what is dangerous escaped:
///
/// - control characters but line breaks, tabs, and the sequences that set colors;
/// - characters that reorder or break the text around them (Unicode's bidirectional controls, line and paragraph separators);
/// - the beginning of a command of a CI system: `::` at the start of a line (GitHub), `##[`, `##vso[` and `##teamcity[` anywhere.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| !(b' '..0x7f).contains(&byte) || matches!(byte, b'#' | b':')) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut is_at_start = true;
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        if let Some(color) = color(rest) {
            cleaned.push_str(color);
            at += color.len();
            continue;
        }
        let is_command =
            (is_at_start && rest.starts_with("::")) || COMMANDS.iter().any(|command| rest.starts_with(command));
        if is_command || is_dangerous(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(cleaned, "\\u{unit:04x}");
            }
        } else {
            cleaned.push(character);
        }
        is_at_start = character == '\n' || (is_at_start && character.is_whitespace());
        at += character.len_utf8();
    }
    Cow::Owned(cleaned)
}

/// The sequence that sets colors (ECMA-48, SGR) at the beginning of `text`.
fn color(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let length = parameters.find(|character: char| !character.is_ascii_digit() && character != ';')?;
    parameters[length..].starts_with('m').then(|| &text[..length + 3])
}

fn is_dangerous(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_text_is_escaped_and_other_text_is_unchanged() {
        for (text, cleaned) in [
            ("warning: a/ü.html: 5 ×\n\tb", None),
            ("\u{1b}[33;1mwarning:\u{1b}[0m a", None),
            ("a::b # c ## d", None),
            ("https://a.example/", None),
            ("a\u{1b}]0;t\u{7}b", Some("a\\u001b]0;t\\u0007b")),
            ("\u{1b}[2Ka", Some("\\u001b[2Ka")),
            ("a\rb\u{7f}\u{9b}", Some("a\\u000db\\u007f\\u009b")),
            ("gpj.\u{202e}exe", Some("gpj.\\u202eexe")),
            ("::error::x", Some("\\u003a:error::x")),
            ("a\n  ::error::x\nb ::c", Some("a\n  \\u003a:error::x\nb ::c")),
            ("a ##[command]x ##vso[task]", Some("a \\u0023#[command]x \\u0023#vso[task]")),
        ] {
            assert_eq!(clean(text), cleaned.unwrap_or(text), "{text:?}");
        }
    }

    #[test]
    fn json_remains_the_same_json() {
        let value = serde_json::json!({ "path": "\u{1b}[31m::a\u{202e}\u{2028}\u{85}##[b", "::c": ["\n::d"] });
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&clean(&text)).unwrap(), value);
        }
    }
}
