//! The tokens of a zone file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::dns::name::{self, Name};

/// Text between blanks or between quotes (RFC 1035 §5.1). Escapes are still in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// Without the quotes around it.
    pub(super) text: &'a str,
    /// Whether it was in quotes.
    pub(super) quoted: bool,
    /// The line, from 1.
    pub(super) line: u32,
}

/// What is wrong with an entry of a zone file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct SyntaxError {
    /// The line of the token that is wrong, from 1.
    pub(super) line: u32,
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: Option<&'static str>,
}

impl SyntaxError {
    pub(super) fn new(line: u32, message: impl Into<String>) -> Self {
        Self { line, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

/// The longest TTL, in seconds (RFC 2181 §8).
const MAX_TTL: u64 = i32::MAX as u64;

/// The longest text of a name: 255 bytes, each of them escaped.
const LONGEST_NAME: usize = 4 * Name::MAX;

impl Token<'_> {
    /// An error whose message is the token, then `problem`.
    pub(super) fn error(&self, problem: &str) -> SyntaxError {
        SyntaxError::new(self.line, format!("{self} {problem}"))
    }

    /// Whether it is `keyword`, in any case and without quotes.
    pub(super) fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(keyword)
    }

    /// A number from 0 to `max`.
    pub(super) fn number(&self, max: u32) -> Result<u32, SyntaxError> {
        let digits = !self.text.is_empty() && self.text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| self.text.parse().ok()).flatten().filter(|number| *number <= max);
        number.ok_or_else(|| self.error(&format!("is not a number from 0 to {max}")))
    }

    /// A time in seconds, or with units: `1h30m`, `2w`.
    pub(super) fn seconds(&self) -> Result<u32, SyntaxError> {
        let seconds = seconds(self.text).filter(|_| !self.quoted).ok_or_else(|| {
            self.error("is not a valid time").hint("give seconds, or use the units s, m, h, d and w, such as 1h30m")
        })?;
        u32::try_from(seconds).ok().filter(|_| seconds <= MAX_TTL).ok_or_else(|| {
            self.error(&format!("is longer than {MAX_TTL} seconds")).hint("this is the maximum in DNS (RFC 2181 §8)")
        })
    }

    /// A name: absolute if it ends with a dot, otherwise relative to `origin`; `@` is `origin` itself.
    pub(super) fn name(&self, origin: &Name) -> Result<Name, SyntaxError> {
        if self.is("@") {
            return Ok(origin.clone());
        }
        if self.text.len() > LONGEST_NAME {
            return Err(self.error("is too long for a domain name"));
        }
        if !self.text.is_ascii() {
            let hint = "write internationalized labels in their ASCII form, which begins with xn--";
            return Err(self.error("contains non-ASCII characters").hint(hint));
        }
        let name = Name::parse(self.text).map_err(|error| SyntaxError::new(self.line, error.to_string()))?;
        if is_absolute(self.text) {
            return Ok(name);
        }
        let mut wire = name.wire().to_vec();
        wire.pop();
        wire.extend_from_slice(origin.wire());
        if wire.len() > Name::MAX {
            return Err(self.error(&format!("is too long for a domain name, relative to `{origin}`")));
        }
        Ok(Name::from_canonical(&wire))
    }

    /// Its bytes, with escapes decoded.
    pub(super) fn octets(&self) -> Result<Vec<u8>, SyntaxError> {
        let mut octets = Vec::with_capacity(self.text.len());
        let mut bytes = self.text.bytes();
        while let Some(byte) = bytes.next() {
            octets.push(match byte {
                b'\\' => name::escaped(&mut bytes)
                    .ok_or_else(|| self.error("contains an invalid escape: expected \\X or \\DDD"))?,
                byte => byte,
            });
        }
        Ok(octets)
    }
}

/// Decodes the tokens together as hexadecimal.
pub(super) fn hex(tokens: &[Token<'_>]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = tokens.iter().flat_map(|token| token.text.bytes()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits.chunks(2).map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(*pair.get(1)?)?).ok()).collect()
}

/// Decodes the tokens together as Base64.
pub(super) fn base64(tokens: &[Token<'_>]) -> Option<Vec<u8>> {
    let text: String = tokens.iter().map(|token| token.text).collect();
    STANDARD.decode(text).ok()
}

fn is_absolute(text: &str) -> bool {
    text.strip_suffix('.').is_some_and(|rest| rest.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0)
}

fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut number) = (0_u64, None::<u64>);
    for byte in text.bytes() {
        let unit = match byte.to_ascii_lowercase() {
            b'0'..=b'9' => {
                number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(u64::from(byte - b'0')));
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86400,
            b'w' => 7 * 86400,
            _ => return None,
        };
        total = total.saturating_add(number.take()?.saturating_mul(unit));
    }
    (!text.is_empty()).then(|| total.saturating_add(number.unwrap_or(0)))
}

/// For messages: in backquotes, and cut after 70 characters.
impl std::fmt::Display for Token<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MAX_SHOWN: usize = 70;
        match self.text.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => write!(formatter, "`{}…`", &self.text[..end]),
            None => write!(formatter, "`{}`", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token<'_> {
        Token { text, quoted: false, line: 1 }
    }

    #[test]
    fn time_with_or_without_units_is_parsed() {
        for (text, expected) in [("0", 0), ("90", 90), ("1h30m", 5400), ("2W", 1_209_600), ("1d5", 86405)] {
            assert_eq!(token(text).seconds().unwrap(), expected, "{text}");
        }
        assert_eq!(token("2147483647").seconds().unwrap(), 2_147_483_647);
        for bad in ["", "h", "1y", "1hh", "-1", "2147483648", "99999999999999999999w"] {
            assert!(token(bad).seconds().is_err(), "{bad}");
        }
    }

    #[test]
    fn name_without_a_trailing_dot_is_relative_to_the_origin() {
        let origin = Name::parse("example.com").unwrap();
        for (text, expected) in [
            ("www", "www.example.com."),
            ("www.", "www."),
            ("a.B", "a.b.example.com."),
            ("@", "example.com."),
            (r"a\.", r"a\..example.com."),
            (r"a\\.", r"a\\."),
            (".", "."),
        ] {
            assert_eq!(token(text).name(&origin).unwrap().to_string(), expected, "{text}");
        }
        let long = ["a".repeat(63).as_str(); 4].join(".");
        for bad in ["", "a..b", "köln", r"a\", &long, &long[..245], &"a.".repeat(2000)] {
            assert!(token(bad).name(&origin).is_err(), "{bad}");
        }
    }

    #[test]
    fn escapes_hexadecimal_and_base64_are_decoded() {
        assert_eq!(token(r#"a\"\\\255\; "#).octets().unwrap(), b"a\"\\\xff; ");
        for bad in [r"\", r"\1", r"\12", r"\256", r"\1a2"] {
            assert!(token(bad).octets().is_err(), "{bad}");
        }
        assert_eq!(hex(&[token("0aF"), token("F")]).unwrap(), b"\x0a\xff");
        assert_eq!(hex(&[token("0aF")]), None);
        assert_eq!(base64(&[token("AA"), token("D/")]).unwrap(), b"\0\0\xff");
    }
}
