//! Why a line is no rule.

use verge_protocol::rules::LimitError;
use verge_protocol::rules::header_pattern::HeaderPatternError;
use verge_protocol::rules::header_rule::HeaderError;
use verge_protocol::rules::password_rule::USER_AND_PASSWORD_MAX;
use verge_protocol::rules::redirect::RedirectError;

/// Why a line is no rule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RuleError {
    #[error("no target: expected `from to status`, where `to` begins with `/`, `https://` or `http://`")]
    NoTarget,
    #[error("invalid status `{0}`: expected a number, with `!` if files at the path do not count")]
    Status(String),
    #[error("invalid status `{0}`: expected a number; with `force = true`, files at the path do not count")]
    TableStatus(String),
    #[error("`{0}` is no parameter of the query: expected `name=value`")]
    Parameter(String),
    #[error("parameter `{0}` is named twice")]
    DuplicateParameter(String),
    #[error("rules for a {} of readers are not supported yet", .0.to_lowercase())]
    Condition(&'static str),
    #[error("rate limits are not supported yet")]
    RateLimit,
    #[error("`{0}` is unexpected: a rule ends with its status")]
    Word(String),
    #[error("`{0}`: paths with a host are not supported")]
    PathWithHost(String),
    #[error("no path before it: expected a line such as `/*`")]
    NoPath,
    #[error("`{0}` is no header: expected `Name: value`")]
    NoColon(String),
    #[error("`{0}` has no value; `! {0}` takes a header off")]
    NoValue(String),
    #[error("invalid user: expected `Basic-Auth: user:password`")]
    User,
    #[error("`{0}` is misspelled: the name of a password is `Basic-Auth`")]
    MisspelledPassword(String),
    #[error("a password without a path: expected a line such as `/*` before it")]
    PasswordWithoutPath,
    #[error("the path of this password is not known: line {0} is no valid path")]
    PasswordAfterInvalidPath(usize),
    #[error("`{0}` has a password: passwords are read from the tables `[[headers]]` only")]
    PasswordInOtherTable(String),
    /// A key, and the end of the message: what may have been meant.
    #[error("unknown table or key `{0}`{1}")]
    UnknownTable(String, String),
    #[error("user and password are longer than {USER_AND_PASSWORD_MAX} bytes, which is the limit")]
    LongPassword,
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("{0}")]
    PasswordLimit(LimitError),
    #[error(transparent)]
    HeaderPath(#[from] HeaderPatternError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Redirect(#[from] RedirectError),
}

impl RuleError {
    /// Whether a push without the rule would publish what it protects, or what it may have been meant to protect.
    pub(super) fn is_of_password(&self) -> bool {
        match self {
            Self::User
            | Self::MisspelledPassword(_)
            | Self::PasswordWithoutPath
            | Self::PasswordAfterInvalidPath(_)
            | Self::PasswordInOtherTable(_)
            | Self::LongPassword
            | Self::PasswordLimit(_) => true,
            Self::NoTarget
            | Self::Status(_)
            | Self::TableStatus(_)
            | Self::Parameter(_)
            | Self::DuplicateParameter(_)
            | Self::Condition(_)
            | Self::RateLimit
            | Self::Word(_)
            | Self::PathWithHost(_)
            | Self::NoPath
            | Self::NoColon(_)
            | Self::NoValue(_)
            | Self::UnknownTable(..)
            | Self::Limit(_)
            | Self::HeaderPath(_)
            | Self::Header(_)
            | Self::Redirect(_) => false,
        }
    }
}
