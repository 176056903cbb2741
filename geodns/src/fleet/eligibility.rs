//! Which edges may be returned.

pub(super) use verge_protocol::explanation::Eligibility;
use verge_protocol::fleet::Force;

use super::address_condition::Condition;
use super::answer_policy::AllDown;

/// The health of an address, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HealthStatus {
    /// Up, current, not draining.
    Healthy,
    /// Up but lagging.
    Lagging,
    /// Up but draining; lagging or not.
    Draining,
    /// Down.
    Down,
}

impl HealthStatus {
    pub(super) fn of(force: Force, condition: Condition) -> Self {
        match condition {
            _ if force == Force::Up => Self::Healthy,
            Condition { up: false, .. } => Self::Down,
            Condition { draining: true, .. } => Self::Draining,
            Condition { lagging: true, .. } => Self::Lagging,
            Condition { .. } => Self::Healthy,
        }
    }
}

/// Decides which edges of a fleet are eligible for the names of one region set in one address family. `edges` holds the status of
/// each edge, or why it is excluded whatever its health.
///
/// 1. Edges outside the regions, without an address of the family, or forced down are never eligible; the rules below concern
///    the others only. No outage overrides a region restriction.
/// 2. The status of an edge is that of its best address, and only addresses of that status are returned. Forced up is healthy.
/// 3. Healthy edges are eligible.
/// 4. Lagging edges are eligible unless enough are healthy: two, and half (rounded up) of all that are healthy or lagging. So lag
///    never leaves fewer than two edges, or than half of them, and when the whole fleet lags, all remain.
/// 5. Draining edges are eligible only if there are none of these.
/// 6. Edges that are down are eligible only if there are none of these either, all of them, if the policy says so.
pub(super) fn decide(
    edges: &[Result<HealthStatus, Eligibility>],
    force: impl Fn(usize) -> Force,
    all_down: AllDown,
) -> Vec<Eligibility> {
    use HealthStatus::{Down, Draining, Healthy, Lagging};
    let count = |status| edges.iter().filter(|edge| **edge == Ok(status)).count();
    let (healthy, lagging, draining) = (count(Healthy), count(Lagging), count(Draining));
    let enough_healthy = healthy >= 2.max((healthy + lagging).div_ceil(2));
    let decide = |(edge, status): (usize, &Result<HealthStatus, Eligibility>)| match *status {
        Err(exclusion) => exclusion,
        Ok(Healthy) if force(edge) == Force::Up => Eligibility::ForcedUp,
        Ok(Healthy) => Eligibility::Healthy,
        Ok(Lagging) if enough_healthy => Eligibility::Lagging,
        Ok(Lagging) => Eligibility::LaggingButNeeded,
        Ok(Draining) if healthy + lagging > 0 => Eligibility::Draining,
        Ok(Draining) => Eligibility::DrainingButNeeded,
        Ok(Down) if healthy + lagging + draining > 0 || all_down == AllDown::Nothing => Eligibility::Down,
        Ok(Down) => Eligibility::DownButNeeded,
    };
    edges.iter().enumerate().map(decide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(statuses: &str, all_down: AllDown) -> String {
        let status = |letter| match letter {
            'h' => Ok(HealthStatus::Healthy),
            'l' => Ok(HealthStatus::Lagging),
            'd' => Ok(HealthStatus::Draining),
            '-' => Ok(HealthStatus::Down),
            _ => Err(Eligibility::OutsideRegions),
        };
        let statuses: Vec<_> = statuses.chars().map(status).collect();
        let eligibility = decide(&statuses, |_| Force::Auto, all_down);
        eligibility.iter().map(|eligibility| if eligibility.is_eligible() { 'Y' } else { '.' }).collect()
    }

    #[test]
    fn lagging_draining_and_down_edges_are_eligible_only_when_needed() {
        for (statuses, expected) in [
            ("", ""),
            ("h", "Y"),
            ("hhd-", "YY.."),
            // Lag: never below two edges, nor below half.
            ("hl", "YY"),
            ("hhl", "YY."),
            ("hll", "YYY"),
            ("hhll", "YY.."),
            ("hhlll", "YYYYY"),
            ("hhhlll", "YYY..."),
            ("hhhllll", "YYYYYYY"),
            ("lll", "YYY"),
            // Those that are down or draining are not counted.
            ("hhl-----", "YY......"),
            ("hhlddddd", "YY......"),
            ("hl-d", "YY.."),
            ("l-d", "Y.."),
            // No edge is healthy.
            ("d--", "Y.."),
            ("dd", "YY"),
            ("---", "YYY"),
            // A region restriction always holds.
            ("--o", "YY."),
            ("ho", "Y."),
            ("o", "."),
        ] {
            assert_eq!(decided(statuses, AllDown::AsIfUp), expected, "{statuses}");
        }
        assert_eq!(decided("--o", AllDown::Nothing), "...");
        assert_eq!(decided("d-", AllDown::Nothing), "Y.");
    }

    #[test]
    fn status_of_each_condition_and_force() {
        let good = Condition::default();
        for (condition, status) in [
            (good, HealthStatus::Healthy),
            (Condition { suspect: true, ..good }, HealthStatus::Healthy),
            (Condition { lagging: true, ..good }, HealthStatus::Lagging),
            (Condition { draining: true, ..good }, HealthStatus::Draining),
            (Condition { draining: true, lagging: true, ..good }, HealthStatus::Draining),
            (Condition { up: false, suspect: true, lagging: true, draining: true }, HealthStatus::Down),
        ] {
            assert_eq!(HealthStatus::of(Force::Auto, condition), status);
            assert_eq!(HealthStatus::of(Force::Up, condition), HealthStatus::Healthy);
        }
    }
}
