//! `_redirects` and `_headers`. They get an evaluator of their own later; until then, the one rule that nearly every
//! single-page app has is understood, and any other is said to be no more than read.

use std::fmt;
use std::io;
use std::path::Path;

use super::problem::Problem;

/// A line of a rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    file: &'static str,
    line: usize,
    text: String,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// What the rules files of a folder say.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// `/* /index.html 200` is among them.
    pub(super) single_page: bool,
    /// All others.
    pub(super) unevaluated: Vec<Rule>,
    /// Files that are there and cannot be read.
    pub(super) unreadable: Vec<Problem>,
}

impl Rules {
    /// The rules of `folder`.
    pub(super) fn of(folder: &Path) -> Self {
        let mut rules = Self::default();
        if let Some(text) = rules.text(folder, "_redirects") {
            rules.add_redirects(&text);
        }
        if let Some(text) = rules.text(folder, "_headers") {
            rules.add_headers(&text);
        }
        rules
    }

    fn text(&mut self, folder: &Path, file: &'static str) -> Option<String> {
        match std::fs::read_to_string(folder.join(file)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                self.unreadable.push(Problem::Unreadable { path: file.to_owned(), source });
                None
            }
        }
    }

    fn add_redirects(&mut self, text: &str) {
        for (line, text) in said(text) {
            let words: Vec<&str> = text.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
            if words == ["/*", "/index.html", "200"] {
                self.single_page = true;
            } else {
                self.unevaluated.push(Rule { file: "_redirects", line, text: words.join(" ") });
            }
        }
    }

    fn add_headers(&mut self, text: &str) {
        let rules = said(text).map(|(line, text)| Rule { file: "_headers", line, text: text.to_owned() });
        self.unevaluated.extend(rules);
    }
}

/// The lines that say something, with their numbers: no blank ones, no comments, no byte order mark, any line end.
fn said(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirects(text: &str) -> (bool, Vec<String>) {
        let mut rules = Rules::default();
        rules.add_redirects(text);
        (rules.single_page, rules.unevaluated.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_single_page_rule_is_known_however_it_is_written() {
        for text in [
            "/* /index.html 200",
            "\u{feff}/*\t/index.html\t\t200\r\n",
            "# all\n\n  /*  /index.html  200  # the app\n",
            "/* /index.html 200\n/* /index.html 200",
        ] {
            assert_eq!(redirects(text), (true, vec![]), "{text:?}");
        }
        for text in ["", "\n", "# /* /index.html 200", "\u{feff}\r\n"] {
            assert_eq!(redirects(text), (false, vec![]), "{text:?}");
        }
    }

    #[test]
    fn every_other_rule_is_named_with_its_line() {
        for text in ["/* /index.html", "/* /index.html 200!", "/* /app.html 200", "/* /index.html 301", "/a /b", "/*"] {
            let (single_page, others) = redirects(text);
            assert!(!single_page, "{text}");
            assert_eq!(others, [format!("_redirects:1: {text}")]);
        }
        let (single_page, others) = redirects("# one\r\n/old\t/new 301 # moved\r\n/* /index.html 200\r\n");
        assert!(single_page);
        assert_eq!(others, ["_redirects:2: /old /new 301"]);
    }

    #[test]
    fn every_line_of_headers_that_says_something_is_named() {
        let mut rules = Rules::default();
        rules.add_headers("# none\n\n/*\n  X-Frame-Options: DENY\n");
        let lines: Vec<String> = rules.unevaluated.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["_headers:3: /*", "_headers:4: X-Frame-Options: DENY"]);
    }
}
