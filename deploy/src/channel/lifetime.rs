//! How long a channel exists after the last push to it.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use verge_protocol::api::CreateRelease;

/// How long a channel exists after the last push to it: `30m`, `12h`, `14d`, `2w` or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Lifetime {
    /// For this long; at least a minute, at most ten years.
    For(Duration),
    /// Until it is deleted.
    Forever,
}

/// A text that is no lifetime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid time `{0}`: expected a number with a unit, such as 30m, 12h, 14d or 2w, or `never`")]
pub struct LifetimeError(String);

impl Lifetime {
    /// As [`CreateRelease::expires_seconds`] has it.
    pub fn seconds(self) -> u64 {
        match self {
            Self::For(duration) => duration.as_secs(),
            Self::Forever => 0,
        }
    }
}

impl FromStr for Lifetime {
    type Err = LifetimeError;

    fn from_str(text: &str) -> Result<Self, LifetimeError> {
        if text == "never" {
            return Ok(Self::Forever);
        }
        let seconds = || {
            let unit = match text.chars().last()? {
                'm' => 60,
                'h' => 3600,
                'd' => 86_400,
                'w' => 7 * 86_400,
                _ => return None,
            };
            let number: u64 = text[..text.len() - 1].parse().ok()?;
            number.checked_mul(unit).filter(|seconds| (1..=CreateRelease::EXPIRES_SECONDS_MAX).contains(seconds))
        };
        let seconds = seconds().ok_or_else(|| LifetimeError(text.to_owned()))?;
        Ok(Self::For(Duration::from_secs(seconds)))
    }
}

impl TryFrom<String> for Lifetime {
    type Error = LifetimeError;

    fn try_from(text: String) -> Result<Self, LifetimeError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetime_is_a_number_with_a_unit_or_never() {
        let seconds = |text: &str| text.parse::<Lifetime>().map(Lifetime::seconds).ok();
        for (text, expected) in
            [("30m", 1800), ("12h", 43_200), ("14d", 1_209_600), ("2w", 1_209_600), ("never", 0), ("520w", 314_496_000)]
        {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for bad in
            ["", "14", "d", "0d", "-1d", "1.5h", "14 d", "14D", "5s", "4000d", "99999999999999999999w", "Never", "1é"]
        {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        let error = "5s".parse::<Lifetime>().unwrap_err().to_string();
        assert_eq!(error, "invalid time `5s`: expected a number with a unit, such as 30m, 12h, 14d or 2w, or `never`");
    }
}
