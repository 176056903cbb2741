//! What is known of each edge during a rollout. Pure: events in, text out.

use std::collections::BTreeMap;

use verge_protocol::api::{LaggingEdge, Progress};
use verge_protocol::canary::ResponseCounts;
use verge_protocol::{EdgeName, ReleaseNumber};

use super::confirmations::Confirmations;
use super::edge_state::EdgeState;
use crate::output::human;

/// The edges of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct EdgeTable {
    encoded: u64,
    release: Option<ReleaseNumber>,
    is_released: bool,
    /// The canary: milliseconds since it began and that it lasts, and what readers got.
    canary: Option<(u64, u64, ResponseCounts)>,
    edges: BTreeMap<EdgeName, EdgeState>,
    /// How many edges are waited for. An older origin does not name them, but counts them.
    total: u64,
    elapsed_ms: u64,
}

/// How far a rollout has come: greater is further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Milestone {
    is_released: bool,
    live: usize,
    prepared: usize,
    canary_ms: u64,
    fetched: u64,
    encoded: u64,
}

impl EdgeTable {
    /// Takes an event. Returns the edges whose state has changed, by more than a number of bytes. A repeated request starts again
    /// from the state that the rollout has: its first events may repeat what is known.
    pub(super) fn apply(&mut self, event: &Progress) -> Vec<EdgeName> {
        match event {
            Progress::Preparing { release, edges } => {
                self.release = Some(*release);
                self.total = edges.len() as u64;
                self.edges.retain(|name, _| edges.contains(name));
                for edge in edges {
                    self.edges.entry(edge.clone()).or_insert(EdgeState::Waiting);
                }
                Vec::new()
            }
            Progress::Fetching { edge, done, total, problem } => {
                self.set(edge, EdgeState::Fetching { done: *done, total: *total, problem: problem.clone() })
            }
            Progress::Prepared { edge, total, .. } => {
                self.total = *total;
                self.set(edge, EdgeState::Prepared)
            }
            Progress::Canary { edges, elapsed_ms, duration_ms, canary, .. } => {
                self.canary = Some((*elapsed_ms, *duration_ms, *canary));
                edges.iter().flat_map(|edge| self.set(edge, EdgeState::Canary)).collect()
            }
            Progress::Released { release, .. } => {
                (self.release, self.is_released) = (Some(*release), true);
                Vec::new()
            }
            Progress::Confirmed { edge, total, elapsed_ms, .. } => {
                self.total = *total;
                self.elapsed_ms = self.elapsed_ms.max(*elapsed_ms);
                self.set(edge, EdgeState::Live { elapsed_ms: *elapsed_ms })
            }
            Progress::Finished { confirmed, lagging, elapsed_ms } => {
                self.total = confirmed.len() as u64 + lagging.iter().filter(|lagging| !lagging.away).count() as u64;
                self.elapsed_ms = *elapsed_ms;
                let mut changed = Vec::new();
                for LaggingEdge { edge, reason, away, .. } in lagging {
                    changed.extend(self.set(edge, EdgeState::Lagging { reason: reason.clone(), is_away: *away }));
                }
                for edge in confirmed {
                    let known = match self.edges.get(edge) {
                        Some(live @ EdgeState::Live { .. }) => live.clone(),
                        _ => EdgeState::Live { elapsed_ms: 0 },
                    };
                    changed.extend(self.set(edge, known));
                }
                changed
            }
            Progress::Encoding { done, .. } => {
                self.encoded = *done;
                Vec::new()
            }
            Progress::Failed(_) | Progress::Unknown => Vec::new(),
        }
    }

    fn set(&mut self, edge: &EdgeName, state: EdgeState) -> Vec<EdgeName> {
        let before = self.edges.insert(edge.clone(), state);
        let is_news = before.is_none_or(|before| self.edges[edge].is_news_after(&before));
        is_news.then(|| edge.clone()).into_iter().collect()
    }

    /// Whether a few edges served the release first.
    pub(super) fn was_tried(&self) -> bool {
        self.canary.is_some()
    }

    /// The state of an edge.
    pub(super) fn state(&self, edge: &EdgeName) -> Option<&EdgeState> {
        self.edges.get(edge)
    }

    /// The release, once it exists.
    pub(super) fn release(&self) -> Option<ReleaseNumber> {
        self.release
    }

    /// How far the rollout is.
    pub(super) fn milestone(&self) -> Milestone {
        let fetched = self.edges.values().map(|state| match state {
            EdgeState::Fetching { done, .. } => *done,
            _ => 0,
        });
        Milestone {
            is_released: self.is_released,
            live: self.count(EdgeState::is_live),
            prepared: self.count(EdgeState::is_prepared),
            canary_ms: self.canary.map_or(0, |(elapsed, ..)| elapsed),
            fetched: fetched.sum(),
            encoded: self.encoded,
        }
    }

    /// Who serves the release so far, as if the rollout had ended now.
    pub(super) fn confirmations(&self) -> Confirmations {
        let names = |which: fn(&EdgeState) -> bool| {
            self.edges.iter().filter(|(_, state)| which(state)).map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        Confirmations {
            confirmed: names(EdgeState::is_live),
            lagging: Vec::new(),
            pending: names(|state| !state.is_live()),
            total: self.total,
            elapsed_ms: self.elapsed_ms,
        }
    }

    /// One line on the rollout as a whole; `None` before it concerns edges.
    pub(super) fn heading(&self) -> Option<String> {
        let release = self.release?;
        let of_total = |done: usize| format!("{done} of {}", human::count(self.total, "edge"));
        match (self.is_released, self.total) {
            (true, 0) => Some(format!("{release} is released, waiting for the edges")),
            (true, _) => Some(format!("{release} is live on {}", of_total(self.count(EdgeState::is_live)))),
            (false, _) if let Some((elapsed, duration, counts)) = self.canary => Some(format!(
                "trying {release} for {} s of {} s: {}, {} not found, {} failed",
                elapsed / 1000,
                duration / 1000,
                human::count(counts.responses, "response"),
                counts.not_found,
                counts.server_errors,
            )),
            (false, _) => {
                Some(format!("preparing {release}: {} prepared", of_total(self.count(EdgeState::is_prepared))))
            }
        }
    }

    /// The heading, and below it at most `max` lines on edges: all, or if there are more, those which are not done yet.
    pub(super) fn lines(&self, max: usize) -> Vec<String> {
        let Some(heading) = self.heading() else { return Vec::new() };
        let is_done: fn(&EdgeState) -> bool =
            if self.is_released { EdgeState::is_live } else { EdgeState::is_prepared };
        let mut rows: Vec<(&EdgeName, &EdgeState)> = self.edges.iter().collect();
        if rows.len() > max {
            rows.retain(|(_, state)| !is_done(state));
        }
        let shown = if rows.len() > max { max.saturating_sub(1) } else { rows.len() };
        let width = rows[..shown].iter().map(|(name, _)| name.as_str().len()).max().unwrap_or_default();
        let mut lines = vec![heading];
        lines.extend(rows[..shown].iter().map(|(name, state)| format!("  {:<width$}  {state}", name.as_str())));
        if rows.len() > shown {
            lines.push(format!("  and {} more", rows.len() - shown));
        }
        lines
    }

    fn count(&self, which: fn(&EdgeState) -> bool) -> usize {
        self.edges.values().filter(|state| which(state)).count()
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::{Digest, Seq};

    use super::*;

    fn edge(name: &str) -> EdgeName {
        name.parse().unwrap()
    }

    fn preparing(edges: &[&str]) -> Progress {
        Progress::Preparing { release: ReleaseNumber(8), edges: edges.iter().map(|name| edge(name)).collect() }
    }

    fn fetching(name: &str, done: u64, problem: Option<&str>) -> Progress {
        Progress::Fetching { edge: edge(name), done, total: 9_800_000, problem: problem.map(str::to_owned) }
    }

    fn prepared(name: &str, done: u64, total: u64) -> Progress {
        Progress::Prepared { edge: edge(name), done, total }
    }

    fn released() -> Progress {
        Progress::Released {
            release: ReleaseNumber(8),
            manifest: Digest::of(b"m"),
            epoch: Seq(1),
            url: "http://demo.localhost/".into(),
            warnings: vec![],
        }
    }

    fn confirmed(name: &str, done: u64, total: u64, elapsed_ms: u64) -> Progress {
        Progress::Confirmed { edge: edge(name), done, total, elapsed_ms }
    }

    fn fed(events: &[Progress]) -> EdgeTable {
        let mut table = EdgeTable::default();
        for event in events {
            table.apply(event);
        }
        table
    }

    fn shown(table: &EdgeTable) -> String {
        table.lines(5).join("\n")
    }

    #[test]
    fn each_edge_is_shown_from_waiting_to_live() {
        let mut table = fed(&[Progress::Encoding { done: 1, total: 2 }]);
        assert_eq!(table.lines(5), [""; 0], "nothing concerns edges yet");
        let mut frames = Vec::new();
        for events in [
            &[preparing(&["fra-1", "nyc-1", "sgp-10"])][..],
            &[fetching("fra-1", 3_100_000, None), fetching("nyc-1", 453_000, Some("the disk is\u{1b} full"))],
            &[prepared("fra-1", 1, 3), prepared("sgp-10", 2, 3)],
            &[released()],
            &[confirmed("fra-1", 1, 3, 12), confirmed("sgp-10", 2, 3, 1_240)],
        ] {
            for event in events {
                table.apply(event);
            }
            frames.push(shown(&table));
        }
        insta::assert_snapshot!(frames.join("\n\n"));
    }

    #[test]
    fn only_edges_that_are_not_done_are_shown_of_many() {
        let names: Vec<String> = (1..=60).map(|number| format!("edge-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut table = fed(&[preparing(&names)]);
        let all_waiting = shown(&table);
        for (at, name) in (1..).zip(&names[..57]) {
            table.apply(&prepared(name, at, 60));
        }
        let three_left = shown(&table);
        table.apply(&released());
        insta::assert_snapshot!([all_waiting, three_left, shown(&table)].join("\n\n"));
    }

    #[test]
    fn edges_of_an_older_origin_appear_as_they_confirm() {
        let mut table = fed(&[released()]);
        assert_eq!(table.lines(5), ["v8 is released, waiting for the edges"]);
        table.apply(&confirmed("fra-1", 1, 2, 0));
        assert_eq!(table.lines(5), ["v8 is live on 1 of 2 edges", "  fra-1  live"]);
    }

    #[test]
    fn bytes_alone_are_no_change() {
        let mut table = fed(&[preparing(&["a"])]);
        assert_eq!(table.apply(&fetching("a", 0, None)), [edge("a")]);
        assert_eq!(table.apply(&fetching("a", 4_000_000, None)), []);
        assert_eq!(table.apply(&fetching("a", 4_000_000, Some("slow"))), [edge("a")]);
        assert_eq!(table.apply(&prepared("a", 1, 1)), [edge("a")]);
        assert_eq!(table.apply(&prepared("a", 1, 1)), []);
    }

    #[test]
    fn repeated_events_continue_where_the_rollout_is() {
        let begun = [preparing(&["a", "b", "gone"]), prepared("a", 1, 3), fetching("b", 5, None)];
        let mut table = fed(&begun);
        let milestone = table.milestone();
        // The second answer: one edge is not waited for any more.
        assert_eq!(table.apply(&preparing(&["a", "b"])), []);
        assert_eq!(table.apply(&prepared("a", 1, 2)), []);
        assert_eq!(table.milestone(), milestone);
        assert_eq!(shown(&table), "preparing v8: 1 of 2 edges prepared\n  a  prepared\n  b  fetching 5 B of 9.8 MB");
        table.apply(&fetching("b", 6, None));
        assert!(table.milestone() > milestone);
        let fetched = table.milestone();
        table.apply(&released());
        assert!(table.milestone() > fetched);
        assert!(fed(&[Progress::Encoding { done: 1, total: 2 }]).milestone() > Milestone::default());
    }

    #[test]
    fn confirmations_name_who_serves_the_release_so_far() {
        let table = fed(&[preparing(&["a", "b"]), released(), confirmed("a", 1, 2, 12)]);
        let so_far = table.confirmations();
        assert_eq!((so_far.confirmed, so_far.pending), (vec![edge("a")], vec![edge("b")]));
        assert_eq!((so_far.total, so_far.elapsed_ms), (2, 12));
    }

    #[test]
    fn finish_names_lagging_and_away_edges() {
        let lagging = |name: &str, away| LaggingEdge { edge: edge(name), reason: "slow".into(), away, last_seen: None };
        let finished = Progress::Finished {
            confirmed: vec![edge("a")],
            lagging: vec![lagging("b", false), lagging("c", true)],
            elapsed_ms: 84,
        };
        let table = fed(&[preparing(&["a", "b"]), released(), confirmed("a", 1, 2, 84), finished]);
        assert_eq!(
            shown(&table),
            "v8 is live on 1 of 2 edges\n  a  live in 84 ms\n  b  lagging: slow\n  c  away: slow"
        );
    }
}
