//! Unicode normalization form C (UAX #15), the one form in which names of files are looked up.
//!
//! macOS and some archives decompose accents, links are composed. A push composes the names of files, an edge the path of a request, so
//! both find the file.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// `text` in normalization form C. Borrowed, and without a look at any table, if it is ASCII; at most three times as long otherwise.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decomposed_text_is_composed_and_other_text_is_borrowed() {
        for (text, composed) in [
            ("cafe\u{301}.html", "caf\u{e9}.html"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            // Two marks, in the order in which they are not stored.
            ("a\u{301}\u{323}", "\u{1ea1}\u{301}"),
        ] {
            assert_eq!(nfc(text), composed);
        }
        for text in ["index.html", "caf\u{e9}", "日本", ""] {
            assert!(matches!(nfc(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn composition_is_idempotent_and_ignores_decomposition(text in "[a-z/éüñ한Å\u{301}\u{323}\u{1112}]{0,12}") {
            let composed = nfc(&text).into_owned();
            prop_assert_eq!(&*nfc(&composed), &composed);
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(&*nfc(&decomposed), &composed);
        }
    }
}
