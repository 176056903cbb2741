//! Rows that end a push and a rollback alike.

use console::Style;

use crate::follow::Edges;

/// A row of a summary: what it is about, and what there is to say.
pub(super) fn row(label: &str, value: &str, style: &Style) -> String {
    format!("  {}  {value}", style.clone().dim().apply_to(format!("{label:<5}")))
}

/// Every edge with a mark: serves it, or does not yet.
pub(super) fn edges(edges: &Edges, style: &Style) -> String {
    if edges.confirmed.is_empty() && edges.lagging.is_empty() {
        return "none is connected yet".to_owned();
    }
    let good = edges.confirmed.iter().map(|edge| format!("{} {edge}", style.clone().green().apply_to("✓")));
    let bad = edges.lagging.iter().map(|laggard| format!("{} {}", style.clone().red().apply_to("✗"), laggard.edge));
    good.chain(bad).collect::<Vec<_>>().join("  ")
}

/// An address to open.
pub(super) fn link(url: &str, style: &Style) -> String {
    style.clone().underlined().apply_to(url).to_string()
}
