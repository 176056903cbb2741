//! Rows that the summaries of a push and a rollback share.

use console::Style;

use crate::rollout::Confirmations;

/// A row: a label and its value.
pub(super) fn row(label: &str, value: &str, style: &Style) -> String {
    format!("  {}  {value}", style.clone().dim().apply_to(format!("{label:<5}")))
}

/// Every edge with a mark: serves the release, or does not yet.
pub(super) fn edges(confirmations: &Confirmations, style: &Style) -> String {
    let Confirmations { confirmed, lagging } = confirmations;
    if confirmed.is_empty() && lagging.is_empty() {
        return "no edge is connected".to_owned();
    }
    let confirmed = confirmed.iter().map(|edge| format!("{} {edge}", style.clone().green().apply_to("✓")));
    let lagging = lagging.iter().map(|lagging| format!("{} {}", style.clone().red().apply_to("✗"), lagging.edge));
    confirmed.chain(lagging).collect::<Vec<_>>().join("  ")
}

/// A URL.
pub(super) fn link(url: &str, style: &Style) -> String {
    style.clone().underlined().apply_to(url).to_string()
}
