//! How a command ended, as the shell sees it.

use std::process::ExitCode;

/// The exit codes of every command. They are stable: scripts and pipelines match on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Success = 0,
    /// It failed in a way that has no code of its own.
    Failure = 1,
    /// The command line, a settings file or the profile does not make sense.
    Usage = 2,
    /// Something in the folder, or in what was asked of the origin, must change first.
    Refused = 3,
    /// The origin, or the name server, could not be reached, fell silent or cut the connection.
    Unreachable = 4,
    /// The token is missing, wrong, expired or lacks the right (401, 403).
    NotAllowed = 5,
    /// Somebody else moved the channel first, or has what was asked for.
    Conflict = 6,
    /// Released, but not every edge is known to serve it.
    Lagging = 7,
    /// The domain is not proven yet.
    Pending = 8,
}

impl Exit {
    /// Every code, the lowest first.
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

    /// What it means, as `--help` says it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done",
            Self::Failure => "failed",
            Self::Usage => "wrong usage or settings",
            Self::Refused => "refused: something in the folder, or in what was asked, must change first",
            Self::Unreachable => "the origin, or the name server, cannot be reached",
            Self::NotAllowed => "not allowed: the token is missing, wrong or lacks the right",
            Self::Conflict => "conflict: another push won, or something stands in the way",
            Self::Lagging => "released, but some edges lag behind",
            Self::Pending => "the domain is not proven yet",
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
    fn the_codes_are_those_that_scripts_know() {
        let table: Vec<String> = Exit::ALL.iter().map(|exit| format!("{} {}", exit.code(), exit.meaning())).collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
