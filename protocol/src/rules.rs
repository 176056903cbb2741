//! The rules of a build: redirects, headers and passwords, typed at push and matched by edges.
//!
//! | Module | Idea |
//! |---|---|
//! | [`path_pattern`], [`target`], `target_paths`, [`origin`], [`redirect`] | a redirect rule: which paths, where to |
//! | [`rule_request`], [`encoding`] | what rules see of a request, and how a location is written |
//! | [`header_pattern`], [`header_rule`] | a header rule: which paths, which headers |
//! | [`password_rule`] | paths with passwords |
//! | [`redirect_matcher`], [`header_matcher`] | many rules, compiled |
//!
//! Unlike elsewhere in this crate, unknown fields of rules are errors: an edge that does not understand a rule must not serve the release
//! without it.

pub mod encoding;
pub mod header_matcher;
pub mod header_pattern;
pub mod header_rule;
pub mod origin;
pub mod password_rule;
pub mod path_pattern;
pub mod redirect;
pub mod redirect_matcher;
pub mod rule_request;
pub mod target;
mod target_paths;

use serde::{Deserialize, Serialize};

pub use self::header_matcher::HeaderMatcher;
pub use self::header_pattern::{FoldedPath, HeaderPattern};
pub use self::header_rule::{HeaderChange, HeaderRule};
pub use self::origin::Origin;
pub use self::password_rule::{Credential, PasswordRule};
pub use self::path_pattern::{PathPattern, SplitPath};
pub use self::redirect::{Action, Redirect};
pub use self::redirect_matcher::RedirectMatcher;
pub use self::rule_request::RuleRequest;

/// The rules of a build, each kind in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The first one that applies to a request counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Redirect>,
    /// All that match count, the later ones more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderRule>,
    /// The last one that matches counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passwords: Vec<PasswordRule>,
}

impl Rules {
    /// The rules that a build may have of each kind.
    pub const MAX: usize = 50_000;

    /// Whether there are more rules of a kind than [`Self::MAX`].
    pub fn are_too_many(&self) -> bool {
        [self.redirects.len(), self.headers.len(), self.passwords.len()].into_iter().any(|count| count > Self::MAX)
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.redirects.is_empty() && self.headers.is_empty() && self.passwords.is_empty()
    }
}
