//! Names that Turbopack, the bundler of Next.js, gives to scripts, styles and media: `turbopack-2u1d16houkiyo.js`, `icon.445q90genpj_s.svg`.
//!
//! Their hash is 13 characters of an alphabet with `-`, `_` and `~`, which cut it into words for all that a single name says. So the names of a
//! build are judged together.

use verge_protocol::SitePath;

/// Where Next.js names each file by its content. People put no files there.
const DIRECTORIES: [&str; 2] = ["_next/static/chunks/", "_next/static/media/"];

/// The length of a hash.
const HASH_LENGTH: usize = 13;

/// As few scripts are named so by chance together.
const SCRIPTS_MIN: usize = 3;

/// Whether a build is one of Turbopack: most scripts where it puts them are named as it does.
pub(super) fn is_turbopack_build<'a>(paths: impl Iterator<Item = &'a SitePath>) -> bool {
    let is_script = |path: &&SitePath| {
        is_in(path, &DIRECTORIES[..1])
            && path.file_name().rsplit_once('.').is_some_and(|(_, extension)| extension == "js")
    };
    let (named, others): (Vec<_>, Vec<_>) = paths.filter(is_script).partition(|path| is_named_by_turbopack(path));
    named.len() >= SCRIPTS_MIN && named.len() > others.len()
}

/// Whether the name ends with a hash as those of Turbopack.
pub(super) fn is_named_by_turbopack(path: &SitePath) -> bool {
    let stem = path.file_name().rsplit_once('.').map_or("", |(stem, _)| stem);
    let Some((name, hash)) = stem.len().checked_sub(HASH_LENGTH).and_then(|at| stem.split_at_checked(at)) else {
        return false;
    };
    let is_of_alphabet = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || b"-_~".contains(&byte);
    let is_noise = hash.bytes().any(|byte| byte.is_ascii_digit()) && hash.bytes().any(|byte| byte.is_ascii_lowercase());
    let is_after_separator = name.is_empty() || name.ends_with(['-', '.']);
    is_in(path, &DIRECTORIES) && is_after_separator && is_noise && hash.bytes().all(is_of_alphabet)
}

fn is_in(path: &SitePath, directories: &[&str]) -> bool {
    let directory = path.as_str().strip_suffix(path.file_name()).unwrap_or_default();
    directories
        .iter()
        .any(|known| directory.strip_suffix(known).is_some_and(|before| before.is_empty() || before.ends_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<SitePath> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn names_of_turbopack_are_recognized_where_it_puts_files() {
        let names = [
            "_next/static/chunks/08mika-44sn50.js",
            "docs/_next/static/chunks/3h8t6x8z_bvdn.css",
            "_next/static/chunks/turbopack-2u1d16houkiyo.js",
            "_next/static/media/icon.445q90genpj_s.svg",
        ];
        for path in paths(&names) {
            assert!(is_named_by_turbopack(&path), "{path}");
        }
        let others = [
            "_next/static/chunks/main-app.js",
            "_next/static/chunks/pages-browser.js",
            "_next/static/chunks/app/08mika-44sn50.js",
            "_next/static/ship-log/08mika-44sn50.js",
            "my_next/static/chunks/08mika-44sn50.js",
            "assets/08mika-44sn50.js",
            "_next/static/chunks/x08mika-44sn50.js",
            "_next/static/chunks/2024031212345.js",
            "_next/static/chunks/08mika-44sn50",
        ];
        for path in paths(&others) {
            assert!(!is_named_by_turbopack(&path), "{path}");
        }
    }

    #[test]
    fn build_is_one_of_turbopack_if_most_scripts_are_named_so() {
        let named =
            ["08mika-44sn50", "092r-mewpaf3q", "0cz1d0mv5g_q7"].map(|name| format!("_next/static/chunks/{name}.js"));
        let build = |more: &[&str]| {
            let all: Vec<&str> = named.iter().map(String::as_str).chain(more.iter().copied()).collect();
            is_turbopack_build(paths(&all).iter())
        };
        assert!(build(&[]) && build(&["_next/static/chunks/a.js", "_next/static/chunks/b.js", "c.js", "d.js"]));
        assert!(!build(&["_next/static/chunks/a.js", "_next/static/chunks/b.js", "_next/static/chunks/c.js"]));
        assert!(!is_turbopack_build(paths(&[&*named[0], &*named[1]]).iter()));
    }
}
