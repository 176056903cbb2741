//! Whether bytes are text that a browser can show.

/// Whether a content that starts with `first`, its first blob, is UTF-8 text: as far as that blob shows, which may end within a character if
/// the content continues. Bytes that no text has are those of the MIME Sniffing Standard §3, "binary data byte".
pub(super) fn is_text(first: &[u8], is_whole: bool) -> bool {
    let is_utf8 = match std::str::from_utf8(first) {
        Ok(_) => true,
        // No length: the last character is cut.
        Err(error) => !is_whole && error.error_len().is_none(),
    };
    is_utf8 && !first.iter().any(|byte| is_binary(*byte))
}

fn is_binary(byte: u8) -> bool {
    matches!(byte, 0x00..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_without_binary_bytes_is_text() {
        for text in ["", "The MIT License\r\n", "\u{feff}\tüñí 漢字 🦀\x0c", "\x1b[1mlog\x1b[0m"] {
            assert!(is_text(text.as_bytes(), true), "{text:?}");
        }
        for bytes in [&b"a\0b"[..], b"\x7fELF\x02\x01", b"caf\xe9", b"\xff\xfea\0", b"\x89PNG\r\n\x1a\n", b"a\x0bb"] {
            assert!(!is_text(bytes, true), "{bytes:?}");
        }
    }

    #[test]
    fn character_that_is_cut_is_text_only_where_the_content_continues() {
        let text = "漢🦀".as_bytes();
        for end in 1..text.len() {
            let is_boundary = end == 3;
            assert_eq!(is_text(&text[..end], true), is_boundary, "{end}");
            assert!(is_text(&text[..end], false), "{end}");
        }
        assert!(!is_text(b"\xe6\x41", false), "an invalid character is not one that is cut");
    }
}
