//! `_redirects` and `_headers`. Only the rule of single-page apps is supported yet; all others are reported.

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

/// The rules of a directory.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Whether there is a rule `/* /index.html 200`.
    pub(super) single_page: bool,
    /// All other rules.
    pub(super) unsupported: Vec<Rule>,
    /// Files that cannot be read.
    pub(super) unreadable: Vec<Problem>,
}

impl Rules {
    /// Reads the rules of `dir`.
    pub(super) fn load(dir: &Path) -> Self {
        let mut rules = Self::default();
        if let Some(text) = rules.read(dir, "_redirects") {
            rules.add_redirects(&text);
        }
        if let Some(text) = rules.read(dir, "_headers") {
            rules.add_headers(&text);
        }
        rules
    }

    fn read(&mut self, dir: &Path, file: &'static str) -> Option<String> {
        match std::fs::read_to_string(dir.join(file)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                self.unreadable.push(Problem::Unreadable { path: file.to_owned(), source });
                None
            }
        }
    }

    fn add_redirects(&mut self, text: &str) {
        for (line, text) in significant_lines(text) {
            let words: Vec<&str> = text.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
            if words == ["/*", "/index.html", "200"] {
                self.single_page = true;
            } else {
                self.unsupported.push(Rule { file: "_redirects", line, text: words.join(" ") });
            }
        }
    }

    fn add_headers(&mut self, text: &str) {
        let rules = significant_lines(text).map(|(line, text)| Rule { file: "_headers", line, text: text.to_owned() });
        self.unsupported.extend(rules);
    }
}

/// Lines with their numbers, without blank lines, comments and the byte order mark.
fn significant_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirects(text: &str) -> (bool, Vec<String>) {
        let mut rules = Rules::default();
        rules.add_redirects(text);
        (rules.single_page, rules.unsupported.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn single_page_rule_is_recognized_in_any_layout() {
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
    fn unsupported_redirect_is_reported_with_its_line() {
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
    fn header_rules_are_reported_with_their_lines() {
        let mut rules = Rules::default();
        rules.add_headers("# none\n\n/*\n  X-Frame-Options: DENY\n");
        let lines: Vec<String> = rules.unsupported.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["_headers:3: /*", "_headers:4: X-Frame-Options: DENY"]);
    }
}
