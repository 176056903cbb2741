//! Which files of a build were named by their content: the one judgement behind `immutable` and behind what later releases inherit.

use std::collections::HashMap;

use verge_protocol::SitePath;
use verge_protocol::name_hash::{Alphabet, NameHash, Noise, Position};

use super::turbopack;

/// Directories in which a build tool names every file, and into which people put none.
const OWN_DIRECTORIES: [&str; 6] =
    ["_next/static/", "_app/immutable/", "_astro/", "_nuxt/", "_expo/static/", "_build/assets/"];

/// Directories in which build tools put files named by their content, beside other files.
const SHARED_DIRECTORIES: [&str; 5] = ["assets/", "static/", "build/", "dist/", "_framework/"];

/// Data that a Nuxt app loads by the id of its build. Without it an open tab cannot navigate.
const BUILD_DATA: &str = "_nuxt/builds/meta/";

/// A hash of so many hex digits is a digest (SHA-1 or longer) wherever a script has it.
const DIGEST_LENGTH: usize = 40;

/// What the names in a build say about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Judgement {
    /// Later releases may inherit it.
    pub(super) inheritable: bool,
    /// Its name is beyond doubt that of its bytes. Implies `inheritable`.
    pub(super) immutable: bool,
    /// Its name may contain a hash: in another build it could be judged otherwise, so its bytes are remembered.
    pub(super) remembered: bool,
}

/// The form of a hash in the names of one directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form<'a> {
    directory: &'a str,
    position: Position,
    length: usize,
    alphabet: Alphabet,
}

/// The names of a build: a hash is the more certain if siblings have one of the same form.
pub(super) struct BuildOutput<'a> {
    /// How many scripts and styles in one directory have a hash of a form.
    siblings: HashMap<(Form<'a>, Noise), usize>,
    /// The same, with `js` and `css` in one directory taken for that directory: a tool writes both.
    families: HashMap<(Form<'a>, Noise), usize>,
    is_of_turbopack: bool,
}

/// What a file is for, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A script, style, font, WebAssembly module or source map: an open tab that misses one is broken.
    Code,
    /// An image, audio, video or 3D model.
    Media,
}

/// Where a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a directory of [`OWN_DIRECTORIES`].
    Own,
    /// In a directory of [`SHARED_DIRECTORIES`].
    Shared,
    Elsewhere,
}

impl<'a> BuildOutput<'a> {
    /// Reads the names of all files of a build.
    pub(super) fn of(paths: impl Iterator<Item = &'a SitePath> + Clone) -> Self {
        let is_of_turbopack = turbopack::is_turbopack_build(paths.clone());
        let (mut siblings, mut families) = (HashMap::new(), HashMap::new());
        for path in paths.filter(|path| is_code(path)) {
            if let Some(hash) = NameHash::find(path.file_name()) {
                let form = form(directory(path), &hash, hash.alphabet());
                *siblings.entry((form, hash.noise)).or_default() += 1;
                let form = Form { directory: family(form.directory), ..form };
                *families.entry((form, hash.noise)).or_default() += 1;
            }
        }
        Self { siblings, families, is_of_turbopack }
    }

    /// Judges one file of the build.
    ///
    /// A wrong `immutable` leaves browsers with wrong bytes for a year; a wrong `inheritable` can show what was removed on purpose; a missing
    /// `inheritable` breaks open tabs; a missing `immutable` costs a revalidation.
    pub(super) fn judge(&self, path: &SitePath, media_type: &str) -> Judgement {
        let Some(kind) = kind(path, media_type) else {
            return Judgement { inheritable: path.as_str().contains(BUILD_DATA), ..Judgement::default() };
        };
        if self.is_of_turbopack && turbopack::is_named_by_turbopack(path) {
            return Judgement { inheritable: true, immutable: true, remembered: true };
        }
        let place = place(path);
        let hash = NameHash::find(path.file_name());
        let (immutable, inheritable) = match (&hash, kind, place) {
            (None, _, Place::Own) => (false, true),
            (None, ..) | (_, Kind::Media, Place::Elsewhere) => return Judgement::default(),
            (Some(hash), Kind::Code, Place::Own) => (self.is_certain(path, hash), true),
            (Some(hash), Kind::Code, Place::Shared) => {
                (self.is_certain(path, hash), self.is_likely(path, hash) || self.has_relative(path, hash))
            }
            (Some(hash), Kind::Code, Place::Elsewhere) => {
                let is_digest = hash.len() >= DIGEST_LENGTH && hash.noise == Noise::Random;
                let is_certain = hash.noise > Noise::Plain && self.has_sibling(path, hash, Noise::Random);
                (is_digest || is_certain, self.has_relative(path, hash))
            }
            (Some(hash), Kind::Media, Place::Own) => (is_certain_picture(hash), true),
            (Some(hash), Kind::Media, Place::Shared) => {
                let is_certain = is_certain_picture(hash) && hash.position != Position::Whole;
                (is_certain, is_certain)
            }
        };
        Judgement { inheritable: inheritable || immutable, immutable, remembered: hash.is_some() }
    }

    fn is_certain(&self, path: &SitePath, hash: &NameHash<'_>) -> bool {
        match hash.noise {
            Noise::Random => true,
            Noise::Mixed => self.has_sibling(path, hash, Noise::Random),
            Noise::Plain => false,
        }
    }

    /// Whether another script or style in the directory has a hash, of at least this `noise`, of the form that this one may be.
    fn has_sibling(&self, path: &SitePath, hash: &NameHash<'_>, noise: Noise) -> bool {
        is_among(&self.siblings, directory(path), hash, noise, is_code(path))
    }

    /// Whether another script or style of the family has a hash that is no word, of the form that this one may be.
    fn has_relative(&self, path: &SitePath, hash: &NameHash<'_>) -> bool {
        is_among(&self.families, family(directory(path)), hash, Noise::Mixed, is_code(path))
    }

    /// Whether a script in a directory where build tools put scripts is likely one of them. Of random texts of 8 characters many look like
    /// words, so those count too; numbers only beside hex digits of the same form, since files are more often numbered.
    fn is_likely(&self, path: &SitePath, hash: &NameHash<'_>) -> bool {
        let is_named = hash.position != Position::Whole;
        match hash.noise {
            Noise::Random => true,
            Noise::Mixed => is_named,
            Noise::Plain if hash.alphabet() == Alphabet::Digits => {
                let hex = form(family(directory(path)), hash, Alphabet::Hex);
                is_named && hash.len() == 8 && self.families.contains_key(&(hex, Noise::Plain))
            }
            Noise::Plain => is_named && hash.len() == 8,
        }
    }
}

/// Whether `forms` of scripts and styles have a hash, of at least this `noise`, of the form that this one may be, and that is not this one,
/// which is among them if it `is_counted`.
fn is_among(
    forms: &HashMap<(Form<'_>, Noise), usize>,
    directory: &str,
    hash: &NameHash<'_>,
    noise: Noise,
    is_counted: bool,
) -> bool {
    let alphabets = [Alphabet::Hex, Alphabet::Lower, Alphabet::Upper, Alphabet::Base64Url];
    let fitting = alphabets.into_iter().filter(|alphabet| hash.fits(*alphabet));
    let counts = fitting.flat_map(|alphabet| {
        let form = form(directory, hash, alphabet);
        let noises = [Noise::Mixed, Noise::Random].into_iter().filter(|each| *each >= noise);
        noises.filter_map(move |each| forms.get(&(form, each)))
    });
    counts.sum::<usize>() > usize::from(is_counted && hash.noise >= noise)
}

fn form<'a>(directory: &'a str, hash: &NameHash<'_>, alphabet: Alphabet) -> Form<'a> {
    Form { directory, position: hash.position, length: hash.len(), alphabet }
}

fn directory(path: &SitePath) -> &str {
    path.as_str().rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The directory in which a build tool has put this one, if it is one of those that it makes for scripts and for styles.
fn family(directory: &str) -> &str {
    let (parent, name) = directory.rsplit_once('/').unwrap_or(("", directory));
    if matches!(name, "js" | "css") { parent } else { directory }
}

/// People name pictures more freely than scripts, so only the forms that build tools use count.
fn is_certain_picture(hash: &NameHash<'_>) -> bool {
    hash.noise == Noise::Random && (hash.len() == 8 || hash.alphabet() == Alphabet::Hex)
}

fn extension(path: &SitePath) -> &str {
    path.file_name().rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn is_code(path: &SitePath) -> bool {
    const CODE: [&str; 11] = ["cjs", "css", "eot", "js", "map", "mjs", "otf", "ttf", "wasm", "woff", "woff2"];
    let extension = extension(path);
    CODE.iter().any(|code| code.eq_ignore_ascii_case(extension))
}

fn kind(path: &SitePath, media_type: &str) -> Option<Kind> {
    let is_media = || ["image/", "audio/", "video/", "model/"].iter().any(|media| media_type.starts_with(media));
    if is_code(path) {
        Some(Kind::Code)
    } else if is_media() {
        Some(Kind::Media)
    } else {
        None
    }
}

fn place(path: &SitePath) -> Place {
    let path = path.as_str();
    let is_in =
        |directory: &&str| path.match_indices(*directory).any(|(at, _)| at == 0 || path.as_bytes()[at - 1] == b'/');
    if OWN_DIRECTORIES.iter().any(is_in) {
        Place::Own
    } else if SHARED_DIRECTORIES.iter().any(is_in) {
        Place::Shared
    } else {
        Place::Elsewhere
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::Digest;

    use super::*;
    use crate::publish::media_type;

    /// `immutable`, `inherited` or `-` for each path of one build.
    fn judged(paths: &[&str]) -> Vec<(String, &'static str)> {
        let paths: Vec<SitePath> = paths.iter().map(|path| path.parse().unwrap()).collect();
        let output = BuildOutput::of(paths.iter());
        let text = |path: &SitePath| match output.judge(path, &media_type::by_name(path).unwrap_or_default()) {
            Judgement { immutable: true, .. } => "immutable",
            Judgement { inheritable: true, .. } => "inherited",
            Judgement { .. } => "-",
        };
        paths.iter().map(|path| (path.to_string(), text(path))).collect()
    }

    #[track_caller]
    fn assert_judged(expected: &str, paths: &[&str]) {
        for (path, judgement) in judged(paths) {
            assert_eq!(judgement, expected, "{path}");
        }
    }

    /// Each list is one build.
    #[test]
    fn names_given_by_build_tools_are_immutable() {
        for build in [
            // Vite, VitePress, React Router.
            &[
                "assets/index-DiwRg9da.js",
                "assets/index-B1x_-a9Z.css",
                "assets/worker-C4hqP2xY.js",
                "assets/logo-CnwAZl3Q.svg",
            ][..],
            &["assets/index-DiwRg9da.js"],
            &["assets/Light-D0YFPKAI.js", "assets/Night-C4hqP2xY.js"],
            &["assets/index-legacy-C4hqP2xY.js", "assets/inter-roman-latin.Di8DUHzh.woff2"],
            &["assets/app.CnwAZl3Q.js", "assets/chunks/theme.BzQ2f3Xy.js", "assets/guide_what-is.md.BzQ2f3Xy.lean.js"],
            // Vite 2 and 3.
            &["assets/index.1f2e3d4c.css", "docs/assets/index.1f2e3d4c.js"],
            // Create React App, Rsbuild, Docusaurus, Gatsby.
            &[
                "static/js/main.8f3a2b1c.js",
                "static/js/787.a5b4c3d2.chunk.js",
                "static/js/787.a5b4c3d2.chunk.js.map",
                "static/css/main.073c9b0a.css",
                "static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
            ],
            &[
                "static/js/async/123.8f3a2b1c.js",
                "static/image/logo.8f3a2b1c.png",
                "static/wasm/1f2e3d4c5b6a7988.module.wasm",
            ],
            &[
                "assets/js/main.8f3a2b1c.js",
                "assets/js/935f2afb.8f3a2b1c.js",
                "assets/images/a-25dcfaf1f9b1c2d3e4f50617a8b9c0d1.png",
            ],
            &["app-8f3a2b1c0d9e4f567890.js", "component---src-pages-index-js-1f2e3d4c5b6a79880a1b.js"],
            // Next.js, with webpack and with Turbopack.
            &[
                "_next/static/chunks/webpack-59c5c889f52620d6.js",
                "_next/static/chunks/pages/blog/[slug]-59c5c889f52620d6.js",
                "_next/static/chunks/4bd1b696-409494caf8c83275.js",
                "_next/static/css/3f2b1a0c9d8e7f65.css",
                "_next/static/media/c9a5bc6a7c948fb0-s.p.woff2",
                "_next/static/media/logo.8f3a2b1c.svg",
                "_next/static/chunks/node_modules_next_dist_1a2b3c4d._.js",
            ],
            &[
                "_next/static/chunks/08mika-44sn50.js",
                "_next/static/chunks/0cz1d0mv5g_q7.js",
                "_next/static/chunks/turbopack-2u1d16houkiyo.js",
                "_next/static/chunks/3h8t6x8z_bvdn.css",
                "_next/static/media/icon.445q90genpj_s.svg",
            ],
            // Nuxt, Astro, SvelteKit.
            &["_nuxt/CnwAZl3Q.js", "_nuxt/entry.CnwAZl3Q.css", "docs/_nuxt/entry.1f2e3d4c.css"],
            &["_astro/hoisted.K3J5YQ2A.js", "_astro/index.B1x_-a9Z.css", "_astro/photo.DzVbg5oN_1KVQ2z.webp"],
            &[
                "_app/immutable/chunks/CnwAZl3Q.js",
                "_app/immutable/entry/start.C4hqP2xY.js",
                "_app/immutable/nodes/0.DiwRg9da.js",
            ],
            // Angular, esbuild, Bun: at the root.
            &["main-K3J5YQ2A.js", "chunk-5X3RD2Y7.js", "styles-5IN2TS6O.css", "polyfills-F3H6D2TL.js"],
            &["main.8f3a2b1c0d9e4f56.js", "runtime.1f2e3d4c5b6a7988.js", "styles.59c5c889f52620d6.css"],
            &["index-w9vbh6ck.js", "chunk-a1t7x3ze.js"],
            // Parcel, Umi, Storybook, Stencil, Trunk.
            &["index.3f2a1b9c.js", "index.8f1e0d2c.css", "index.3f2a1b9c.js.map"],
            &["umi.8f3a2b1c.js", "p__index.1f2e3d4c.async.js"],
            &["main.8f3a2b1c.iframe.bundle.js", "123.1f2e3d4c.iframe.bundle.js"],
            &["build/p-8f3a2b1c.entry.js", "build/p-1f2e3d4c.js"],
            &["app-8f3a2b1c0d9e4f56.js", "app-8f3a2b1c0d9e4f56_bg.wasm"],
            // Vue CLI, Webpacker, Django.
            &["js/app.8f3a2b1c.js", "js/chunk-vendors.1a2b3c4d.js"],
            &["packs/js/application-8f3a2b1c0d9e4f567890.js", "packs/js/1-1f2e3d4c5b6a79880a1b.chunk.js"],
            &["static/css/base.8f3a2b1c0d9e.css"],
            // Qwik, Remix, Blazor, Expo.
            &["build/q-DiwRg9da.js", "build/8f3a2b1c-style.css", "assets/Bz3vU1cV-style.css"],
            &["build/_shared/chunk-K3J5YQ2A.js", "build/entry.client-5X3RD2Y7.js"],
            &["_framework/dotnet.native.5z3ha9wsy8.wasm", "_framework/dotnet.runtime.n4a9v4o1xb.js"],
            &["_expo/static/js/web/index-6ce24c58023cc2f8fd88fe9d219db6c6.js"],
            // Hugo: one file in a directory, but a whole SHA-256.
            &["css/main.min.1ff8b1cc3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7.css"],
        ] {
            assert_judged("immutable", build);
        }
    }

    #[test]
    fn hash_that_could_be_a_word_is_inherited_and_revalidated() {
        assert_judged(
            "inherited",
            &["assets/index-DiwrgTda.js", "assets/index-abcdefgh.js", "assets/a-settings.js", "assets/b-QWERTZUI.css"],
        );
        // What a build tool's own directory contains, its names of builds included.
        assert_judged(
            "inherited",
            &[
                "_next/static/6IdLO6aTsNNii8PXpVk8p/_buildManifest.js",
                "_next/static/build-42/_ssgManifest.js",
                "_next/static/chunks/0q3~x_ab.c12d.js",
                "_nuxt/abcdefgh.js",
                "_nuxt/builds/meta/550e8400-e29b-41d4-a716-446655440000.json",
                "_app/immutable/chunks/DiwrgTda.js",
            ],
        );
    }

    #[test]
    fn hash_of_digits_only_among_hashed_names_is_inherited_and_revalidated() {
        for (digits, siblings) in [
            ("js/c.69248941.js", ["js/a.1234ab56.js", "js/b.html"]),
            ("js/c.69248941.js", ["js/a.8f3a2b1c.js", "js/b.0d1e2f3a.js"]),
            ("static/js/c.69248941.chunk.js", ["static/js/a.8f3a2b1c.js", "static/js/b.0d1e2f3a.js"]),
            ("index.69248941.js", ["index.8f3a2b1c.css", "b.0d1e2f3a.js"]),
            ("main-EEEQSCGQ.js", ["chunk-K3J5YQ2A.js", "styles-5XMRD2YL.css"]),
        ] {
            assert_judged("-", if digits.starts_with("main") { &[] } else { std::slice::from_ref(&digits) });
            assert_eq!(judged(&[digits, siblings[0], siblings[1]])[0].1, "inherited", "{digits}");
        }
        // Scripts and styles are in directories of their own.
        let css = ["static/css/main.8f3a2b1c.css", "static/js/main.69248941.js.map"];
        assert_eq!(judged(&["static/js/main.69248941.js", css[0], css[1]])[0].1, "inherited");
        assert_eq!(judged(&["js/app.69248941.js", "css/app.8f3a2b1c.css"])[0].1, "inherited");
        assert_eq!(judged(&["js/app.69248941.js", "fonts/a.8f3a2b1c.woff2"])[0].1, "-");
        assert_eq!(judged(&["js/app.123abc45.js", "css/app.8f3a2b1c.css"])[0].1, "inherited", "and not immutable");
        // Hex digits that look like a word are enough where build tools put scripts, and nowhere else.
        assert_eq!(judged(&["static/js/a.69248941.js", "static/js/b.8655dec0.js"])[0].1, "inherited");
        assert_eq!(judged(&["static/js/a.69248941.js", "static/js/b-8655dec0.js"])[0].1, "-", "another position");
        assert_eq!(judged(&["static/js/a.69248941.js", "static/js/b.settings.js"])[0].1, "-");
        assert_eq!(judged(&["vendor/a.69248941.js", "vendor/b.8655dec0.js"])[0].1, "-");
        assert_eq!(judged(&["assets/a.69248941.png", "assets/b.8655dec0.js"])[0].1, "-");
        // A date is none, whatever its siblings are.
        assert_eq!(judged(&["js/c.20250312.js", "js/a.8f3a2b1c.js", "js/b.0d1e2f3a.js"])[0].1, "-");
    }

    #[test]
    fn a_hash_that_is_not_certain_is_immutable_beside_certain_ones_of_its_form() {
        let alone = judged(&["static/js/a.123abc45.js"]);
        let beside = judged(&["static/js/a.1234ab56.js", "static/js/b.8f3a2b1c.js"]);
        let other_form = judged(&["static/js/a.1234ab56.js", "static/js/b-8f3a2b1c.js", "static/js/c.8f3a2b1c0d.js"]);
        assert_eq!((alone[0].1, beside[0].1, other_form[0].1), ("inherited", "immutable", "inherited"));
    }

    #[test]
    fn names_of_things_words_dates_and_versions_are_not_fingerprints() {
        assert_judged(
            "-",
            &[
                "index.html",
                "sw.js",
                "js/app.js",
                "data/550e8400-e29b-41d4-a716-446655440000.json",
                "assets/550e8400-e29b-41d4-a716-446655440000.js",
                "assets/photo-550e8400-e29b-41d4-a716-446655440000.png",
                "docs/minutes-12feb2025.pdf",
                "docs/menu-01dec2024.pdf",
                "assets/menu-01dec2024.js",
                "assets/shot-20240131T101500Z.png",
                "assets/photo-20250312b.jpg",
                "img/face2face.jpg",
                "assets/face2face.js",
                "8f14e45fceea167a5a36dedd4bea2543/data.json",
                "8f14e45fceea167a5a36dedd4bea2543/app.js",
                "assets/8f14e45fceea167a5a36dedd4bea2543/app.js",
                "assets/logo.png",
                "assets/bootstrap5.js",
                "assets/base64encode.js",
                "assets/UserProfile.js",
                "assets/20240131.js",
                "assets/jquery-3.7.1.min.js",
                "assets/open-sans-v34-latin.woff2",
                // Not where build tools put them.
                "images/DiwRg9da.png",
                "uploads/photo-8f3a2b1c.jpg",
                "js/app.8f3a2b1c.js",
                "vendor/lib-DiwRg9da.js",
                // Not of a kind that tabs load.
                "assets/report-DiwRg9da.pdf",
                "assets/data-8f3a2b1c.json",
                "assets/page-8f3a2b1c.html",
                "assets/main.8f3a2b1c.js.LICENSE.txt",
            ],
        );
    }

    #[test]
    fn picture_without_a_certain_hash_is_not_inherited() {
        assert_judged(
            "-",
            &[
                "assets/photo-portrait.jpg",
                "assets/photo-DiwrgTda.jpg",
                "assets/hero-iPhone15.png",
                "assets/team-Q3FY2024.png",
                "assets/hero-1920x1080.jpg",
                "assets/8f3a2b1c.png",
                "static/media/face2face.jpg",
                "assets/01ARZ3NDEKTSV4RRFFQ69G5FAV.mp4",
                "assets/x-550e8400e29b41d4a716446655440000.jpg",
                "assets/x-507f1f77bcf86cd799439011.jpg",
                "logo.3f2a1b9c.png",
            ],
        );
    }

    /// All random names of scripts are inherited, and most are immutable.
    #[test]
    fn every_random_hash_is_inherited_and_most_are_immutable() {
        const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let hash = |number: u32, alphabet: &[u8]| {
            let digest = Digest::of(&number.to_le_bytes());
            let letters =
                digest.as_bytes()[..8].iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()]));
            letters.collect::<String>()
        };
        for (prefix, alphabet, immutable_of_1000) in [
            ("assets/index-", &BASE64URL[..], 880),
            ("static/js/main.", b"0123456789abcdef", 880),
            ("main-", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 300),
        ] {
            let path = |number: u32| format!("{prefix}{}.js", hash(number, alphabet)).parse().unwrap();
            let paths: Vec<SitePath> = (0..10_000).map(path).collect();
            let output = BuildOutput::of(paths.iter());
            let judged: Vec<Judgement> = paths.iter().map(|path| output.judge(path, "text/javascript")).collect();
            let lost: Vec<&SitePath> =
                paths.iter().zip(&judged).filter(|(_, judged)| !judged.inheritable).map(|(path, _)| path).collect();
            let immutable = judged.iter().filter(|judged| judged.immutable).count();
            assert!(lost.is_empty(), "{prefix}: {lost:?}");
            assert!(immutable >= immutable_of_1000 * 10, "{prefix}: {immutable} of 10000");
        }
    }
}
