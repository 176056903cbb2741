//! What rules may have at most, so that those of a site take little of an edge's memory, and of the time of each request.
//!
//! Checked where a build is pushed, where an origin receives it, and where an edge receives its manifest. Reading JSON, no more of them is kept
//! in memory than this.

use super::bounded::{HEADERS_MAX, Limited, PARTS_MAX, RULES_MAX};
use super::header_pattern::HeaderPattern;
use super::header_rule::HeaderRule;
use super::password_rule::PasswordRule;
use super::redirect::Redirect;
use super::{CutKinds, Rules};

/// Bytes of all rules, as text.
const BYTES_MAX: usize = 16 << 20;

/// Parameters that a redirect rule may ask for.
const PARAMETERS_MAX: usize = 16;

/// Bytes of the headers of a rule.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Users of a rule: each may cost a request a hash.
const USERS_MAX: usize = 1000;

/// Redirect rules with two wildcards, which are compared with each path one by one.
const REDIRECTS_WITH_TWO_WILDCARDS_MAX: usize = 100;

/// Paths of headers and passwords with two wildcards or more.
const PATHS_WITH_WILDCARDS_MAX: usize = 100;

/// Those of them that have placeholders between wildcards, which are looked for at each segment of a path.
const PATHS_WITH_PLACEHOLDERS_BETWEEN_MAX: usize = 20;

/// The placeholders that one may have there.
const PLACEHOLDERS_BETWEEN_MAX: usize = 4;

/// Bytes of the digest of a user, as text.
const CREDENTIAL_BYTES: usize = 97;

/// Why rules cannot be pushed or served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// There are too many rules of a kind.
    #[error("the build has more than {RULES_MAX} {0} rules, which is the limit")]
    Rules(&'static str),
    /// They have too many parts.
    #[error(
        "the rules of the build have more than {PARTS_MAX} segments, parameters, headers and users together, which is the limit"
    )]
    Parts,
    /// They are too long.
    #[error("the rules of the build have more than {BYTES_MAX} bytes, which is the limit")]
    Bytes,
    /// A redirect rule asks for too many parameters.
    #[error("`{path}` asks for {count} parameters of the query: the limit is {PARAMETERS_MAX}")]
    Parameters {
        /// Its path.
        path: String,
        /// Their number.
        count: usize,
    },
    /// A rule has too many headers.
    #[error("`{path}` has more than {HEADERS_MAX} headers, which is the limit")]
    Headers {
        /// Its path.
        path: String,
    },
    /// The headers of a rule are too long.
    #[error("`{path}` has {bytes} bytes of headers: the limit is {HEADER_BYTES_MAX}")]
    HeaderBytes {
        /// Its path.
        path: String,
        /// Of all names and values.
        bytes: usize,
    },
    /// A path has too many users.
    #[error("`{path}` has {count} users: the limit is {USERS_MAX}")]
    Users {
        /// The path.
        path: String,
        /// Their number.
        count: usize,
    },
    /// A path has too many placeholders between wildcards.
    #[error("`{path}` has {count} placeholders between two `*`: the limit is {PLACEHOLDERS_BETWEEN_MAX}")]
    PlaceholdersBetween {
        /// The path.
        path: String,
        /// Their number.
        count: usize,
    },
    /// Too many redirect rules have two wildcards.
    #[error(
        "the build has more than {REDIRECTS_WITH_TWO_WILDCARDS_MAX} redirect rules with two `*`, which is the limit"
    )]
    RedirectsWithTwoWildcards,
    /// Too many paths of headers and passwords have several wildcards.
    #[error(
        "the build has more than {PATHS_WITH_WILDCARDS_MAX} paths with several `*` in `_headers`, which is the limit"
    )]
    PathsWithWildcards,
    /// Too many of them have placeholders between the wildcards.
    #[error(
        "the build has more than {PATHS_WITH_PLACEHOLDERS_BETWEEN_MAX} paths with a placeholder between two `*` in `_headers`, \
         which is the limit"
    )]
    PathsWithPlaceholdersBetween,
}

impl Limited for Redirect {
    fn parts(&self) -> usize {
        1 + self.from().segments().len() + self.parameters().count()
    }

    fn bytes(&self) -> usize {
        let parameters = self.parameters().map(|(name, value)| name.len() + value.map_or(0, str::len));
        self.from().as_str().len() + self.to().as_str().len() + parameters.sum::<usize>()
    }
}

impl Limited for HeaderRule {
    fn parts(&self) -> usize {
        1 + self.pattern.segments() + self.headers.len()
    }

    fn bytes(&self) -> usize {
        self.pattern.as_str().len() + self.header_bytes()
    }
}

impl Limited for PasswordRule {
    fn parts(&self) -> usize {
        1 + self.pattern.segments() + self.users.len()
    }

    fn bytes(&self) -> usize {
        self.pattern.as_str().len() + CREDENTIAL_BYTES * self.users.len()
    }
}

impl Redirect {
    /// Checks what one rule may have.
    pub fn check_limits(&self) -> Result<(), LimitError> {
        let count = self.parameters().count();
        if count > PARAMETERS_MAX {
            return Err(LimitError::Parameters { path: self.from().to_string(), count });
        }
        Ok(())
    }
}

impl HeaderRule {
    /// Checks what one rule may have.
    pub fn check_limits(&self) -> Result<(), LimitError> {
        let path = || self.pattern.to_string();
        if self.headers.len() > HEADERS_MAX {
            return Err(LimitError::Headers { path: path() });
        }
        let bytes = self.header_bytes();
        if bytes > HEADER_BYTES_MAX {
            return Err(LimitError::HeaderBytes { path: path(), bytes });
        }
        check_pattern(&self.pattern)
    }

    fn header_bytes(&self) -> usize {
        self.headers.iter().map(|header| header.name().len() + header.value().map_or(0, str::len)).sum()
    }
}

impl PasswordRule {
    /// Checks what one rule may have.
    pub fn check_limits(&self) -> Result<(), LimitError> {
        let count = self.users.len();
        if count > USERS_MAX {
            return Err(LimitError::Users { path: self.pattern.to_string(), count });
        }
        check_pattern(&self.pattern)
    }
}

fn check_pattern(pattern: &HeaderPattern) -> Result<(), LimitError> {
    match pattern.placeholders_between_wildcards() {
        Some(count) if count > PLACEHOLDERS_BETWEEN_MAX => {
            Err(LimitError::PlaceholdersBetween { path: pattern.to_string(), count })
        }
        _ => Ok(()),
    }
}

impl Rules {
    /// Checks all that limits say.
    pub fn check(&self) -> Result<(), LimitError> {
        self.check_memory()?;
        self.redirects.iter().try_for_each(Redirect::check_limits)?;
        self.headers.iter().try_for_each(HeaderRule::check_limits)?;
        self.passwords.iter().try_for_each(PasswordRule::check_limits)?;
        if self.redirects.iter().filter(|rule| rule.from().has_two_wildcards()).count()
            > REDIRECTS_WITH_TWO_WILDCARDS_MAX
        {
            return Err(LimitError::RedirectsWithTwoWildcards);
        }
        let patterns =
            self.headers.iter().map(|rule| &rule.pattern).chain(self.passwords.iter().map(|rule| &rule.pattern));
        let between: Vec<usize> = patterns.filter_map(HeaderPattern::placeholders_between_wildcards).collect();
        if between.len() > PATHS_WITH_WILDCARDS_MAX {
            return Err(LimitError::PathsWithWildcards);
        }
        if between.iter().filter(|count| **count > 0).count() > PATHS_WITH_PLACEHOLDERS_BETWEEN_MAX {
            return Err(LimitError::PathsWithPlaceholdersBetween);
        }
        Ok(())
    }

    /// Checks what decides how much memory they take.
    fn check_memory(&self) -> Result<(), LimitError> {
        let kinds = [
            ("redirect", self.redirects.len(), self.cut.redirects),
            ("header", self.headers.len(), self.cut.headers),
            ("password", self.passwords.len(), self.cut.passwords),
        ];
        let is_beyond = |count: usize, is_cut: bool| count > RULES_MAX || (is_cut && count == RULES_MAX);
        if let Some((kind, ..)) = kinds.iter().find(|(_, count, is_cut)| is_beyond(*count, *is_cut)) {
            return Err(LimitError::Rules(kind));
        }
        if self.parts() > PARTS_MAX || kinds.iter().any(|(_, _, is_cut)| *is_cut) {
            return Err(LimitError::Parts);
        }
        if self.bytes() > BYTES_MAX {
            return Err(LimitError::Bytes);
        }
        Ok(())
    }

    /// Bytes of all texts.
    pub fn bytes(&self) -> usize {
        self.sum(|rule| rule.bytes())
    }

    /// Segments of paths, parameters of queries, headers and users, and one for each rule.
    pub fn parts(&self) -> usize {
        self.sum(|rule| rule.parts())
    }

    fn sum(&self, of: impl Fn(&dyn Limited) -> usize) -> usize {
        let redirects = self.redirects.iter().map(|rule| of(rule));
        let headers = self.headers.iter().map(|rule| of(rule));
        redirects.chain(headers).chain(self.passwords.iter().map(|rule| of(rule))).sum()
    }

    /// What can be served of rules that are beyond limits, as an older origin may have taken: each kind that is within them by itself. A path
    /// that has a password is never without one: if they are too many, nobody may read anything.
    #[must_use]
    pub fn within_limits(self) -> Self {
        let Self { redirects, headers, passwords, cut } = self;
        let only_redirects =
            Self { redirects, cut: CutKinds { redirects: cut.redirects, ..CutKinds::default() }, ..Self::default() };
        let only_headers =
            Self { headers, cut: CutKinds { headers: cut.headers, ..CutKinds::default() }, ..Self::default() };
        let only_passwords =
            Self { passwords, cut: CutKinds { passwords: cut.passwords, ..CutKinds::default() }, ..Self::default() };
        let passwords = if only_passwords.check_memory().is_ok() {
            only_passwords.passwords
        } else {
            let pattern = "/*".parse().expect("a pattern with a leading slash");
            vec![PasswordRule { pattern, only_previews: false, users: Vec::new() }]
        };
        Self {
            redirects: if only_redirects.check().is_ok() { only_redirects.redirects } else { Vec::new() },
            headers: if only_headers.check().is_ok() { only_headers.headers } else { Vec::new() },
            passwords,
            cut: CutKinds::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::header_rule::HeaderChange;
    use super::super::password_rule::Credential;
    use super::super::redirect::Fields;
    use super::*;

    fn redirect(from: &str, parameters: usize) -> Redirect {
        let query = (0..parameters).map(|index| (format!("p{index}"), "1".to_owned())).collect();
        Fields { from: from.to_owned(), query, to: "/t".to_owned(), status: 301, force: false }.try_into().unwrap()
    }

    fn headers(path: &str, count: usize, bytes: usize) -> HeaderRule {
        let value = "v".repeat(bytes);
        let header = |index| HeaderChange::new(&format!("x-{index}"), Some(&value)).unwrap();
        HeaderRule { pattern: path.parse().unwrap(), headers: (0..count).map(header).collect() }
    }

    fn password(path: &str, users: usize) -> PasswordRule {
        let users = vec![Credential::new("demo", "ann:x"); users];
        PasswordRule { pattern: path.parse().unwrap(), only_previews: false, users }
    }

    fn of_redirects(count: usize, from: impl Fn(usize) -> String) -> Rules {
        Rules { redirects: (0..count).map(|index| redirect(&from(index), 0)).collect(), ..Rules::default() }
    }

    fn of_headers(rules: Vec<HeaderRule>) -> Rules {
        Rules { headers: rules, ..Rules::default() }
    }

    fn of_passwords(rules: Vec<PasswordRule>) -> Rules {
        Rules { passwords: rules, ..Rules::default() }
    }

    #[test]
    fn rules_at_each_limit_pass_and_beyond_it_are_named() {
        let deep = |index: usize| format!("/{index}{}", "/a".repeat(98));
        let wild = |count: usize, path: &str| of_headers(vec![headers(path, 1, 1); count]);
        let with_parameters = |count| Rules { redirects: vec![redirect("/a", count)], ..Rules::default() };
        for (within, beyond, message) in [
            (of_redirects(4000, deep), of_redirects(4001, deep), "more than 400000 segments"),
            (with_parameters(16), with_parameters(17), "`/a` asks for 17 parameters of the query: the limit is 16"),
            (
                of_headers(vec![headers("/a", 100, 1)]),
                of_headers(vec![headers("/a", 101, 1)]),
                "`/a` has more than 100 headers",
            ),
            (
                of_headers(vec![headers("/a", 1, 16_000)]),
                of_headers(vec![headers("/a", 2, 16_000)]),
                "bytes of headers",
            ),
            (
                of_headers(vec![headers("/a", 1, 16_000); 1000]),
                of_headers(vec![headers("/a", 1, 16_000); 1100]),
                "more than 16777216 bytes",
            ),
            (
                of_passwords(vec![password("/a", 1000)]),
                of_passwords(vec![password("/a", 1001)]),
                "`/a` has 1001 users: the limit is 1000",
            ),
            (of_redirects(100, |_| "/*/a/*".to_owned()), of_redirects(101, |_| "/*/a/*".to_owned()), "two `*`"),
            (wild(100, "/*/a/*"), wild(101, "/*/a/*"), "several `*`"),
            (wild(20, "/*/:a/*"), wild(21, "/*/:a/*"), "a placeholder between two `*`"),
            (
                wild(1, "/*/:a/:b/:c/:d/*"),
                wild(1, "/*/:a/:b/:c/:d/:e/*"),
                "has 5 placeholders between two `*`: the limit is 4",
            ),
        ] {
            assert_eq!(within.check(), Ok(()), "{message}");
            let error = beyond.check().unwrap_err().to_string();
            assert!(error.contains(message), "{error}: {message}");
        }
        assert_eq!(of_redirects(50_001, |_| "/a".to_owned()).check(), Err(LimitError::Rules("redirect")));
    }

    #[test]
    fn rules_beyond_limits_are_not_kept_in_memory_when_they_are_read() {
        let rule = format!(r#"{{"from":"{}","to":"/t","status":301}}"#, "/a".repeat(120));
        let json = format!(r#"{{"redirects":[{}]}}"#, vec![&*rule; 10_000].join(","));
        let rules: Rules = serde_json::from_str(&json).unwrap();
        assert!(rules.parts() <= PARTS_MAX && rules.check() == Err(LimitError::Parts));
        let json =
            format!(r#"{{"redirects":[{}]}}"#, vec![r#"{"from":"/a","to":"/t","status":301}"#; 50_001].join(","));
        let rules: Rules = serde_json::from_str(&json).unwrap();
        assert_eq!((rules.redirects.len(), rules.check()), (50_000, Err(LimitError::Rules("redirect"))));
        let header = r#"["x-a",null]"#;
        let json = format!(r#"{{"headers":[{{"for":"/*","headers":[{}]}}]}}"#, vec![header; 100_000].join(","));
        let rules: Rules = serde_json::from_str(&json).unwrap();
        assert!(rules.parts() < 200 && matches!(rules.check(), Err(LimitError::Headers { .. })));
    }

    #[test]
    fn beyond_limits_each_kind_within_them_is_served_and_passwords_hold() {
        let many = of_redirects(4001, |index| format!("/{index}{}", "/a".repeat(98))).redirects;
        let rules = Rules {
            redirects: many,
            headers: vec![headers("/a", 1, 1)],
            passwords: vec![password("/a", 1001)],
            cut: CutKinds::default(),
        };
        let served = rules.within_limits();
        assert_eq!((served.redirects.len(), served.headers.len(), served.passwords[0].users.len()), (0, 1, 1001));
        let cut = CutKinds { passwords: true, ..CutKinds::default() };
        let served = Rules { cut, ..of_passwords(vec![password("/a", 1)]) }.within_limits();
        assert_eq!((served.passwords[0].pattern.as_str(), served.passwords[0].users.len()), ("/*", 0));
    }
}
