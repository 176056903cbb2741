//! The content hash that a file's own name may contain, and how certain it is that it is one.
//!
//! Build tools put a hash at the end of the name (`index-DiwRg9da.js`, `main.8f3a2b1c.chunk.js`), some at its start
//! (`8f3a2b1c-style.css`), and some name the file by nothing else (`_nuxt/DiwRg9da.js`). Only the last segment of the path counts:
//! the name of a directory says nothing about the bytes of a file.

/// The least number of characters of a hash.
const HASH_MIN: usize = 8;

/// Suffixes that build tools put between the hash and the extension.
const INNER_EXTENSIONS: [&str; 17] = [
    "_", "async", "bundle", "chunk", "css", "entry", "es5", "esm", "iframe", "js", "lean", "legacy", "min", "mjs",
    "module", "system", "worker",
];

/// The years that dates in names are of.
const YEARS: std::ops::Range<u32> = 1990..2040;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// How much a text looks like a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Noise {
    /// It could be a word, a camel-case name or a number: `abcdefgh`, `DiwrgTda`, `69248941`. Random text can look so.
    Plain,
    /// Letters and digits, or cases, are mixed as in few names: `123abc45`. A model number can look so.
    Mixed,
    /// They alternate as in no word, version, date or identifier: `DiwRg9da`, `8f3a2b1c`.
    Random,
}

/// Where the hash is in the name, without extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    /// At its end, after this separator.
    After(u8),
    /// At its start.
    Start,
    /// It is all of the name.
    Whole,
}

/// The smallest set of characters that contains a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alphabet {
    /// 0-9.
    Digits,
    /// 0-9, a-f.
    Hex,
    /// 0-9, a-z.
    Lower,
    /// 0-9, A-Z.
    Upper,
    /// 0-9, a-z, A-Z, `-` and `_`.
    Base64Url,
}

/// What may be a content hash in a file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameHash<'a> {
    text: &'a str,
    /// Where it is.
    pub position: Position,
    /// How certain it is.
    pub noise: Noise,
}

impl<'a> NameHash<'a> {
    /// Finds the hash in `file_name`. `None`: it has none of at least 8 characters where a build tool would put it, or the name ends
    /// in a UUID or a date.
    pub fn find(file_name: &'a str) -> Option<Self> {
        let stem = stem(file_name);
        if ends_with_uuid(stem) {
            return None;
        }
        let last = at_end(stem);
        // A variant may follow the hash: `app-8f3a2b1c0d9e4f56_bg.wasm`, `photo.DzVbg5oN_1KVQ2z.webp`.
        let before_variant = stem.rsplit_once('_').and_then(|(before, _)| at_end(before));
        let certain = |found: &Self| found.noise == Noise::Random && found.position != Position::Whole;
        let others = [inside_separators(stem), before_variant.filter(certain), at_start(stem).filter(certain)];
        // Of equally likely ones the first: the end of a name is where most tools put the hash.
        others.into_iter().fold(last, |best, other| match (best, other) {
            (Some(best), Some(other)) if other.noise > best.noise => Some(other),
            (best, other) => best.or(other),
        })
    }

    fn new(text: &'a str, position: Position) -> Option<Self> {
        Some(Self { text, position, noise: noise(text)? })
    }

    /// The number of characters, at least 8.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Its alphabet.
    pub fn alphabet(&self) -> Alphabet {
        let all = |is: fn(&u8) -> bool| self.text.bytes().all(|byte| is(&byte));
        match () {
            () if all(u8::is_ascii_digit) => Alphabet::Digits,
            () if all(|byte| is_hex(*byte)) => Alphabet::Hex,
            () if all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase()) => Alphabet::Lower,
            () if all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) => Alphabet::Upper,
            () => Alphabet::Base64Url,
        }
    }

    /// Whether a hash in `alphabet` could look like this one.
    pub fn fits(&self, alphabet: Alphabet) -> bool {
        let own = self.alphabet();
        own == alphabet
            || own == Alphabet::Digits
            || alphabet == Alphabet::Base64Url
            || (own == Alphabet::Hex && alphabet == Alphabet::Lower)
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// The name without its extensions.
fn stem(file_name: &str) -> &str {
    let mut stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    while let Some((before, extension)) = stem.rsplit_once('.')
        && INNER_EXTENSIONS.contains(&extension)
    {
        stem = before;
    }
    stem
}

/// The last part of the name, if it is long enough.
fn at_end(stem: &str) -> Option<NameHash<'_>> {
    let (position, text) = match stem.rfind(['.', '-', '_']) {
        Some(at) => (Position::After(stem.as_bytes()[at]), &stem[at + 1..]),
        None => (Position::Whole, stem),
    };
    NameHash::new(text, position)
}

/// The hashes of Vite and Rollup are 8 characters of base64url, hyphens and underscores among them.
fn inside_separators(stem: &str) -> Option<NameHash<'_>> {
    let (before, text) = stem.split_at_checked(stem.len().checked_sub(HASH_MIN)?)?;
    let separator = *before.as_bytes().last().filter(|byte| matches!(byte, b'.' | b'-'))?;
    NameHash::new(text, Position::After(separator)).filter(|_| text.contains(['-', '_']))
}

fn at_start(stem: &str) -> Option<NameHash<'_>> {
    let first = stem.split_once('-').map(|(first, _)| first);
    let eight = stem.split_at_checked(HASH_MIN).filter(|(_, rest)| rest.starts_with('-')).map(|(eight, _)| eight);
    [first, eight].into_iter().flatten().find_map(|text| NameHash::new(text, Position::Start))
}

/// How much `text` looks like a hash; `None`: it cannot be one, or it is a date.
fn noise(text: &str) -> Option<Noise> {
    let is_base64url = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if text.len() < HASH_MIN || !is_base64url || is_date(text) {
        return None;
    }
    let mut parts = text.split(['-', '_']).filter(|part| !part.is_empty());
    let alternations: usize = parts.clone().map(|part| pieces(part).count()).sum();
    let is_hex = text.bytes().all(is_hex);
    let needed = if is_hex { text.len().div_ceil(2).min(6) } else { text.len().div_ceil(2) };
    let is_plain = parts.all(|part| is_plain_word(part) || is_words(part));
    Some(if is_plain {
        Noise::Plain
    } else if alternations >= needed && !is_version(text) && !is_identifier(text) {
        Noise::Random
    } else if text.contains(['-', '_']) {
        Noise::Plain
    } else {
        Noise::Mixed
    })
}

/// The runs of digits, of capitals, and of small letters with the capital before them: `12`, `feb`, `2025`; `Diw`, `Rg`, `9`, `da`.
fn pieces(part: &str) -> impl Iterator<Item = &str> {
    let mut rest = part;
    std::iter::from_fn(move || {
        let bytes = rest.as_bytes();
        let run = |from: usize, is: fn(&u8) -> bool| bytes[from..].iter().take_while(|byte| is(byte)).count();
        let length = match bytes.first()? {
            byte if byte.is_ascii_digit() => run(0, u8::is_ascii_digit),
            byte if byte.is_ascii_lowercase() => run(0, u8::is_ascii_lowercase),
            _ => match (run(0, u8::is_ascii_uppercase), run(run(0, u8::is_ascii_uppercase), u8::is_ascii_lowercase)) {
                (1, small) => 1 + small,
                (capitals, 0) => capitals,
                // The last capital belongs to the small letters.
                (capitals, _) => capitals - 1,
            },
        };
        let (piece, after) = rest.split_at(length);
        rest = after;
        Some(piece)
    })
}

/// Whether the part is letters of one case, or capitalized, with digits only at the end.
fn is_plain_word(part: &str) -> bool {
    let letters = part.trim_end_matches(|character: char| character.is_ascii_digit());
    let rest = letters.get(1..).unwrap_or_default();
    letters.bytes().all(|byte| byte.is_ascii_alphabetic())
        && (rest.bytes().all(|byte| byte.is_ascii_lowercase()) || letters.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// Whether every run of letters consists of words: `user`, `User`, `HTML`, `HTMLElement`, `UserProfile`, `face2face`.
fn is_words(part: &str) -> bool {
    let letters = |piece: &&str| !piece.starts_with(|first: char| first.is_ascii_digit());
    pieces(part).filter(letters).all(|piece| match piece.as_bytes() {
        [first, rest @ ..] if first.is_ascii_lowercase() => rest.len() >= 2,
        [_, rest @ ..] if rest.first().is_some_and(u8::is_ascii_lowercase) => rest.len() >= 2,
        capitals => capitals.len() >= 2,
    })
}

/// Whether the text is a version or a model of a year: `v2beta3rc1`, `Q3FY2024`.
fn is_version(text: &str) -> bool {
    let is_year = |piece: &str| piece.len() == 4 && (piece.starts_with("19") || piece.starts_with("20"));
    let has_year = text.split(['-', '_']).flat_map(pieces).any(is_year);
    has_year || matches!(text.as_bytes(), [b'v', digit, ..] if digit.is_ascii_digit())
}

/// Whether the text may be an identifier that names a thing: 24 hex digits as databases give them, or a
/// UUID of version 4 or 7 without hyphens (RFC 9562 §4). One hash in 32 of that length looks so too.
fn is_identifier(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 24 || (bytes.len() == 32 && matches!(bytes[12], b'4' | b'7') && matches!(bytes[16], b'8'..=b'b'))
}

/// Whether the name ends with a UUID (RFC 9562 §4): it names a thing, and not its bytes.
fn ends_with_uuid(stem: &str) -> bool {
    let Some((before, uuid)) = stem.len().checked_sub(36).and_then(|at| stem.split_at_checked(at)) else {
        return false;
    };
    let lengths = uuid.split('-').map(str::len);
    !before.ends_with(|last: char| last.is_ascii_alphanumeric())
        && lengths.eq([8, 4, 4, 4, 12])
        && uuid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// Whether the text is a date, with letters after it or not: `12feb2025`, `1dec24`, `2024dec01`, `March2025`, `20250312`, `20250312b`,
/// `20250312T101500Z`.
fn is_date(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (before, rest) = text.split_at(digits);
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (month, after) = rest.split_at(letters);
    let month = month.to_ascii_lowercase();
    let is_month = month.len() >= 3 && MONTHS.iter().any(|name| name.starts_with(&*month));
    let is_day =
        |part: &str| part.is_empty() || (part.len() <= 2 && part.parse().is_ok_and(|day| (1..=31).contains(&day)));
    let is_year = |part: &str| match part.len() {
        2 => part.bytes().all(|byte| byte.is_ascii_digit()),
        _ => part.parse().is_ok_and(|year| YEARS.contains(&year)),
    };
    let is_named_date = is_month && ((is_day(before) && is_year(after)) || (is_year(before) && is_day(after)));
    is_named_date || is_numeric_date(before)
}

/// Whether the digits are a date, or begin with one that begins with the year.
fn is_numeric_date(digits: &str) -> bool {
    let number = |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    let is_date = |year, month, day| YEARS.contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let year_first = is_date(number(0, 4), number(4, 6), number(6, 8));
    let year_last = digits.len() == 8
        && (is_date(number(4, 8), number(2, 4), number(0, 2)) || is_date(number(4, 8), number(0, 2), number(2, 4)));
    year_first || year_last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(name: &str) -> Option<(&str, Noise)> {
        NameHash::find(name).map(|hash| (hash.text, hash.noise))
    }

    #[test]
    fn hash_is_found_where_build_tools_put_it() {
        for (name, hash) in [
            ("index-DiwRg9da.js", "DiwRg9da"),
            ("index-B1x_-a9Z.css", "B1x_-a9Z"),
            ("main.8f3a2b1c.chunk.js", "8f3a2b1c"),
            ("main.8f3a2b1c.chunk.js.map", "8f3a2b1c"),
            ("index.md.CnwAZl3Q.lean.js", "CnwAZl3Q"),
            ("main.8f3a2b1c.iframe.bundle.js", "8f3a2b1c"),
            ("node_modules_next_dist_1a2b3c4d._.js", "1a2b3c4d"),
            ("app-8f3a2b1c0d9e4f56_bg.wasm", "8f3a2b1c0d9e4f56"),
            ("photo.DzVbg5oN_1KVQ2z.webp", "DzVbg5oN"),
            ("8f3a2b1c-style.css", "8f3a2b1c"),
            ("B1x_-a9Z-style.css", "B1x_-a9Z"),
            ("c9a5bc6a7c948fb0-s.p.woff2", "c9a5bc6a7c948fb0"),
            ("CnwAZl3Q.js", "CnwAZl3Q"),
            ("logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg", "6ce24c58023cc2f8fd88fe9d219db6c6"),
        ] {
            assert_eq!(found(name), Some((hash, Noise::Random)), "{name}");
        }
    }

    #[test]
    fn text_that_may_be_a_word_or_a_model_is_not_random() {
        for (name, noise) in [
            ("index-DiwrgTda.js", Noise::Plain),
            ("index-abcdefgh.js", Noise::Plain),
            ("a-TeamLogo.png", Noise::Plain),
            ("c.69248941.js", Noise::Plain),
            ("to-face2face.jpg", Noise::Plain),
            ("main-5QMRDAYL.js", Noise::Plain),
            ("report-v2-final.js", Noise::Plain),
            ("year-2024-all.js", Noise::Plain),
            ("a-deadbeef.js", Noise::Plain),
            ("main.8655dec0.js", Noise::Plain),
            ("team-Q3FY2024.png", Noise::Mixed),
            ("a-v2beta3rc1.js", Noise::Mixed),
            ("hero-iPhone15.png", Noise::Mixed),
            ("a-mp3player.js", Noise::Mixed),
            ("a-1920x1080.jpg", Noise::Mixed),
            ("x-507f1f77bcf86cd799439011.jpg", Noise::Mixed),
            ("x-550e8400e29b41d4a716446655440000.jpg", Noise::Mixed),
        ] {
            assert_eq!(found(name).map(|(_, noise)| noise), Some(noise), "{name}");
        }
    }

    #[test]
    fn uuids_dates_and_short_parts_are_no_hashes() {
        for name in [
            "550e8400-e29b-41d4-a716-446655440000.json",
            "photo_550E8400-E29B-41D4-A716-446655440000.jpg",
            "minutes-12feb2025.pdf",
            "menu-01dec2024.pdf",
            "menu-1dec2024.pdf",
            "a-2024dec01.js",
            "agenda-March2025.pdf",
            "a-september2025.js",
            "c-20250312.js",
            "c-12032025.js",
            "c-20250312b.png",
            "shot-20240131T101500Z.png",
            "index.html",
            "app.js",
            "bootstrap-5.3.2.min.js",
            "a-ünïcödé1.js",
            "",
        ] {
            assert_eq!(found(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_names_do_not_panic(name in "\\PC{0,40}", ascii in "[-._a-cA-C0-2]{0,40}") {
            let _ = (NameHash::find(&name), NameHash::find(&ascii));
        }
    }
}
