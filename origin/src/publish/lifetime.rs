//! For how long a cache may keep a file: decided once, at commit, from its name and its history.

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
    pub(crate) notice: Option<String>,
}

/// Decides. `first` is what the path was first released with, if it was.
pub(crate) fn decide(path: &SitePath, media_type: &str, digest: Digest, first: Option<Digest>) -> Decision {
    if !may_be_immutable(path, media_type) {
        return Decision { lifetime: Lifetime::Revalidate, notice: None };
    }
    match first {
        Some(first) if first != digest => Decision {
            lifetime: Lifetime::Revalidate,
            notice: Some(format!(
                "{path} looks fingerprinted, but an earlier release had other bytes there: browsers will revalidate it"
            )),
        },
        _ => Decision { lifetime: Lifetime::Immutable, notice: None },
    }
}

/// Whether the name says that other bytes would have another name. Pages never do: their address is what people keep.
pub(crate) fn may_be_immutable(path: &SitePath, media_type: &str) -> bool {
    !media_type.starts_with("text/html") && is_fingerprinted(path)
}

fn is_fingerprinted(path: &SitePath) -> bool {
    has_hex_hash(path) || (in_hashed_folder(path) && has_hash(path.file_name()))
}

fn in_hashed_folder(path: &SitePath) -> bool {
    let path = path.as_str();
    HASHED_FOLDERS.iter().any(|folder| path.starts_with(folder) || path.contains(&format!("/{folder}")))
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

/// Whether a file name in a folder of hashed names carries a hash: `index-DiwrgTda.js`, `main.K3J5YQ2A.css`.
fn has_hash(name: &str) -> bool {
    let Some((stem, _extension)) = name.rsplit_once('.') else { return false };
    let alphanumeric = stem.split(|character: char| !character.is_ascii_alphanumeric());
    alphanumeric.filter(|part| part.len() >= HASH_MIN).any(is_noise) || ends_in_base64url(stem)
}

/// Whether letters and digits are mixed as no word mixes them: `bootstrap5`, `Overview` and `base64encode` are words.
fn is_noise(part: &str) -> bool {
    let inner_capital = part.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    let lowercase = part.bytes().any(|byte| byte.is_ascii_lowercase());
    let changes =
        part.as_bytes().windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count();
    (inner_capital && lowercase) || changes >= 3
}

/// Vite and Rollup end a name in `-` and 8 characters of base64url, which may be hyphens and underscores themselves. Without both
/// cases among them they could be words: better to revalidate a hash than to freeze a word.
fn ends_in_base64url(stem: &str) -> bool {
    let Some(hash) = stem.len().checked_sub(HASH_MIN).and_then(|at| stem.get(at..)) else { return false };
    let before = &stem[..stem.len() - HASH_MIN];
    before.ends_with(['-', '.'])
        && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && hash.bytes().any(|byte| byte.is_ascii_lowercase())
        && hash.bytes().skip(1).any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprinted(path: &str) -> bool {
        is_fingerprinted(&path.parse().unwrap())
    }

    #[test]
    fn names_that_build_tools_make_are_fingerprinted() {
        for path in [
            "assets/index-DiwrgTda.js",         // Vite
            "assets/index-B1x_-a9Z.css",        // Vite, base64url
            "assets/worker-C4hqP2xY.js",        // Vite
            "static/js/main.8f3a2b1c.chunk.js", // Create React App
            "static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
            "_next/static/chunks/webpack-59c5c889f52620d6.js",
            "_astro/hoisted.K3J5YQ2A.js",    // Astro, esbuild
            "docs/_nuxt/entry.1f2e3d4c.css", // below a base path
            "js/app.8f3a2b1c.js",            // hex anywhere
            "main.0123456789abcdef.bundle.js",
        ] {
            assert!(fingerprinted(path), "{path}");
        }
    }

    #[test]
    fn words_are_not_fingerprints() {
        for path in [
            "index.html",
            "assets/logo.png",
            "assets/bootstrap5.js",
            "assets/base64encode.js",
            "assets/component-settings.js",
            "assets/Overview.js",
            "assets/report-v2-final.pdf",
            "assets/year-2024-all.js",
            "assets/LICENSE-THIRDPARTY.txt",
            "assets/20240131.js",
            "images/DiwrgTda.png", // not where build tools put hashes
            "js/app.js",
            "sw.js",
        ] {
            assert!(!fingerprinted(path), "{path}");
        }
    }

    #[test]
    fn history_overrules_the_name() {
        let path: SitePath = "assets/a-0b1c2d3e.js".parse().unwrap();
        let decide =
            |media_type, first: Option<&[u8]>| decide(&path, media_type, Digest::of(b"new"), first.map(Digest::of));
        assert_eq!(decide("text/javascript", None).lifetime, Lifetime::Immutable);
        assert_eq!(decide("text/javascript", Some(b"new")).lifetime, Lifetime::Immutable);
        let overruled = decide("text/javascript", Some(b"old"));
        assert_eq!(overruled.lifetime, Lifetime::Revalidate);
        assert!(overruled.notice.unwrap().starts_with("assets/a-0b1c2d3e.js looks fingerprinted"));
        assert_eq!(decide("text/html; charset=utf-8", None).lifetime, Lifetime::Revalidate);
    }
}
