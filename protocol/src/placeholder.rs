//! Recognizes text that stands where a value is still to be filled in.

/// Whether a text is, or contains, a placeholder such as `<token>`, `vrg_…`, `CHANGE-ME` or `your-token`.
pub fn is_placeholder(text: &str) -> bool {
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let has_brackets = text.find('<').is_some_and(|open| text[open..].contains('>'));
    has_brackets
        || text.contains('…')
        || text.contains("...")
        || ["changeme", "placeholder", "replaceme", "yourtoken", "xxxx"].iter().any(|mark| letters.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_recognized_and_values_are_not() {
        for text in ["<token>", "https://<origin>/", "vrg_…", "vrg_...", "CHANGE-ME", "change_me", "your-token", "XXXX"]
        {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["", "fra-1", "https://cdn.acme.net:8443", "[::]:80", "a > b", "1..2"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
