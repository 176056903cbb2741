//! The kinds of problems that a name server can have.

/// The kinds of problems. Each is a value of the label `kind`, and has its row in docs/OPERATING.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    /// A task has ended without which answers are wrong or out of date.
    EssentialTaskEnded,
    /// No complete fleet state was ever received: the names of sites are unknown.
    FleetUnknown,
    /// The names of sites with this region restriction are answered without any address.
    NoEligibleEdge,
    /// No probe of any edge succeeds: health checks do not guide answers.
    Isolated,
    /// An earlier version of a zone is served, because its files are invalid.
    ZoneOutdated,
    /// The location database is configured, but was not loaded since the start.
    DatabaseMissing,
    /// An earlier version of the location database is in use, because the file is invalid.
    DatabaseOutdated,
    /// No origin was seen for a minute: names and settings may have changed.
    OriginSilent,
    /// The state is not being saved: a restart would use an older one.
    StateNotSaved,
    /// A zone has no current copy: a restart would need valid zone files.
    ZoneNotCopied,
    /// A task has ended that reloads zone files or saves the state.
    BackgroundTaskEnded,
}

impl ProblemKind {
    /// All kinds, worst first.
    pub(crate) const ALL: [Self; 11] = [
        Self::EssentialTaskEnded,
        Self::FleetUnknown,
        Self::NoEligibleEdge,
        Self::Isolated,
        Self::ZoneOutdated,
        Self::DatabaseMissing,
        Self::DatabaseOutdated,
        Self::OriginSilent,
        Self::StateNotSaved,
        Self::ZoneNotCopied,
        Self::BackgroundTaskEnded,
    ];

    /// The name of the kind in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EssentialTaskEnded => "essential_task_ended",
            Self::FleetUnknown => "fleet_unknown",
            Self::NoEligibleEdge => "no_eligible_edge",
            Self::Isolated => "isolated",
            Self::ZoneOutdated => "zone_outdated",
            Self::DatabaseMissing => "database_missing",
            Self::DatabaseOutdated => "database_outdated",
            Self::OriginSilent => "origin_silent",
            Self::StateNotSaved => "state_not_saved",
            Self::ZoneNotCopied => "zone_not_copied",
            Self::BackgroundTaskEnded => "background_task_ended",
        }
    }

    /// Whether resolvers should ask another name server. With any other problem this one still gives its best answers.
    pub(super) fn prevents_serving(self) -> bool {
        matches!(self, Self::EssentialTaskEnded | Self::FleetUnknown)
    }
}

/// Something that an operator should know, and what it means on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    pub(crate) text: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_have_distinct_names_and_are_documented() {
        let names: BTreeSet<_> = ProblemKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ProblemKind::ALL.len());
        let page = include_str!("../../../docs/OPERATING.md");
        for kind in ProblemKind::ALL {
            let status = if kind.prevents_serving() { "503" } else { "degraded" };
            assert!(page.contains(&format!("| `{}` | {status} |", kind.name())), "{kind:?}");
        }
    }
}
