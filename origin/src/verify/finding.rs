//! What is wrong, what it costs, and what heals it.

use std::fmt;

use serde::Serialize;

use super::change::Repair;

/// What a finding costs, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Readers of a site may not get what a channel serves.
    Readers,
    /// Pushes, rollbacks, edges that start anew, or the origin itself fail.
    Operation,
    /// Nothing fails.
    Harmless,
}

impl Severity {
    pub(super) const ALL: [Self; 3] = [Self::Readers, Self::Operation, Self::Harmless];
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Readers => "Affects readers",
            Self::Operation => "Affects publishers and operators",
            Self::Harmless => "Harmless",
        })
    }
}

/// Something that is not as it was written.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The thing.
    pub(super) subject: String,
    /// How it is damaged.
    pub(super) problem: String,
    /// What fails because of it.
    pub(super) cost: String,
    /// What a person can do.
    pub(super) advice: Option<String>,
    /// What `--repair` does.
    #[serde(serialize_with = "effect")]
    pub(super) repair: Option<Repair>,
    /// What came of the repair, if it was tried.
    pub(super) outcome: Option<Outcome>,
}

/// What came of a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", content = "reason", rename_all = "kebab-case")]
pub(super) enum Outcome {
    Repaired,
    /// It was sound when it was read again.
    Healed,
    /// The origin is running.
    NeedsStop,
    Failed(String),
}

#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn effect<S: serde::Serializer>(repair: &Option<Repair>, serializer: S) -> Result<S::Ok, S::Error> {
    repair.as_ref().map(|repair| &repair.effect).serialize(serializer)
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        subject: impl fmt::Display,
        problem: impl Into<String>,
        cost: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            subject: subject.to_string(),
            problem: problem.into(),
            cost: cost.into(),
            advice: None,
            repair: None,
            outcome: None,
        }
    }

    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(super) fn repair(mut self, repair: impl Into<Option<Repair>>) -> Self {
        self.repair = repair.into();
        self
    }
}

/// One line, and a second one for what came of a repair.
impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.subject, self.problem, self.cost)?;
        let Some(repair) = &self.repair else {
            return self.advice.iter().try_for_each(|advice| write!(formatter, "; {advice}"));
        };
        let effect = &repair.effect;
        if self.outcome.is_none() {
            write!(formatter, "; --repair {effect}")?;
        }
        if let Some(advice) = &self.advice {
            write!(formatter, "; {advice}")?;
        }
        match &self.outcome {
            None => Ok(()),
            Some(Outcome::Repaired) => write!(formatter, "\n    repaired: {effect}"),
            Some(Outcome::Healed) => write!(formatter, "\n    sound when read again: nothing to repair"),
            Some(Outcome::NeedsStop) => write!(formatter, "\n    stop the origin to repair: --repair {effect}"),
            Some(Outcome::Failed(reason)) => write!(formatter, "\n    not repaired: {reason}"),
        }
    }
}
