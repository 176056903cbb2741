//! The text of a file of rules, which is UTF-8.

/// The text of a file, as far as it has one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RuleText {
    /// The text, with an empty line for each that is invalid.
    pub(super) text: String,
    /// The lines that are not UTF-8, counted from 1, and what is wrong with them.
    pub(super) invalid: Vec<(usize, &'static str)>,
}

/// What is said of a line.
const NOT_UTF8: &str = "not valid UTF-8: save the file as UTF-8";

/// What is said of a file whose lines cannot be told apart.
const UTF16: &str = "the file is UTF-16, and none of it is read: save it as UTF-8";

/// The byte order marks of UTF-16.
const UTF16_MARKS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];

impl RuleText {
    /// The text if no line of it is invalid.
    pub(super) fn whole(&self) -> Option<&str> {
        self.invalid.is_empty().then_some(&self.text)
    }

    /// One line for each that is invalid, of the file `name`.
    pub(super) fn errors<'s>(&'s self, name: &'s str) -> impl Iterator<Item = String> + 's {
        self.invalid.iter().map(move |(line, error)| format!("{name}:{line}: {error}"))
    }

    /// Decodes the content of a file.
    pub(super) fn decode(bytes: Vec<u8>) -> Self {
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => return Self { text, invalid: Vec::new() },
            Err(error) => error.into_bytes(),
        };
        if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
            return Self { text: String::new(), invalid: vec![(1, UTF16)] };
        }
        let mut decoded = Self::default();
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            match std::str::from_utf8(line) {
                Ok(line) => decoded.text.push_str(line),
                Err(_) => decoded.invalid.push((number, NOT_UTF8)),
            }
            decoded.text.push('\n');
        }
        decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_not_utf8_are_left_out_and_named() {
        let decoded = RuleText::decode(b"/a /b\r\n/caf\xe9 /c\r\n/\xc3\xa9 /d\n# f\xfcr".to_vec());
        assert_eq!(decoded.text, "/a /b\r\n\n/é /d\n\n");
        assert_eq!(decoded.invalid, [(2, NOT_UTF8), (4, NOT_UTF8)]);
        let valid = "\u{feff}/é /b\n";
        assert_eq!(RuleText::decode(valid.into()), RuleText { text: valid.to_owned(), invalid: Vec::new() });
    }

    #[test]
    fn file_in_utf16_is_left_out_as_a_whole() {
        let text: Vec<u16> = "\u{feff}/a /b\n/c /d\n".encode_utf16().collect();
        for bytes in [
            text.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
            text.iter().flat_map(|unit| unit.to_be_bytes()).collect::<Vec<u8>>(),
        ] {
            assert_eq!(RuleText::decode(bytes), RuleText { text: String::new(), invalid: vec![(1, UTF16)] });
        }
    }
}
