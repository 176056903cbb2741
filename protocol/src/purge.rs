//! Purges: what a site does not serve from earlier releases any more, and what edges check.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::path::{PathError, SitePath};
use crate::position::Seq;
use crate::serde_text::serde_as_text;

/// The paths of a site that a purge is for. Its text form is `*`, a directory as `assets/*`, or a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PurgeScope {
    /// All paths.
    All,
    /// Every path in this directory and below it.
    Directory(SitePath),
    /// One path.
    Path(SitePath),
}

impl PurgeScope {
    /// Whether the path is one of them.
    pub fn covers(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Directory(directory) => {
                path.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/'))
            }
            Self::Path(purged) => purged.as_str() == path,
        }
    }

    /// Whether all paths of the other scope are its paths.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (_, Self::All) => false,
            (_, Self::Path(path)) => self.covers(path.as_str()),
            (_, Self::Directory(directory)) => {
                self == other || matches!(self, Self::Directory(_)) && self.covers(directory.as_str())
            }
        }
    }
}

impl FromStr for PurgeScope {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::All),
            Some(directory) if directory.ends_with('/') => {
                directory.strip_suffix('/').unwrap_or_default().parse().map(Self::Directory)
            }
            _ => text.parse().map(Self::Path),
        }
    }
}

impl fmt::Display for PurgeScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("*"),
            Self::Directory(directory) => write!(formatter, "{directory}/*"),
            Self::Path(path) => write!(formatter, "{path}"),
        }
    }
}

serde_as_text!(PurgeScope);

/// A purge in a [`PurgeState`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// The write that made it.
    pub seq: Seq,
    /// The paths.
    pub scope: PurgeScope,
}

/// Value of the key `purge/<site>`: the site's purges, the newest first, at most [`PurgeState::MAX`]. The last one stands for all before
/// it, so an edge that was away does at least what it missed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PurgeState {
    /// The purges.
    pub purges: Vec<Purge>,
}

impl PurgeState {
    /// The most purges that are kept.
    pub const MAX: usize = 16;

    /// Adds a purge that is newer than all others. Beyond [`Self::MAX`] the oldest are merged into one purge of all paths.
    pub fn add(&mut self, purge: Purge) {
        self.purges.insert(0, purge);
        self.purges.truncate(Self::MAX + 1);
        if self.purges.len() > Self::MAX {
            self.purges.pop();
            if let Some(oldest) = self.purges.last_mut() {
                oldest.scope = PurgeScope::All;
            }
        }
    }

    /// The last of the purges that are merged into one of all paths; `None` if none are.
    pub fn merged(&self) -> Option<Seq> {
        let oldest = self.purges.last().filter(|oldest| oldest.scope == PurgeScope::All)?;
        (self.purges.len() == Self::MAX).then_some(oldest.seq)
    }

    /// The newest of the purges that are in the earlier row `before` too, with all before it. Rows of two histories have those purges in
    /// common that were made before the one was copied from the other.
    pub fn newest_in(&self, before: &Self) -> Option<Seq> {
        let is_same = |purge: &Purge, known: &Purge| {
            known.seq == purge.seq && (known.scope == purge.scope || self.merged() == Some(purge.seq))
        };
        let is_known = |purge: &Purge| {
            before.merged() >= Some(purge.seq) || before.purges.iter().any(|known| is_same(purge, known))
        };
        self.purges.iter().rev().take_while(|purge| is_known(purge)).last().map(|purge| purge.seq)
    }

    /// The write that made the newest purge; `None` if there is none.
    pub fn newest(&self) -> Option<Seq> {
        self.purges.iter().map(|purge| purge.seq).max()
    }

    /// The purges made after `seq`; all of them for `None`.
    pub fn after(&self, seq: Option<Seq>) -> impl Iterator<Item = &Purge> {
        self.purges.iter().filter(move |purge| Some(purge.seq) > seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> PurgeScope {
        text.parse().unwrap()
    }

    #[test]
    fn scope_has_one_text_form() {
        for text in ["*", "assets/*", "a/b c/*", "about.html", "a*", "a/b*"] {
            assert_eq!(scope(text).to_string(), text);
        }
        assert_eq!(scope("a/*"), PurgeScope::Directory("a".parse().unwrap()));
        assert_eq!(scope("a*"), PurgeScope::Path("a*".parse().unwrap()));
        for bad in ["", "/*", "/a", "a//*", "a/", "../*"] {
            assert!(bad.parse::<PurgeScope>().is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&scope("a/*")).unwrap(), r#""a/*""#);
    }

    #[test]
    fn scope_covers_its_path_its_directory_or_everything() {
        let covered = |text: &str| {
            let paths = ["a", "a/b", "a/b/c.js", "ab/c.js", "b"];
            paths.into_iter().filter(|path| scope(text).covers(path)).collect::<Vec<_>>()
        };
        assert_eq!(covered("a"), ["a"]);
        assert_eq!(covered("a/*"), ["a/b", "a/b/c.js"]);
        assert_eq!(covered("*").len(), 5);
    }

    #[test]
    fn scope_includes_what_is_within_it() {
        let scopes = ["*", "a/*", "a/b/*", "a/b", "a"].map(scope);
        let included = |index: usize| scopes.iter().filter(|other| scopes[index].includes(other)).count();
        assert_eq!([0, 1, 2, 3, 4].map(included), [5, 3, 1, 1, 1]);
    }

    #[test]
    fn oldest_purges_beyond_the_limit_are_merged_into_one_of_all_paths() {
        let mut state = PurgeState::default();
        for seq in 1..=16 {
            state.add(Purge { seq: Seq(seq), scope: scope("a") });
        }
        assert!(state.purges.iter().all(|purge| purge.scope == scope("a")));
        for seq in 17..=20 {
            state.add(Purge { seq: Seq(seq), scope: scope("b") });
        }
        assert_eq!(state.purges.len(), PurgeState::MAX);
        assert_eq!(state.newest(), Some(Seq(20)));
        let after =
            |seq| state.after(Some(Seq(seq))).map(|purge| (purge.seq.0, purge.scope.to_string())).collect::<Vec<_>>();
        assert_eq!(after(18), [(20, "b".to_owned()), (19, "b".to_owned())]);
        assert_eq!(after(3).last(), Some(&(5, "*".to_owned())), "an edge that missed the third does it all");
        assert_eq!(state.after(None).count(), 16);
    }

    #[test]
    fn purges_of_two_histories_are_common_up_to_the_first_that_differs() {
        let row = |purges: &[(u64, &str)]| {
            let mut state = PurgeState::default();
            for (seq, text) in purges {
                state.add(Purge { seq: Seq(*seq), scope: scope(text) });
            }
            state
        };
        let common = |before: &PurgeState, now: &PurgeState| now.newest_in(before).map(|seq| seq.0);
        let before = row(&[(2, "a"), (5, "b/*"), (9, "*")]);
        assert_eq!(common(&before, &before), Some(9));
        assert_eq!(common(&before, &row(&[(2, "a"), (5, "b/*"), (8, "*")])), Some(5), "another write");
        assert_eq!(common(&before, &row(&[(2, "a"), (5, "b/c"), (9, "*")])), Some(2), "another path");
        assert_eq!(common(&before, &row(&[(1, "a"), (9, "*")])), None);
        assert_eq!(common(&row(&[]), &before), None);
        let [many, more] = [16, 20].map(|last| row(&(1..=last).map(|seq| (seq, "a")).collect::<Vec<_>>()));
        assert_eq!(common(&more, &many), Some(16), "the merged one stands for the first");
        assert_eq!(common(&many, &more), Some(16), "the merged one was made before");
    }
}
