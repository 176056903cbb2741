//! The words that the entries of a zone file are made of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::dns::name::{self, Name};

/// A word of a zone file: what stands between blanks, or between quotes (RFC 1035 §5.1). Escapes are still in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    /// Without the quotes around it.
    pub(crate) text: &'a str,
    /// Whether it stood in quotes.
    pub(crate) quoted: bool,
    /// The line it stands on, from 1.
    pub(crate) line: u32,
}

/// What is wrong with an entry of a zone file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Malformed {
    /// The line of the word at fault, from 1.
    pub(crate) line: u32,
    /// A fragment of a sentence.
    pub(crate) text: String,
    /// What to do about it.
    pub(crate) hint: Option<&'static str>,
}

impl Malformed {
    pub(crate) fn new(line: u32, text: impl Into<String>) -> Self {
        Self { line, text: text.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

/// The longest TTL (RFC 2181 §8).
const MAX_SECONDS: u64 = i32::MAX as u64;

/// No name is longer as text: 255 bytes, each of them an escape.
const LONGEST_NAME: usize = 4 * Name::MAX;

impl Word<'_> {
    pub(crate) fn malformed(&self, what: &str) -> Malformed {
        Malformed::new(self.line, format!("{self} {what}"))
    }

    /// Whether it is `keyword`, in any case and not in quotes.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(keyword)
    }

    /// A number from 0 to `max`.
    pub(crate) fn number(&self, max: u32) -> Result<u32, Malformed> {
        let digits = !self.text.is_empty() && self.text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| self.text.parse().ok()).flatten().filter(|number| *number <= max);
        number.ok_or_else(|| self.malformed(&format!("is not a number from 0 to {max}")))
    }

    /// Seconds, or with units: `1h30m`, `2w`.
    pub(crate) fn seconds(&self) -> Result<u32, Malformed> {
        let seconds = seconds(self.text).filter(|_| !self.quoted).ok_or_else(|| {
            self.malformed("is not a time").hint("write seconds, or units from s, m, h, d and w, such as 1h30m")
        })?;
        u32::try_from(seconds).ok().filter(|_| seconds <= MAX_SECONDS).ok_or_else(|| {
            self.malformed(&format!("is longer than {MAX_SECONDS} seconds")).hint("no time in DNS is (RFC 2181 §8)")
        })
    }

    /// A name: absolute if it ends in a dot, else below `origin`; `@` is `origin` itself.
    pub(crate) fn name(&self, origin: &Name) -> Result<Name, Malformed> {
        if self.is("@") {
            return Ok(origin.clone());
        }
        if self.text.len() > LONGEST_NAME {
            return Err(self.malformed("is too long for a domain name"));
        }
        if !self.text.is_ascii() {
            let hint = "write it as its registry does, with labels in ASCII that begin with xn--";
            return Err(self.malformed("has letters beyond ASCII").hint(hint));
        }
        let name = Name::parse(self.text).map_err(|error| Malformed::new(self.line, error.to_string()))?;
        if is_absolute(self.text) {
            return Ok(name);
        }
        let mut wire = name.wire().to_vec();
        wire.pop();
        wire.extend_from_slice(origin.wire());
        if wire.len() > Name::MAX {
            return Err(self.malformed(&format!("is too long for a domain name, below `{origin}`")));
        }
        Ok(Name::from_canonical(&wire))
    }

    /// Its bytes, escapes undone.
    pub(crate) fn octets(&self) -> Result<Vec<u8>, Malformed> {
        let mut octets = Vec::with_capacity(self.text.len());
        let mut bytes = self.text.bytes();
        while let Some(byte) = bytes.next() {
            octets.push(match byte {
                b'\\' => name::escaped(&mut bytes)
                    .ok_or_else(|| self.malformed("has a backslash that escapes nothing: expected \\X or \\DDD"))?,
                byte => byte,
            });
        }
        Ok(octets)
    }
}

/// Undoes hexadecimal, over as many words as it takes.
pub(crate) fn hex(words: &[Word<'_>]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = words.iter().flat_map(|word| word.text.bytes()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits.chunks(2).map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(*pair.get(1)?)?).ok()).collect()
}

/// Undoes Base64, over as many words as it takes.
pub(crate) fn base64(words: &[Word<'_>]) -> Option<Vec<u8>> {
    let text: String = words.iter().map(|word| word.text).collect();
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

/// As messages show it: quoted, and no longer than a line bears.
impl std::fmt::Display for Word<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 70;
        match self.text.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(formatter, "`{}…`", &self.text[..end]),
            None => write!(formatter, "`{}`", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word<'_> {
        Word { text, quoted: false, line: 1 }
    }

    #[test]
    fn times_have_units() {
        for (text, expected) in [("0", 0), ("90", 90), ("1h30m", 5400), ("2W", 1_209_600), ("1d5", 86405)] {
            assert_eq!(word(text).seconds().unwrap(), expected, "{text}");
        }
        assert_eq!(word("2147483647").seconds().unwrap(), 2_147_483_647);
        for bad in ["", "h", "1y", "1hh", "-1", "2147483648", "99999999999999999999w"] {
            assert!(word(bad).seconds().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_without_a_last_dot_are_below_the_origin() {
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
            assert_eq!(word(text).name(&origin).unwrap().to_string(), expected, "{text}");
        }
        let long = ["a".repeat(63).as_str(); 4].join(".");
        for bad in ["", "a..b", "köln", r"a\", &long, &long[..245], &"a.".repeat(2000)] {
            assert!(word(bad).name(&origin).is_err(), "{bad}");
        }
    }

    #[test]
    fn escapes_become_bytes() {
        assert_eq!(word(r#"a\"\\\255\; "#).octets().unwrap(), b"a\"\\\xff; ");
        for bad in [r"\", r"\1", r"\12", r"\256", r"\1a2"] {
            assert!(word(bad).octets().is_err(), "{bad}");
        }
        assert_eq!(hex(&[word("0aF"), word("F")]).unwrap(), b"\x0a\xff");
        assert_eq!(hex(&[word("0aF")]), None);
        assert_eq!(base64(&[word("AA"), word("D/")]).unwrap(), b"\0\0\xff");
    }
}
