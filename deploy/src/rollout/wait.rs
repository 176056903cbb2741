//! What a command waits for after a release.

use std::fmt;
use std::str::FromStr;

use super::confirmations::Confirmations;

/// What a command waits for after a release, and what makes it fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wait {
    /// For nothing: it ends when the channel has moved.
    No,
    /// For every edge; one that is away fails nothing.
    #[default]
    All,
    /// For this percentage, from 1 to 100, of the edges that are waited for.
    Share(u8),
    /// For every edge, those that are away included.
    Strict,
}

/// The text is not a [`Wait`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected all, strict, or a share of the edges from 1% to 100%")]
pub struct WaitError;

impl FromStr for Wait {
    type Err = WaitError;

    fn from_str(text: &str) -> Result<Self, WaitError> {
        let percentage = |digits: &str| {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
            digits.parse().ok().filter(|share| is_plain && (1..=100).contains(share))
        };
        match text {
            "all" => Ok(Self::All),
            "strict" => Ok(Self::Strict),
            _ => text.strip_suffix('%').and_then(percentage).map(Self::Share).ok_or(WaitError),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => formatter.write_str("no"),
            Self::All => formatter.write_str("all"),
            Self::Share(share) => write!(formatter, "{share}%"),
            Self::Strict => formatter.write_str("strict"),
        }
    }
}

impl Wait {
    /// Whether `done` of `total` edges are enough to stop waiting, although others may still confirm.
    pub(super) fn is_reached(self, done: u64, total: u64) -> bool {
        match self {
            Self::Share(share) => done * 100 >= total * u64::from(share),
            Self::No | Self::All | Self::Strict => false,
        }
    }

    /// Whether a rollout that ended like this is a success. If there are edges and none of them serves the release, it is none, although
    /// all of them are away.
    pub(super) fn is_satisfied(self, confirmations: &Confirmations) -> bool {
        let Confirmations { confirmed, lagging, total, .. } = confirmations;
        match self {
            Self::No => true,
            _ if confirmed.is_empty() && !lagging.is_empty() => false,
            Self::All => lagging.iter().all(|lagging| lagging.away),
            Self::Share(_) => self.is_reached(confirmed.len() as u64, *total),
            Self::Strict => lagging.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::api::LaggingEdge;

    use super::*;

    #[test]
    fn wait_has_one_text_form() {
        for (text, wait) in [
            ("all", Wait::All),
            ("strict", Wait::Strict),
            ("1%", Wait::Share(1)),
            ("90%", Wait::Share(90)),
            ("100%", Wait::Share(100)),
        ] {
            assert_eq!(text.parse(), Ok(wait));
            assert_eq!(wait.to_string(), text);
        }
        for bad in ["", "no", "90", "%", "0%", "101%", "256%", "+9%", "09%", "9.5%", "-1%", "ALL", "most"] {
            assert_eq!(bad.parse::<Wait>(), Err(WaitError), "{bad}");
        }
    }

    #[test]
    fn share_is_reached_by_whole_edges() {
        assert!(Wait::Share(90).is_reached(9, 10) && !Wait::Share(90).is_reached(8, 9));
        assert!(Wait::Share(1).is_reached(1, 60) && !Wait::Share(1).is_reached(0, 60));
        assert!(Wait::Share(50).is_reached(0, 0), "there is no edge");
        assert!(!Wait::All.is_reached(3, 3), "the rollout ends on its own");
    }

    #[test]
    fn away_edge_fails_only_strict_and_lagging_edge_fails_all() {
        let lagging = |away| LaggingEdge { edge: "b".parse().unwrap(), reason: "slow".into(), away, last_seen: None };
        let ended = |away: &[bool]| Confirmations {
            confirmed: vec!["a".parse().unwrap()],
            lagging: away.iter().copied().map(lagging).collect(),
            total: 1 + away.iter().filter(|away| !**away).count() as u64,
            ..Confirmations::default()
        };
        let satisfied = |wait: Wait| [&[][..], &[true], &[false]].map(|away| wait.is_satisfied(&ended(away)));
        assert_eq!(satisfied(Wait::All), [true, true, false]);
        assert_eq!(satisfied(Wait::Strict), [true, false, false]);
        assert_eq!(satisfied(Wait::Share(50)), [true, true, true]);
        assert_eq!(satisfied(Wait::Share(90)), [true, true, false]);
        assert_eq!(satisfied(Wait::No), [true, true, true]);
        for wait in [Wait::All, Wait::Share(1), Wait::Strict] {
            let all_away = Confirmations { lagging: vec![lagging(true)], ..Confirmations::default() };
            assert!(!wait.is_satisfied(&all_away), "no edge serves it");
            assert!(wait.is_satisfied(&Confirmations::default()), "there are no edges");
        }
    }
}
