//! Splits a zone file into entries, and those into tokens (RFC 1035 §5.1).

use super::token::{SyntaxError, Token};

/// An entry: a line, or several that parentheses join.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Where it begins, from 1.
    pub(super) line: u32,
    /// Whether it begins with a blank: its owner is that of the previous entry.
    pub(super) indented: bool,
    /// At least one.
    pub(super) tokens: Vec<Token<'a>>,
}

/// Iterates over the entries of a text. After an error it continues with the next entry.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        // Editors on Windows begin files with a byte order mark.
        Self { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0, line: 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Reads up to the end of an entry. It has no tokens if there are only blanks and comments.
    fn entry(&mut self) -> Result<Entry<'a>, SyntaxError> {
        let mut entry =
            Entry { line: self.line, indented: matches!(self.peek(), Some(b' ' | b'\t')), tokens: Vec::new() };
        // The lines of the open parentheses. They may be nested, as in BIND.
        let mut open = Vec::new();
        let mut first_error = None;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    if open.is_empty() {
                        break;
                    }
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b';' => self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at),
                b'(' => {
                    self.at += 1;
                    open.push(self.line);
                }
                b')' => {
                    self.at += 1;
                    if open.pop().is_none() {
                        first_error.get_or_insert(SyntaxError::new(self.line, "unbalanced parentheses: extra `)`"));
                    }
                }
                _ => {
                    if entry.tokens.is_empty() {
                        entry.line = self.line;
                    }
                    match self.token() {
                        Ok(token) => entry.tokens.push(token),
                        Err(error) => _ = first_error.get_or_insert(error),
                    }
                }
            }
        }
        if let Some(line) = open.first() {
            return Err(SyntaxError::new(*line, "unbalanced parentheses: `(` is never closed")
                .hint("the rest of the file was read as one record"));
        }
        first_error.map_or(Ok(entry), Err)
    }

    /// Reads a token. After an error the rest of the line is skipped.
    fn token(&mut self) -> Result<Token<'a>, SyntaxError> {
        let quoted = self.peek() == Some(b'"');
        let start = self.at + usize::from(quoted);
        self.at = start;
        let mut inside = quoted;
        loop {
            match self.peek() {
                Some(b'"') if quoted => break,
                Some(b'"') if inside => inside = false,
                // `key="some value"` is one token (RFC 9460 §2.1).
                Some(b'"') if self.text.as_bytes().get(self.at.wrapping_sub(1)) == Some(&b'=') && self.at > start => {
                    inside = true;
                }
                None | Some(b'\n' | b'\r') if inside => {
                    return Err(self.error("unbalanced quotes: not closed on this line"));
                }
                None => break,
                Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"') if !inside => break,
                Some(b'\\') if matches!(self.text.as_bytes().get(self.at + 1), None | Some(b'\r' | b'\n')) => {
                    return Err(self.error("invalid escape: backslash at the end of the line"));
                }
                // The escaped byte may be the first of several of a UTF-8 character; the others are no delimiters.
                Some(b'\\') => self.at += 1,
                Some(byte) if byte.is_ascii_control() && byte != b'\t' => {
                    return Err(self.error(&format!("control character (byte {byte})")));
                }
                Some(_) => {}
            }
            self.at += 1;
        }
        let token = Token { text: &self.text[start..self.at], quoted, line: self.line };
        self.at += usize::from(quoted);
        Ok(token)
    }

    fn error(&mut self, message: &str) -> SyntaxError {
        self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at);
        SyntaxError::new(self.line, message)
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Result<Entry<'a>, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.text.len() {
            match self.entry() {
                Ok(entry) if entry.tokens.is_empty() => {}
                entry => return Some(entry),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `<line>[+]: <token>|"<quoted token>"`, or `<line>! <error>`. `+` marks an indented entry.
    fn entries(text: &str) -> Vec<String> {
        Lexer::new(text)
            .map(|entry| match entry {
                Ok(entry) => {
                    let tokens = entry
                        .tokens
                        .iter()
                        .map(|token| if token.quoted { format!("\"{}\"", token.text) } else { token.text.to_owned() });
                    let indented = if entry.indented { "+" } else { "" };
                    format!("{}{indented}: {}", entry.line, tokens.collect::<Vec<_>>().join("|"))
                }
                Err(error) => format!("{}! {error}", error.line),
            })
            .collect()
    }

    #[test]
    fn lexer_splits_text_into_entries_and_tokens() {
        for (text, expected) in [
            ("\u{feff}a A 1\r\n\tB 2 ; note\n\n ; note\nc", &["1: a|A|1", "2+: B|2", "5: c"][..]),
            ("a (b ; one )\n\n c) d\ne", &["1: a|b|c|d", "4: e"]),
            ("a ((b) \n c)", &["1: a|b|c"]),
            (" (\na\n)", &["2+: a"]),
            (r#"a "b; (c" d;e"#, &[r#"1: a|"b; (c"|d"#]),
            (r#""a""b"c"d" "" "#, &[r#"1: "a"|"b"|c|"d"|"""#]),
            (r#"a k="x y;" "\"""#, &[r#"1: a|k="x y;"|"\"""#]),
            (r"a\ b \;c \\ \(", &[r"1: a\ b|\;c|\\|\("]),
            (r"\ü ü", &[r"1: \ü|ü"]),
        ] {
            assert_eq!(entries(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lexer_after_an_error_continues_with_the_next_entry() {
        for (text, expected) in [
            ("a \"b\nc", &["1! unbalanced quotes: not closed on this line", "2: c"][..]),
            ("a )\nc", &["1! unbalanced parentheses: extra `)`", "2: c"]),
            ("a (\n\"b\n)\nc", &["2! unbalanced quotes: not closed on this line", "4: c"]),
            ("a \\\nc", &["1! invalid escape: backslash at the end of the line", "2: c"]),
            ("a\nb (\nc\nd", &["1: a", "2! unbalanced parentheses: `(` is never closed"]),
            ("a\u{1}b\nc", &["1! control character (byte 1)", "2: c"]),
        ] {
            assert_eq!(entries(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn lexer_reads_any_text_to_its_end(text in "[a\"\\\\(); \t\r\n=ü\u{1}]*") {
            let newlines = text.matches('\n').count();
            for entry in Lexer::new(&text) {
                let line = entry.map_or_else(|error| error.line, |entry| entry.line);
                prop_assert!((1..=newlines + 1).contains(&(line as usize)));
            }
        }
    }
}
