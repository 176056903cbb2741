//! Rows that the summaries of a push and a rollback share.

use console::Style;
use verge_protocol::EdgeName;

use crate::output::{Output, human};
use crate::rollout::{Confirmations, EdgeCheck, Rollout};

/// In place of the label of a [`row`], on its further lines.
const INDENT: &str = "         ";

/// How many edges that serve a release are named.
const NAMES_MAX: usize = 12;

/// A row: a label and its value.
pub(super) fn row(label: &str, value: &str, style: &Style) -> String {
    format!("  {}  {value}", style.clone().dim().apply_to(format!("{label:<5}")))
}

/// Edges with a mark: serves the release, does not, or had not confirmed when the command ended. Of many that serve it only the number is shown. Wraps between edges.
pub(super) fn edges(rollout: &Rollout, output: &Output) -> String {
    let style = output.results_style();
    let Confirmations { confirmed, lagging, pending, total, .. } = &rollout.confirmations;
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
    let reason = if rollout.interruption.is_some() { "" } else { " (not waited for)" };
    let named = pending.iter().take(NAMES_MAX);
    // Edges that had nothing to prepare are not named before they confirm.
    let waited_for = confirmed.len() + lagging.iter().filter(|lagging| !lagging.away).count() + named.len();
    let unnamed = (*total).saturating_sub(waited_for as u64).max((pending.len() - named.len()) as u64);
    parts.extend(named.map(|edge| format!("{open} {edge}{reason}")));
    if unnamed > 0 {
        parts.push(format!("{open} {unnamed} more{reason}"));
    }
    let max = output.options().width.map_or(usize::MAX, usize::from).saturating_sub(INDENT.len());
    let mut text = String::new();
    let mut column = 0;
    for part in parts {
        let width = console::measure_text_width(&part);
        if column > 0 && column + 2 + width > max {
            text.push('\n');
            text.push_str(INDENT);
            column = 0;
        } else if column > 0 {
            text.push_str("  ");
            column += 2;
        }
        text.push_str(&part);
        column += width;
    }
    text
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
    let current = Some(rollout.released.release);
    let seen = rollout.checked.iter().filter(|check| check.release == current).count();
    let not_reached = rollout.checked.iter().filter(|check| !check.reached).count();
    match (seen, not_reached) {
        (0, 0) => String::new(),
        (seen, 0) => format!(" ({seen} seen)"),
        (seen, others) => format!(" ({seen} seen, {others} not reachable from here)"),
    }
}

/// A URL.
pub(super) fn link(url: &str, style: &Style) -> String {
    style.clone().underlined().apply_to(url).to_string()
}

#[cfg(test)]
mod tests {
    use verge_protocol::api::LaggingEdge;
    use verge_protocol::{Digest, ReleaseNumber, Seq};

    use super::*;
    use crate::output::OutputOptions;
    use crate::rollout::{Released, Wait};

    fn rollout(confirmed: usize) -> Rollout {
        let released = Released {
            release: ReleaseNumber(8),
            manifest: Digest::of(b"m"),
            epoch: Seq(9),
            url: "http://demo.localhost/".to_owned(),
            warnings: Vec::new(),
        };
        let edge = |name: &str| name.parse().unwrap();
        let lagging = |name: &str, away| LaggingEdge { edge: edge(name), reason: "slow".into(), away, last_seen: None };
        let confirmed: Vec<EdgeName> = (1..=confirmed).map(|number| edge(&format!("fra-{number}"))).collect();
        let check = |(edge, at): (&EdgeName, usize)| EdgeCheck {
            edge: edge.clone(),
            reached: at != 1,
            status: (at != 1).then_some(200),
            release: [Some(8), None, None, Some(7)].get(at).copied().unwrap_or(Some(8)).map(ReleaseNumber),
        };
        let checked = confirmed.iter().zip(0..).map(check).collect();
        let confirmations = Confirmations {
            confirmed,
            lagging: vec![lagging("nyc-1", false), lagging("old-1", true)],
            pending: vec![edge("sgp-1")],
            ..Confirmations::default()
        };
        Rollout {
            released,
            confirmations,
            edges_are_known: true,
            interruption: None,
            checked,
            replaced_by: None,
            wait: Wait::All,
            was_tried: false,
        }
    }

    fn shown(rollout: &Rollout, width: u16) -> String {
        let options = OutputOptions { width: Some(width), ..OutputOptions::default() };
        let output = Output::new(std::io::sink(), std::io::sink(), options);
        row("edges", &edges(rollout, &output), &output.results_style())
    }

    #[test]
    fn edges_are_shown_with_what_they_answered() {
        let none = Rollout { confirmations: Confirmations::default(), ..rollout(0) };
        insta::assert_snapshot!([shown(&rollout(5), 80), shown(&rollout(40), 80), shown(&none, 80)].join("\n\n"));
    }

    #[test]
    fn edges_that_a_share_does_not_wait_for_are_shown_whether_or_not_they_are_named() {
        let mut rollout = rollout(2);
        rollout.checked.clear();
        let confirmations = &mut rollout.confirmations;
        (confirmations.lagging, confirmations.total) = (Vec::new(), 5);
        let named = shown(&rollout, 90);
        rollout.confirmations.pending.clear();
        assert_eq!(
            [named, shown(&rollout, 90)],
            [
                "  edges  ✓ fra-1  ✓ fra-2  … sgp-1 (not waited for)  … 2 more (not waited for)",
                "  edges  ✓ fra-1  ✓ fra-2  … 3 more (not waited for)",
            ]
        );
        rollout.interruption = Some("cut".to_owned());
        assert_eq!(shown(&rollout, 90), "  edges  ✓ fra-1  ✓ fra-2  … 3 more");
    }
}
