//! How long caches may keep a file: decided once, at publishing, from its name and its history.

use std::collections::HashMap;

use verge_protocol::{Digest, Lifetime, SitePath};

/// Directories in which build tools name files by their content.
const HASHED_DIRECTORIES: [&str; 8] =
    ["assets/", "static/js/", "static/css/", "static/media/", "_next/static/", "_astro/", "_app/immutable/", "_nuxt/"];

/// The least number of characters of a hash in a name.
const HASH_MIN: usize = 8;

/// The decision for one file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) lifetime: Lifetime,
    /// Whether later releases inherit it.
    pub(super) fingerprinted: bool,
    /// What the client should know about it.
    pub(super) warning: Option<String>,
}

/// The directories of one build in which most names certainly contain a hash: there, other names of the same shape count as certain
/// too. By directory: (certain names, all names).
pub(super) struct Conventions<'a>(HashMap<&'a str, (usize, usize)>);

impl<'a> Conventions<'a> {
    /// Examines all paths of a build.
    pub(super) fn of(paths: impl Iterator<Item = &'a SitePath>) -> Self {
        let mut directories: HashMap<&str, (usize, usize)> = HashMap::new();
        for path in paths {
            let (certain, all) = directories.entry(directory(path)).or_default();
            *certain += usize::from(has_certain_hash(path));
            *all += 1;
        }
        Self(directories)
    }

    fn apply_in(&self, directory: &str) -> bool {
        self.0.get(directory).is_some_and(|(certain, all)| certain * 2 > *all)
    }
}

fn directory(path: &SitePath) -> &str {
    path.as_str().rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Decides for one file. `first` is the digest that the path was first released with, if it was fingerprinted.
///
/// Two questions with different costs of a wrong answer. A name of the *shape* that build tools give is fingerprinted, so that later
/// releases inherit it: a wrong yes costs little, a wrong no breaks open tabs. Only a name that *certainly* contains a hash is
/// immutable: after a wrong yes, browsers keep the wrong bytes for a year. Pages are neither: their URL stays when their bytes change.
pub(super) fn decide(
    conventions: &Conventions<'_>,
    path: &SitePath,
    media_type: &str,
    digest: Digest,
    first: Option<Digest>,
) -> Decision {
    if media_type.starts_with("text/html") || !has_shape(path, conventions) {
        return Decision { lifetime: Lifetime::Revalidate, fingerprinted: false, warning: None };
    }
    if !is_certain(path, conventions) {
        return Decision { lifetime: Lifetime::Revalidate, fingerprinted: true, warning: None };
    }
    match first {
        Some(first) if first != digest => Decision {
            lifetime: Lifetime::Revalidate,
            fingerprinted: false,
            warning: Some(format!(
                "{path} looks fingerprinted, but an earlier release had other bytes there: browsers will revalidate it"
            )),
        },
        _ => Decision { lifetime: Lifetime::Immutable, fingerprinted: true, warning: None },
    }
}

fn has_shape(path: &SitePath, conventions: &Conventions<'_>) -> bool {
    has_hex_hash(path)
        || (in_hashed_directory(path) && stem(path).is_some_and(|stem| suffix(stem).is_some() || has_hash(stem)))
        // One of 43 hashes of 8 hex digits has no letter.
        || (conventions.apply_in(directory(path)) && hex_parts(path.file_name()).next().is_some())
}

fn is_certain(path: &SitePath, conventions: &Conventions<'_>) -> bool {
    let by_convention = || {
        let hash = stem(path).and_then(suffix);
        in_hashed_directory(path)
            && conventions.apply_in(directory(path))
            && hash.is_some_and(|hash| !is_plain_word(hash))
    };
    has_certain_hash(path) || by_convention()
}

/// Whether the name alone is certain to contain a hash.
fn has_certain_hash(path: &SitePath) -> bool {
    has_hex_hash(path) || (in_hashed_directory(path) && stem(path).is_some_and(has_hash))
}

fn in_hashed_directory(path: &SitePath) -> bool {
    let path = path.as_str();
    HASHED_DIRECTORIES.iter().any(|directory| path.starts_with(directory) || path.contains(&format!("/{directory}")))
}

/// The name without its extension.
fn stem(path: &SitePath) -> Option<&str> {
    path.file_name().rsplit_once('.').map(|(stem, _)| stem)
}

/// Whether any part of the path is 8 or more hex digits, both letters and digits among them.
fn has_hex_hash(path: &SitePath) -> bool {
    hex_parts(path.as_str()).any(|part| {
        part.bytes().any(|byte| byte.is_ascii_digit()) && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

/// The parts of a text that are 8 or more hex digits.
fn hex_parts(text: &str) -> impl Iterator<Item = &str> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.split(|character: char| !character.is_ascii_alphanumeric())
        .filter(move |part| part.len() >= HASH_MIN && part.bytes().all(hex))
}

/// Vite, Rollup and esbuild end a name in `-` or `.` and 8 characters of base64url, hyphens and underscores among them.
fn suffix(stem: &str) -> Option<&str> {
    let (before, hash) = stem.split_at_checked(stem.len().checked_sub(HASH_MIN)?)?;
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (before.ends_with(['-', '.']) && hash.bytes().all(base64url)).then_some(hash)
}

/// Whether a name in a directory of hashed names contains a random part: `index-DiwRgTda`, `main.K3J5YQ2A.chunk`.
fn has_hash(stem: &str) -> bool {
    let mut long =
        stem.split(|character: char| !character.is_ascii_alphanumeric()).filter(|part| part.len() >= HASH_MIN);
    let mut in_suffix = suffix(stem).into_iter().flat_map(|hash| hash.split(['-', '_']));
    // Eight characters at the very end are half the evidence: there, a part need not look random, only unlike words.
    let is_unlike_words = |part: &str| is_random(part) || (part.len() >= 4 && !is_words(part));
    long.any(is_random) || in_suffix.any(is_unlike_words)
}

/// Whether letters and digits are mixed as in no word. `bootstrap5`, `UserProfile` and `base64encode` are words; `v2` is too short to
/// tell.
fn is_random(part: &str) -> bool {
    let kinds = part.as_bytes();
    let digit_inside = kinds.windows(3).any(|three| three[1].is_ascii_digit() && three[0].is_ascii_alphabetic())
        && kinds.iter().skip_while(|byte| !byte.is_ascii_digit()).any(u8::is_ascii_alphabetic);
    let case_inside = kinds.windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    (digit_inside || case_inside) && !is_words(part)
}

/// Whether the part is letters of one case, or capitalized, with digits only at the end.
fn is_plain_word(part: &str) -> bool {
    let letters = part.trim_end_matches(|character: char| character.is_ascii_digit());
    let rest = letters.get(1..).unwrap_or_default();
    letters.bytes().all(|byte| byte.is_ascii_alphabetic())
        && (rest.bytes().all(|byte| byte.is_ascii_lowercase()) || letters.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// Whether every run of letters consists of words: `user`, `User`, `HTML`, `HTMLElement`, `UserProfile`.
fn is_words(part: &str) -> bool {
    part.split(|character: char| character.is_ascii_digit()).filter(|run| !run.is_empty()).all(|run| {
        let mut rest = run.as_bytes();
        while !rest.is_empty() {
            let capitals = rest.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
            let small = rest[capitals..].iter().take_while(|byte| byte.is_ascii_lowercase()).count();
            let is_word = match (capitals, small) {
                (0, small) => small >= 3,
                (capitals, 0) => capitals >= 2,
                (_, small) => small >= 2,
            };
            if !is_word {
                return false;
            }
            rest = &rest[capitals + small..];
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(path: &str) -> (bool, bool) {
        let path = path.parse().unwrap();
        let conventions = Conventions::of([&path].into_iter());
        (has_shape(&path, &conventions), is_certain(&path, &conventions))
    }

    #[test]
    fn names_given_by_build_tools_are_immutable() {
        for path in [
            "assets/index-DiwRg9da.js",         // Vite
            "assets/index-B1x_-a9Z.css",        // Vite, base64url
            "assets/Light-D0YFPKAI.js",         // Vite, no small letters
            "assets/worker-C4hqP2xY.js",        // Vite
            "static/js/main.8f3a2b1c.chunk.js", // Create React AppState
            "static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
            "_next/static/chunks/webpack-59c5c889f52620d6.js",
            "_astro/hoisted.K3J5YQ2A.js",    // Astro, esbuild
            "docs/_nuxt/entry.1f2e3d4c.css", // below a base path
            "js/app.8f3a2b1c.js",            // hex anywhere
            "main.0123456789abcdef.bundle.js",
        ] {
            assert_eq!(verdict(path), (true, true), "{path}");
        }
    }

    #[test]
    fn a_hash_that_could_be_a_word_is_inherited_and_revalidated() {
        for path in
            ["assets/index-DiwrgTda.js", "assets/index-abcdefgh.js", "assets/a-settings.js", "assets/b-QWERTZUI.css"]
        {
            assert_eq!(verdict(path), (true, false), "{path}");
        }
    }

    #[test]
    fn words_are_not_fingerprints() {
        for path in [
            "index.html",
            "assets/logo.png",
            "assets/bootstrap5.js",
            "assets/base64encode.js",
            "assets/UserProfile.js",
            "assets/Overview.js",
            "assets/report-v2.pdf",
            "assets/20240131.js",
            "images/DiwRg9da.png", // not where build tools put hashes
            "js/app.js",
            "sw.js",
        ] {
            assert_eq!(verdict(path), (false, false), "{path}");
        }
        for path in [
            "assets/report-v2-final.pdf",
            "assets/report-v2-Final.pdf",
            "assets/year-2024-all.js",
            "assets/LICENSE-THIRDPARTY.txt",
        ] {
            assert!(!verdict(path).1, "{path}");
        }
    }

    /// All names that Vite gives are inherited, and all but a few are immutable.
    #[test]
    fn nearly_every_random_hash_is_recognized() {
        const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let path = |number: u32| -> SitePath {
            let digest = Digest::of(&number.to_le_bytes());
            let hash = digest.as_bytes()[..8].iter().map(|byte| char::from(BASE64URL[usize::from(byte % 64)]));
            format!("assets/index-{}.js", hash.collect::<String>()).parse().unwrap()
        };
        let paths: Vec<SitePath> = (0..10_000).map(path).collect();
        let conventions = Conventions::of(paths.iter());
        assert!(paths.iter().all(|path| has_shape(path, &conventions)));
        let immutable = paths.iter().filter(|path| is_certain(path, &conventions)).count();
        assert!(immutable > 9_900, "{immutable} of 10000");
    }

    #[test]
    fn hash_of_digits_only_among_hashed_names_is_inherited_and_revalidated() {
        for digits in ["js/c.69248941.js", "static/js/c.69248941.chunk.js", "assets/c-6924894164.js"] {
            assert_eq!(verdict(digits), (false, false), "{digits}: it may be a date");
            let sibling = |name: &str| format!("{}/{name}", digits.rsplit_once('/').unwrap().0);
            let paths = [digits.to_owned(), sibling("a.8f3a2b1c.js"), sibling("b.0d1e2f3a.js")];
            let paths = paths.map(|path| path.parse::<SitePath>().unwrap());
            let conventions = Conventions::of(paths.iter());
            assert_eq!(
                (has_shape(&paths[0], &conventions), is_certain(&paths[0], &conventions)),
                (true, false),
                "{digits}"
            );
        }
    }

    #[test]
    fn a_directory_with_few_hashes_makes_no_convention() {
        let paths = ["assets/a-DiwRg9da.js", "assets/b-DiwrgTda.js", "assets/logo.png", "assets/font.woff2"];
        let paths = paths.map(|path| path.parse::<SitePath>().unwrap());
        let conventions = Conventions::of(paths.iter());
        assert_eq!(paths.each_ref().map(|path| is_certain(path, &conventions)), [true, false, false, false]);
    }

    #[test]
    fn a_fingerprinted_path_with_other_bytes_than_before_is_revalidated() {
        let path: SitePath = "assets/a-0b1c2d3e.js".parse().unwrap();
        let conventions = Conventions::of([&path].into_iter());
        let decide = |media_type, first: Option<&[u8]>| {
            decide(&conventions, &path, media_type, Digest::of(b"new"), first.map(Digest::of))
        };
        assert_eq!(decide("text/javascript", None).lifetime, Lifetime::Immutable);
        assert_eq!(decide("text/javascript", Some(b"new")).lifetime, Lifetime::Immutable);
        let overruled = decide("text/javascript", Some(b"old"));
        assert_eq!(overruled.lifetime, Lifetime::Revalidate);
        assert!(overruled.warning.unwrap().starts_with("assets/a-0b1c2d3e.js looks fingerprinted"));
        assert_eq!(decide("text/html; charset=utf-8", None).lifetime, Lifetime::Revalidate);
    }
}
