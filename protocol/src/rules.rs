//! The rules of a build: redirects, headers and passwords, typed at push and matched by edges.
//!
//! | Module | Idea |
//! |---|---|
//! | [`path_pattern`], [`target`], [`origin`], [`redirect`] | a redirect rule: which paths, where to |
//! | `following`, `target_paths` | where a redirect leads on to: a rule is never a loop |
//! | [`rule_request`], [`split_path`], [`encoding`] | what rules see of a request, and how a location is written |
//! | [`header_pattern`], [`header_rule`] | a header rule: which paths, which headers |
//! | [`password_rule`] | paths with passwords |
//! | [`redirect_matcher`], `pattern_tree`, `query_index` | many redirect rules, compiled |
//! | [`header_matcher`] | many header rules, compiled |
//! | [`limits`], `bounded` | what they may have at most |
//!
//! Unlike elsewhere in this crate, unknown fields of rules are errors: an edge that does not understand a rule must not serve the release
//! without it.

mod affix_index;
mod bounded;
#[cfg(test)]
mod cost_tests;
pub mod encoding;
mod following;
pub mod header_matcher;
pub mod header_pattern;
pub mod header_rule;
pub mod limits;
pub mod origin;
pub mod password_rule;
pub mod path_pattern;
mod pattern_tree;
mod query_index;
pub mod redirect;
pub mod redirect_matcher;
pub mod rule_request;
pub mod split_path;
pub mod target;
mod target_paths;

use serde::{Deserialize, Serialize};

use self::bounded::BoundedRules;
pub use self::header_matcher::HeaderMatcher;
pub use self::header_pattern::{FoldedPath, HeaderPattern};
pub use self::header_rule::{HeaderChange, HeaderRule};
pub use self::limits::LimitError;
pub use self::origin::Origin;
pub use self::password_rule::{Credential, PasswordRule};
pub use self::path_pattern::PathPattern;
pub use self::redirect::{Action, Redirect};
pub use self::redirect_matcher::RedirectMatcher;
pub use self::rule_request::RuleRequest;
pub use self::split_path::SplitPath;

/// The rules of a build, each kind in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BoundedKinds")]
pub struct Rules {
    /// The first one that applies to a request counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Redirect>,
    /// All that match count, the later ones more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderRule>,
    /// The last one that matches counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passwords: Vec<PasswordRule>,
    /// The kinds that are not complete: their JSON has more than [limits](Self::check) allow, which was not kept in memory.
    #[serde(skip)]
    pub cut: CutKinds,
}

/// Kinds of rules that are not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CutKinds {
    /// Redirect rules.
    pub redirects: bool,
    /// Header rules.
    pub headers: bool,
    /// Passwords.
    pub passwords: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundedKinds {
    #[serde(default)]
    redirects: BoundedRules<Redirect>,
    #[serde(default)]
    headers: BoundedRules<HeaderRule>,
    #[serde(default)]
    passwords: BoundedRules<PasswordRule>,
}

impl From<BoundedKinds> for Rules {
    fn from(kinds: BoundedKinds) -> Self {
        let BoundedKinds { redirects, headers, passwords } = kinds;
        let cut = CutKinds { redirects: redirects.is_cut, headers: headers.is_cut, passwords: passwords.is_cut };
        Self { redirects: redirects.rules, headers: headers.rules, passwords: passwords.rules, cut }
    }
}

impl Rules {
    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.redirects.is_empty() && self.headers.is_empty() && self.passwords.is_empty()
    }
}
