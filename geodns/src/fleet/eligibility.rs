//! Which edges may be named.

use std::fmt;

use verge_protocol::fleet::Force;

use super::{AllDown, Condition};

/// How an address does in the eyes of who names it, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// Up, current, here to stay.
    Fit,
    /// Up, though behind.
    Behind,
    /// Up, though about to end; behind or not.
    Draining,
    /// Not up.
    Down,
}

impl Grade {
    pub(super) fn of(force: Force, condition: Condition) -> Self {
        match condition {
            _ if force == Force::Up => Self::Fit,
            Condition { up: false, .. } => Self::Down,
            Condition { draining: true, .. } => Self::Draining,
            Condition { lagging: true, .. } => Self::Behind,
            Condition { .. } => Self::Fit,
        }
    }
}

/// How an edge stands to the names of one fence in one family: whether it may be named, and why, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// May be named.
    Fit,
    /// May be named: the operator says so.
    ForcedUp,
    /// May be named: it is behind, but without those behind too few would be left.
    BehindKept,
    /// May be named: it is about to end, but so is everyone.
    DrainingKept,
    /// May be named: it is down, but so is everyone, so they count as up.
    DownKept,
    /// May not: it is behind.
    Behind,
    /// May not: it is about to end.
    Draining,
    /// May not: it is down.
    Down,
    /// May not: the operator says so.
    ForcedDown,
    /// May not: it has no address of the family.
    NoAddress,
    /// May not: it is in none of the regions.
    OutsideFence,
}

/// Decides among the edges of a fleet: `edges` are the grades of those that can be considered at all, and the standing of those
/// that cannot.
///
/// 1. Edges outside of the fence, without an address of the family, or forced down are never named; the rules below are about
///    the others only. What a fence keeps apart, no outage mixes.
/// 2. An edge is as good as the best of its addresses, and only those as good are named. Forced up is fit.
/// 3. Fit edges may be named.
/// 4. Those behind may be named unless enough are fit: two, and half (rounded up) of all that are fit or behind. So never fewer
///    than two edges, or half of them, are left on account of lag; and when the whole fleet lags, nobody is dropped.
/// 5. Only if there are none of these, those about to end may be named.
/// 6. Only if there are none of these either, those down may be named, all of them, if the policy wants it.
pub(super) fn judge(
    edges: &[Result<Grade, Standing>],
    force: impl Fn(usize) -> Force,
    all_down: AllDown,
) -> Vec<Standing> {
    let count = |grade| edges.iter().filter(|edge| **edge == Ok(grade)).count();
    let (fit, behind, draining) = (count(Grade::Fit), count(Grade::Behind), count(Grade::Draining));
    let enough_fit = fit >= 2.max((fit + behind).div_ceil(2));
    let stand = |(edge, grade): (usize, &Result<Grade, Standing>)| match *grade {
        Err(standing) => standing,
        Ok(Grade::Fit) if force(edge) == Force::Up => Standing::ForcedUp,
        Ok(Grade::Fit) => Standing::Fit,
        Ok(Grade::Behind) if enough_fit => Standing::Behind,
        Ok(Grade::Behind) => Standing::BehindKept,
        Ok(Grade::Draining) if fit + behind > 0 => Standing::Draining,
        Ok(Grade::Draining) => Standing::DrainingKept,
        Ok(Grade::Down) if fit + behind + draining > 0 || all_down == AllDown::Nothing => Standing::Down,
        Ok(Grade::Down) => Standing::DownKept,
    };
    edges.iter().enumerate().map(stand).collect()
}

impl Standing {
    /// Whether readers may be sent to it.
    pub(crate) fn may_be_named(self) -> bool {
        match self {
            Self::Fit | Self::ForcedUp | Self::BehindKept | Self::DrainingKept | Self::DownKept => true,
            Self::Behind | Self::Draining | Self::Down | Self::ForcedDown | Self::NoAddress | Self::OutsideFence => {
                false
            }
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Fit => "up and current",
            Self::ForcedUp => "forced up",
            Self::BehindKept => "behind, but too few are current",
            Self::DrainingKept => "draining, but no other is up",
            Self::DownKept => "down, but so are all: they count as up",
            Self::Behind => "behind",
            Self::Draining => "draining",
            Self::Down => "down",
            Self::ForcedDown => "forced down",
            Self::NoAddress => "no address of this family",
            Self::OutsideFence => "outside the fence",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(grades: &str, all_down: AllDown) -> String {
        let grade = |letter| match letter {
            'f' => Ok(Grade::Fit),
            'b' => Ok(Grade::Behind),
            'd' => Ok(Grade::Draining),
            '-' => Ok(Grade::Down),
            _ => Err(Standing::OutsideFence),
        };
        let grades: Vec<_> = grades.chars().map(grade).collect();
        let standings = judge(&grades, |_| Force::Auto, all_down);
        standings.iter().map(|standing| if standing.may_be_named() { 'Y' } else { '.' }).collect()
    }

    #[test]
    fn who_may_be_named() {
        for (grades, expected) in [
            ("", ""),
            ("f", "Y"),
            ("ffd-", "YY.."),
            // Lag: never below two edges, nor below half.
            ("fb", "YY"),
            ("ffb", "YY."),
            ("fbb", "YYY"),
            ("ffbb", "YY.."),
            ("ffbbb", "YYYYY"),
            ("fffbbb", "YYY..."),
            ("fffbbbb", "YYYYYYY"),
            ("bbb", "YYY"),
            // Those that are down or about to end are not counted.
            ("ffb-----", "YY......"),
            ("ffbddddd", "YY......"),
            ("fb-d", "YY.."),
            ("b-d", "Y.."),
            // Nobody fit.
            ("d--", "Y.."),
            ("dd", "YY"),
            ("---", "YYY"),
            // A fence is never broken.
            ("--o", "YY."),
            ("fo", "Y."),
            ("o", "."),
        ] {
            assert_eq!(judged(grades, AllDown::AsIfUp), expected, "{grades}");
        }
        assert_eq!(judged("--o", AllDown::Nothing), "...");
        assert_eq!(judged("d-", AllDown::Nothing), "Y.");
    }

    #[test]
    fn grades() {
        let good = Condition::default();
        for (condition, grade) in [
            (good, Grade::Fit),
            (Condition { shaky: true, ..good }, Grade::Fit),
            (Condition { lagging: true, ..good }, Grade::Behind),
            (Condition { draining: true, ..good }, Grade::Draining),
            (Condition { draining: true, lagging: true, ..good }, Grade::Draining),
            (Condition { up: false, shaky: true, lagging: true, draining: true }, Grade::Down),
        ] {
            assert_eq!(Grade::of(Force::Auto, condition), grade);
            assert_eq!(Grade::of(Force::Up, condition), Grade::Fit);
        }
    }
}
