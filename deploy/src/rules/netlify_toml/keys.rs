//! The keys of a `netlify.toml` with their lines, whatever tables they are in: unknown ones, and passwords where none is read.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::line_starts::LineStarts;
use crate::rules::error::RuleError;
use crate::rules::password_line;

/// Tables and keys of Netlify's that this program does not read. Names that only some versions have are among them.
const IGNORED: [&str; 18] = [
    "Build",
    "Settings",
    "blobs",
    "context",
    "database",
    "db",
    "dev",
    "edge_functions",
    "edge_handlers",
    "extensions",
    "forms",
    "functions",
    "graph",
    "images",
    "integrations",
    "plugins",
    "settings",
    "template",
];

/// Tables that this program reads.
const READ: [&str; 3] = ["build", "headers", "redirects"];

/// The keys of `[build]` that it reads.
const READ_OF_BUILD: [&str; 2] = ["base", "publish"];

/// The keys of the tables whose keys are all known. Each name of one thing, the first of which is suggested.
const OF_TABLES: [(&str, &[&str]); 2] = [
    (
        "redirects",
        &[
            "from",
            "to",
            "status",
            "force",
            "query",
            "conditions",
            "headers",
            "signed",
            "rate_limit",
            "origin",
            "destination",
            "params",
            "parameters",
            "sign",
            "signing",
        ],
    ),
    ("headers", &["for", "values"]),
];

/// The keys that people write at the top and that belong to `[build]`. It may have others, which are ignored.
const BELONG_TO_BUILD: [&str; 6] = ["base", "command", "environment", "ignore", "processing", "publish"];

/// The key for addresses of pages, and the tables that it is in.
const PRETTY_URLS: [&str; 4] = ["build", "processing", "html", "pretty_urls"];

/// A key at the top that Netlify accepts, and does not document.
const SPA_FALLBACK: &str = "spa_fallback";

/// The table of functions, each a table with the name of the function.
const FUNCTIONS: &str = "functions";

/// How many letters of a misspelled name are wrong, at most.
const TYPOS_MAX: usize = 2;

/// How many letters a name has for each of them, about: short names are near to any other.
const LETTERS_PER_TYPO: usize = 3;

/// The keys of a file.
pub(super) struct Keys<'text> {
    lines: &'text LineStarts,
    root: DeTable<'text>,
}

impl<'text> Keys<'text> {
    /// Reads them; `None`: `text`, which has these `lines`, is not TOML.
    pub(super) fn read(text: &'text str, lines: &'text LineStarts) -> Option<Self> {
        Some(Self { lines, root: DeTable::parse(text).ok()?.into_inner() })
    }

    /// Those that are ignored, in order.
    pub(super) fn ignored(&self) -> Vec<String> {
        let build = self.root.iter().find(|(key, _)| key.get_ref() == "build");
        let of_build = build.and_then(|(_, value)| value.get_ref().as_table()).into_iter().flatten();
        let of_build = of_build.filter(|(key, _)| !READ_OF_BUILD.contains(&&**key.get_ref()));
        let others = self.root.keys().filter(|key| IGNORED.contains(&&**key.get_ref()));
        let mut keys: Vec<(usize, String)> = others.map(|key| (key.span().start, key.get_ref().to_string())).collect();
        keys.extend(of_build.map(|(key, _)| (key.span().start, format!("build.{}", key.get_ref()))));
        keys.sort();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// The line of the key `pretty_urls`, if it is false.
    pub(super) fn unpretty_urls(&self) -> Option<usize> {
        let mut table = &self.root;
        for name in &PRETTY_URLS {
            let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                DeValue::Boolean(false) => return Some(self.lines.line_of(key.span().start)),
                _ => return None,
            }
        }
        None
    }

    /// The line of the key `spa_fallback`.
    pub(super) fn spa_fallback(&self) -> Option<usize> {
        let key = self.root.keys().find(|key| key.get_ref() == SPA_FALLBACK)?;
        Some(self.lines.line_of(key.span().start))
    }

    /// Tables and keys at the top that Netlify has not either, with their lines.
    pub(super) fn unknown(&self) -> Vec<(usize, RuleError)> {
        let is_known = |key: &&Spanned<DeString<'_>>| {
            let key = &&**key.get_ref();
            // The error of a password says more.
            READ.contains(key) || IGNORED.contains(key) || *key == SPA_FALLBACK || password_line::is_like_line(key)
        };
        let unknown = self.root.keys().filter(|key| !is_known(key));
        // Those with a capital are of old versions.
        let suggested = || READ.into_iter().chain(IGNORED).filter(|known| known.starts_with(char::is_lowercase));
        self.sorted(unknown.map(|key| {
            let hint = if BELONG_TO_BUILD.contains(&&**key.get_ref()) {
                ": it belongs to `[build]`".to_owned()
            } else {
                suggestion(key.get_ref(), suggested())
            };
            (key.span().start, RuleError::UnknownTable(key.get_ref().to_string(), hint))
        }))
    }

    /// Unknown keys of `[[redirects]]` and `[[headers]]`, with their lines and what to write.
    pub(super) fn unknown_of_tables(&self) -> Vec<(usize, String)> {
        let mut unknown = Vec::new();
        for (table, known) in OF_TABLES {
            let array = self.root.iter().find(|(key, _)| key.get_ref() == table);
            let items =
                array.and_then(|(_, value)| value.get_ref().as_array()).into_iter().flat_map(|array| array.iter());
            let keys = items.filter_map(|item| item.get_ref().as_table()).flat_map(DeTable::keys);
            let keys = keys.filter(|key| !known.contains(&&**key.get_ref()));
            unknown.extend(keys.map(|key| {
                let (name, hint) = (key.get_ref(), suggestion(key.get_ref(), known.iter().copied()));
                (key.span().start, format!("unknown field `{name}` in `[[{table}]]`{hint}"))
            }));
        }
        self.sorted(unknown.into_iter())
    }

    /// Passwords in tables that are not read for them, with their lines, be it texts, lists or tables. Variables of a build, settings of plugins
    /// and functions may have such names too.
    pub(super) fn passwords_elsewhere(&self) -> Vec<(usize, RuleError)> {
        let mut found = Vec::new();
        for (key, value) in self.root.iter().filter(|(key, _)| !["headers", "redirects"].contains(&&**key.get_ref())) {
            let mut starts = Vec::new();
            find_passwords("", key, value.get_ref(), &mut starts);
            let table = key.get_ref();
            found.extend(starts.into_iter().map(|at| (at, RuleError::PasswordInOtherTable(table.to_string()))));
        }
        self.sorted(found.into_iter())
    }

    /// In the order of the file, with lines.
    fn sorted<T>(&self, found: impl Iterator<Item = (usize, T)>) -> Vec<(usize, T)> {
        let mut found: Vec<(usize, T)> = found.collect();
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(at, item)| (self.lines.line_of(at), item)).collect()
    }
}

/// Adds where keys like that of a password are: `key`, which is one of the table `parent`, or those in its `value`.
fn find_passwords(parent: &str, key: &Spanned<DeString<'_>>, value: &DeValue<'_>, starts: &mut Vec<usize>) {
    let name = key.get_ref();
    if name.eq_ignore_ascii_case("environment") || name == "plugins" {
        return;
    }
    // A function may have the name, and then it is the name of a table.
    let is_function = parent == FUNCTIONS && matches!(value, DeValue::Table(_));
    if password_line::is_like_line(name) && !is_function {
        starts.push(key.span().start);
        return;
    }
    find_passwords_in(name, value, starts);
}

/// Adds where keys like that of a password are in `value`, which is that of the key `name`.
fn find_passwords_in(name: &str, value: &DeValue<'_>, starts: &mut Vec<usize>) {
    match value {
        DeValue::Table(table) => {
            table.iter().for_each(|(key, value)| find_passwords(name, key, value.get_ref(), starts));
        }
        DeValue::Array(items) => items.iter().for_each(|item| find_passwords_in(name, item.get_ref(), starts)),
        _ => {}
    }
}

/// The known key that may have been meant, as the end of a message.
fn suggestion<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> String {
    let typed = key.to_lowercase();
    let near = known.map(|known| (strsim::osa_distance(&typed, known), known)).min();
    let near = near.filter(|(typos, known)| *typos <= TYPOS_MAX && typos * LETTERS_PER_TYPO <= known.len() + 1);
    near.map(|(_, known)| format!(": did you mean `{known}`?")).unwrap_or_default()
}
