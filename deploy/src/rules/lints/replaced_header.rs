//! Headers of a block that a later block for the same path sets to another value.

use std::collections::HashMap;

use verge_protocol::rules::HeaderRule;

/// Headers that later blocks add to, or that a response has several of.
const REPEATED: [&str; 2] = ["set-cookie", "vary"];

/// Warns about such headers of `rules`, which are named by where they are written. Only paths with the same text are compared.
pub(in crate::rules) fn warnings(rules: &[(&str, &HeaderRule)]) -> Vec<String> {
    let mut last: HashMap<(&str, &str), (&str, &str)> = HashMap::new();
    let mut warnings = Vec::new();
    for (source, rule) in rules {
        let path = rule.pattern.as_str();
        for header in rule.headers.iter().filter(|header| !REPEATED.contains(&header.name())) {
            let Some(value) = header.value() else { continue };
            let before = last.insert((path, header.name()), (source, value));
            if let Some((earlier, _)) = before.filter(|(_, other)| *other != value) {
                let name = header.name();
                warnings
                    .push(format!("{earlier}: `{name}` of `{path}` does nothing: {source} sets it to another value"));
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use crate::rules::LoadedRules;

    fn warnings_of(headers: &str, toml: Option<&str>) -> Vec<String> {
        let mut loaded = LoadedRules::parse(None, Some(headers), toml, "demo");
        assert_eq!((loaded.invalid.len(), loaded.fatal.len()), (0, 0), "{headers}");
        loaded.lint(&[], false);
        loaded.warnings
    }

    #[test]
    fn header_that_a_later_block_replaces_is_named() {
        let expected = ["_headers:1: `x-a` of `/*` does nothing: _headers:4 sets it to another value"];
        assert_eq!(warnings_of("/*\n  X-A: c\n  X-B: 1\n/*\n  x-a: d\n", None), expected);
        assert_eq!(
            warnings_of("/*\n  X-A: c\n/a\n  X-A: e\n/*\n  X-A: d", None)[..1],
            [expected[0].replace(":4", ":5")]
        );
        let toml = "[[headers]]\nfor = \"/*\"\n[headers.values]\nX-A = \"d\"\n";
        let warnings = warnings_of("/*\n  X-A: c", Some(toml));
        assert!(warnings.len() == 1 && warnings[0].contains("netlify.toml:1 sets it"), "{warnings:?}");
    }

    #[test]
    fn header_that_counts_somewhere_is_not_named() {
        for headers in [
            "/*\n  X-A: c\n/*\n  X-A: c",
            "/*\n  X-A: c\n/*\n  X-B: d",
            "/*\n  X-A: c\n/a\n  X-A: d",
            "/*\n  X-A: c\n  X-A: d",
            "/*\n  Vary: Accept\n/*\n  Vary: Cookie",
            "/*\n  Set-Cookie: a=1\n/*\n  Set-Cookie: b=1",
        ] {
            assert_eq!(warnings_of(headers, None), [""; 0], "{headers}");
        }
    }
}
