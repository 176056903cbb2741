//! For how long a cache may keep a file: decided once, at commit, from its name and its history.

use std::collections::HashMap;

use verge_protocol::{Digest, Lifetime, SitePath};

/// Folders whose files build tools name by their content.
const HASHED_FOLDERS: [&str; 8] =
    ["assets/", "static/js/", "static/css/", "static/media/", "_next/static/", "_astro/", "_app/immutable/", "_nuxt/"];

/// How short a part of a name can still be a hash.
const HASH_MIN: usize = 8;

/// What is decided, and what a person should know of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) lifetime: Lifetime,
    /// Whether later releases inherit it.
    pub(crate) fingerprinted: bool,
    pub(crate) notice: Option<String>,
}

/// The folders of one build in which most names are hashes beyond doubt: there, names of the same shape are believed too.
pub(crate) struct Conventions<'a>(HashMap<&'a str, (usize, usize)>);

impl<'a> Conventions<'a> {
    /// Looks at all paths of a build.
    pub(crate) fn of(paths: impl Iterator<Item = &'a SitePath>) -> Self {
        let mut folders: HashMap<&str, (usize, usize)> = HashMap::new();
        for path in paths {
            let (certain, all) = folders.entry(folder(path)).or_default();
            *certain += usize::from(is_noisy(path));
            *all += 1;
        }
        Self(folders)
    }

    fn hold_in(&self, folder: &str) -> bool {
        self.0.get(folder).is_some_and(|(certain, all)| certain * 2 > *all)
    }
}

fn folder(path: &SitePath) -> &str {
    path.as_str().rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Decides. `first` is what the path was first released with, if it was.
///
/// Two questions, asked with different care. A name of the *shape* that build tools give is inherited: wrongly so costs little,
/// and a chunk that is not breaks open tabs. Only a name that can hardly be anything but a hash is *immutable*: a browser that
/// was told so wrongly keeps the wrong bytes for a year. Pages are neither: their address is what people keep.
pub(crate) fn decide(
    conventions: &Conventions<'_>,
    path: &SitePath,
    media_type: &str,
    digest: Digest,
    first: Option<Digest>,
) -> Decision {
    if media_type.starts_with("text/html") || !has_shape(path) {
        return Decision { lifetime: Lifetime::Revalidate, fingerprinted: false, notice: None };
    }
    if !is_certain(path, conventions) {
        return Decision { lifetime: Lifetime::Revalidate, fingerprinted: true, notice: None };
    }
    match first {
        Some(first) if first != digest => Decision {
            lifetime: Lifetime::Revalidate,
            fingerprinted: false,
            notice: Some(format!(
                "{path} looks fingerprinted, but an earlier release had other bytes there: browsers will revalidate it"
            )),
        },
        _ => Decision { lifetime: Lifetime::Immutable, fingerprinted: true, notice: None },
    }
}

fn has_shape(path: &SitePath) -> bool {
    has_hex_hash(path)
        || (in_hashed_folder(path) && stem(path).is_some_and(|stem| suffix(stem).is_some() || has_hash(stem)))
}

fn is_certain(path: &SitePath, conventions: &Conventions<'_>) -> bool {
    let by_convention = || {
        let hash = stem(path).and_then(suffix);
        in_hashed_folder(path) && conventions.hold_in(folder(path)) && hash.is_some_and(|hash| !is_plain_word(hash))
    };
    is_noisy(path) || by_convention()
}

/// Whether the name alone says enough.
fn is_noisy(path: &SitePath) -> bool {
    has_hex_hash(path) || (in_hashed_folder(path) && stem(path).is_some_and(has_hash))
}

fn in_hashed_folder(path: &SitePath) -> bool {
    let path = path.as_str();
    HASHED_FOLDERS.iter().any(|folder| path.starts_with(folder) || path.contains(&format!("/{folder}")))
}

/// The name without its extension.
fn stem(path: &SitePath) -> Option<&str> {
    path.file_name().rsplit_once('.').map(|(stem, _)| stem)
}

/// Whether any part of the path is 8 or more hex digits, both letters and digits among them.
fn has_hex_hash(path: &SitePath) -> bool {
    path.as_str().split(|character: char| !character.is_ascii_alphanumeric()).any(|part| {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        part.len() >= HASH_MIN
            && part.bytes().all(hex)
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

/// Vite, Rollup and esbuild end a name in `-` or `.` and 8 characters of base64url, hyphens and underscores among them.
fn suffix(stem: &str) -> Option<&str> {
    let (before, hash) = stem.split_at_checked(stem.len().checked_sub(HASH_MIN)?)?;
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (before.ends_with(['-', '.']) && hash.bytes().all(base64url)).then_some(hash)
}

/// Whether a name in a folder of hashed names carries noise: `index-DiwRgTda`, `main.K3J5YQ2A.chunk`.
fn has_hash(stem: &str) -> bool {
    let mut long =
        stem.split(|character: char| !character.is_ascii_alphanumeric()).filter(|part| part.len() >= HASH_MIN);
    let mut in_suffix = suffix(stem).into_iter().flat_map(|hash| hash.split(['-', '_']));
    // Eight characters at the very end are half a proof already: there, a part need not look odd, only like no word.
    let odd_in_suffix = |part: &str| is_noise(part) || (part.len() >= 4 && !is_words(part));
    long.any(is_noise) || in_suffix.any(odd_in_suffix)
}

/// Whether letters and digits are mixed as no word mixes them. `bootstrap5`, `UserProfile` and `base64encode` are words; `v2` is
/// too short to tell.
fn is_noise(part: &str) -> bool {
    let kinds = part.as_bytes();
    let digit_inside = kinds.windows(3).any(|three| three[1].is_ascii_digit() && three[0].is_ascii_alphabetic())
        && kinds.iter().skip_while(|byte| !byte.is_ascii_digit()).any(u8::is_ascii_alphabetic);
    let case_inside = kinds.windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    (digit_inside || case_inside) && !is_words(part)
}

/// Whether it is letters of one case, capitalised or not, with digits only at the end.
fn is_plain_word(part: &str) -> bool {
    let letters = part.trim_end_matches(|character: char| character.is_ascii_digit());
    let rest = letters.get(1..).unwrap_or_default();
    letters.bytes().all(|byte| byte.is_ascii_alphabetic())
        && (rest.bytes().all(|byte| byte.is_ascii_lowercase()) || letters.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// Whether every run of letters is made of words: `user`, `User`, `HTML`, `HTMLElement`, `UserProfile`.
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
        (has_shape(&path), is_certain(&path, &Conventions::of([&path].into_iter())))
    }

    #[test]
    fn names_that_build_tools_make_are_immutable() {
        for path in [
            "assets/index-DiwRg9da.js",         // Vite
            "assets/index-B1x_-a9Z.css",        // Vite, base64url
            "assets/Light-D0YFPKAI.js",         // Vite, no small letters
            "assets/worker-C4hqP2xY.js",        // Vite
            "static/js/main.8f3a2b1c.chunk.js", // Create React App
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

    /// Of the names that Vite makes, all are inherited, and all but a few are immutable.
    #[test]
    fn hardly_any_hash_passes_for_a_word() {
        const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let path = |number: u32| -> SitePath {
            let digest = Digest::of(&number.to_le_bytes());
            let hash = digest.as_bytes()[..8].iter().map(|byte| char::from(BASE64URL[usize::from(byte % 64)]));
            format!("assets/index-{}.js", hash.collect::<String>()).parse().unwrap()
        };
        let paths: Vec<SitePath> = (0..10_000).map(path).collect();
        let conventions = Conventions::of(paths.iter());
        assert!(paths.iter().all(has_shape));
        let immutable = paths.iter().filter(|path| is_certain(path, &conventions)).count();
        assert!(immutable > 9_900, "{immutable} of 10000");
    }

    #[test]
    fn a_folder_of_words_lends_no_belief() {
        let paths = ["assets/a-DiwRg9da.js", "assets/b-DiwrgTda.js", "assets/logo.png", "assets/font.woff2"];
        let paths = paths.map(|path| path.parse::<SitePath>().unwrap());
        let conventions = Conventions::of(paths.iter());
        assert_eq!(paths.each_ref().map(|path| is_certain(path, &conventions)), [true, false, false, false]);
    }

    #[test]
    fn history_overrules_the_name() {
        let path: SitePath = "assets/a-0b1c2d3e.js".parse().unwrap();
        let conventions = Conventions::of([&path].into_iter());
        let decide = |media_type, first: Option<&[u8]>| {
            decide(&conventions, &path, media_type, Digest::of(b"new"), first.map(Digest::of))
        };
        assert_eq!(decide("text/javascript", None).lifetime, Lifetime::Immutable);
        assert_eq!(decide("text/javascript", Some(b"new")).lifetime, Lifetime::Immutable);
        let overruled = decide("text/javascript", Some(b"old"));
        assert_eq!(overruled.lifetime, Lifetime::Revalidate);
        assert!(overruled.notice.unwrap().starts_with("assets/a-0b1c2d3e.js looks fingerprinted"));
        assert_eq!(decide("text/html; charset=utf-8", None).lifetime, Lifetime::Revalidate);
    }
}
