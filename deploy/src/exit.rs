//! Exit codes.

use std::process::ExitCode;

/// The exit codes of all commands. Stable: scripts match on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command succeeded.
    Success = 0,
    /// The command failed, for a reason without its own code.
    Failure = 1,
    /// The command line, a settings file or the profile is invalid.
    Usage = 2,
    /// The directory or the request is invalid and must be changed first.
    Refused = 3,
    /// The origin or the name server cannot be reached, or the connection was lost.
    Unreachable = 4,
    /// The token is missing, invalid or lacks a permission (401, 403; 429 if it was sent too often).
    NotAllowed = 5,
    /// Another push updated the channel first, or a name or address is already in use.
    Conflict = 6,
    /// The release is committed, but some edges have not confirmed that they serve it.
    Lagging = 7,
    /// The ownership of the domain is not proven yet.
    Pending = 8,
}

impl Exit {
    /// All codes in ascending order.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::Refused,
        Self::Unreachable,
        Self::NotAllowed,
        Self::Conflict,
        Self::Lagging,
        Self::Pending,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Its meaning, as shown by `--help`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Usage => "invalid arguments or settings",
            Self::Refused => "refused: the directory or the request is invalid",
            Self::Unreachable => "the origin or the name server cannot be reached",
            Self::NotAllowed => "not allowed: the token is missing, invalid or lacks a permission",
            Self::Conflict => "conflict: another push came first, or a name or address is in use",
            Self::Lagging => "released, but some edges are lagging",
            Self::Pending => "domain not proven yet",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_match_snapshot() {
        let table: Vec<String> = Exit::ALL.iter().map(|exit| format!("{} {}", exit.code(), exit.meaning())).collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
