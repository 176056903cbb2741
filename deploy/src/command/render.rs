//! Rows that the summaries of a push and a rollback share.

use console::Style;
use verge_protocol::EdgeName;

use crate::output::human;
use crate::rollout::{Confirmations, EdgeCheck, Rollout};

/// How many edges that serve a release are named.
const NAMES_MAX: usize = 12;

/// A row: a label and its value.
pub(super) fn row(label: &str, value: &str, style: &Style) -> String {
    format!("  {}  {value}", style.clone().dim().apply_to(format!("{label:<5}")))
}

/// Edges with a mark: serves the release, or does not yet. Of many that serve it only the number is shown.
pub(super) fn edges(rollout: &Rollout, style: &Style) -> String {
    let Confirmations { confirmed, lagging, pending, .. } = &rollout.confirmations;
    if confirmed.is_empty() && lagging.is_empty() && pending.is_empty() {
        return "no edge is connected".to_owned();
    }
    let [good, bad, open] =
        [style.clone().green().apply_to("✓"), style.clone().red().apply_to("✗"), style.clone().dim().apply_to("…")];
    let mut parts = Vec::new();
    if confirmed.len() > NAMES_MAX {
        parts.push(format!("{good} {}{}", human::count(confirmed.len() as u64, "edge"), summary_of_checks(rollout)));
    } else {
        parts.extend(confirmed.iter().map(|edge| format!("{good} {edge}{}", check_of(edge, rollout))));
    }
    parts.extend(lagging.iter().map(|lagging| {
        let away = if lagging.away { " (away)" } else { "" };
        format!("{bad} {}{away}", lagging.edge)
    }));
    parts.extend(pending.iter().take(NAMES_MAX).map(|edge| format!("{open} {edge}")));
    if pending.len() > NAMES_MAX {
        parts.push(format!("{open} {} more", pending.len() - NAMES_MAX));
    }
    parts.join("  ")
}

/// What an edge answered itself.
fn check_of(edge: &EdgeName, rollout: &Rollout) -> String {
    match rollout.checked.iter().find(|check| check.edge == *edge) {
        None => String::new(),
        Some(EdgeCheck { release: Some(release), .. }) if *release == rollout.released.release => " (seen)".to_owned(),
        Some(EdgeCheck { release: Some(release), .. }) => format!(" (serves {release})"),
        Some(EdgeCheck { reached: true, .. }) => " (answers without a release)".to_owned(),
        Some(_) => " (not reachable from here)".to_owned(),
    }
}

fn summary_of_checks(rollout: &Rollout) -> String {
    let count = |which: fn(&EdgeCheck) -> bool| rollout.checked.iter().filter(|check| which(check)).count();
    match (count(|check| check.reached), count(|check| !check.reached)) {
        (0, 0) => String::new(),
        (seen, 0) => format!(" ({seen} seen)"),
        (seen, others) => format!(" ({seen} seen, {others} not reachable from here)"),
    }
}

/// A URL.
pub(super) fn link(url: &str, style: &Style) -> String {
    style.clone().underlined().apply_to(url).to_string()
}
