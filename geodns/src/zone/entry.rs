//! Zone files as entries of words (RFC 1035 §5.1).

use crate::dns::rdata::{Malformed, Word};

/// An entry: a line, or the lines that parentheses join.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Where it begins, from 1.
    pub(super) line: u32,
    /// Whether it begins with a blank: its owner is that of the entry before.
    pub(super) indented: bool,
    /// At least one.
    pub(super) words: Vec<Word<'a>>,
}

/// The entries of a text. One that cannot be read is an error, and reading goes on after it.
pub(super) struct Entries<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Entries<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        // Editors on Windows begin files with a byte order mark.
        Self { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0, line: 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Everything up to the end of an entry, which may be none but blanks and comments.
    fn entry(&mut self) -> Result<Entry<'a>, Malformed> {
        let mut entry =
            Entry { line: self.line, indented: matches!(self.peek(), Some(b' ' | b'\t')), words: Vec::new() };
        // Where the parentheses that are open began. BIND lets them nest, and so do we.
        let mut open = Vec::new();
        let mut fault = None;
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
                        fault.get_or_insert(Malformed::new(self.line, "this `)` closes nothing"));
                    }
                }
                _ => {
                    if entry.words.is_empty() {
                        entry.line = self.line;
                    }
                    match self.word() {
                        Ok(word) => entry.words.push(word),
                        Err(error) => _ = fault.get_or_insert(error),
                    }
                }
            }
        }
        if let Some(line) = open.first() {
            let error = Malformed::new(*line, "this `(` is never closed").hint("everything after it became one entry");
            return Err(error);
        }
        fault.map_or(Ok(entry), Err)
    }

    /// A word. On an error everything up to the end of the line is left behind.
    fn word(&mut self) -> Result<Word<'a>, Malformed> {
        let quoted = self.peek() == Some(b'"');
        let start = self.at + usize::from(quoted);
        self.at = start;
        let mut inside = quoted;
        loop {
            match self.peek() {
                Some(b'"') if quoted => break,
                Some(b'"') if inside => inside = false,
                // `key="some value"` is one word (RFC 9460 §2.1).
                Some(b'"') if self.text.as_bytes().get(self.at.wrapping_sub(1)) == Some(&b'=') && self.at > start => {
                    inside = true;
                }
                None | Some(b'\n' | b'\r') if inside => {
                    return Err(self.fault("these quotes are not closed on this line"));
                }
                None => break,
                Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"') if !inside => break,
                Some(b'\\') if matches!(self.text.as_bytes().get(self.at + 1), None | Some(b'\r' | b'\n')) => {
                    return Err(self.fault("the backslash at the end of this line escapes nothing"));
                }
                // The escaped byte may begin a longer character, whose others are no delimiters.
                Some(b'\\') => self.at += 1,
                Some(byte) if byte.is_ascii_control() && byte != b'\t' => {
                    return Err(self.fault(&format!("a control character, byte {byte}")));
                }
                Some(_) => {}
            }
            self.at += 1;
        }
        let word = Word { text: &self.text[start..self.at], quoted, line: self.line };
        self.at += usize::from(quoted);
        Ok(word)
    }

    fn fault(&mut self, text: &str) -> Malformed {
        self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at);
        Malformed::new(self.line, text)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.text.len() {
            match self.entry() {
                Ok(entry) if entry.words.is_empty() => {}
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

    /// `line[+]: word "quoted"`, or `line! what`.
    fn entries(text: &str) -> Vec<String> {
        Entries::new(text)
            .map(|entry| match entry {
                Ok(entry) => {
                    let words = entry
                        .words
                        .iter()
                        .map(|word| if word.quoted { format!("\"{}\"", word.text) } else { word.text.to_owned() });
                    let indented = if entry.indented { "+" } else { "" };
                    format!("{}{indented}: {}", entry.line, words.collect::<Vec<_>>().join("|"))
                }
                Err(error) => format!("{}! {error}", error.line),
            })
            .collect()
    }

    #[test]
    fn lines_become_entries() {
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
    fn a_broken_entry_does_not_break_the_next() {
        for (text, expected) in [
            ("a \"b\nc", &["1! these quotes are not closed on this line", "2: c"][..]),
            ("a )\nc", &["1! this `)` closes nothing", "2: c"]),
            ("a (\n\"b\n)\nc", &["2! these quotes are not closed on this line", "4: c"]),
            ("a \\\nc", &["1! the backslash at the end of this line escapes nothing", "2: c"]),
            ("a\nb (\nc\nd", &["1: a", "2! this `(` is never closed"]),
            ("a\u{1}b\nc", &["1! a control character, byte 1", "2: c"]),
        ] {
            assert_eq!(entries(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[a\"\\\\(); \t\r\n=ü\u{1}]*") {
            let newlines = text.matches('\n').count();
            for entry in Entries::new(&text) {
                let line = entry.map_or_else(|error| error.line, |entry| entry.line);
                prop_assert!((1..=newlines + 1).contains(&(line as usize)));
            }
        }
    }
}
