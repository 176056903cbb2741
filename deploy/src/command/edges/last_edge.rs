//! What DNS answers have left without an edge.

use verge_protocol::api::Edge;
use verge_protocol::{EdgeName, Timestamp};

use crate::command::{region_check, status};

/// The effect of taking `edge` out of DNS answers, if no live edge would be left in them. `None`: one would be left, or `edge` is not in
/// any answer.
///
/// Name servers decide by their own health checks, which the origin does not know: an edge that does not report may still serve.
pub(super) fn consequence(edge: &EdgeName, edges: &[Edge], now: Timestamp) -> Option<String> {
    let in_answers = || edges.iter().filter(|edge| edge.state.as_ref().is_some_and(region_check::is_available));
    let removed = in_answers().find(|known| known.name == *edge)?;
    let left: Vec<&Edge> = in_answers().filter(|known| known.name != *edge).collect();
    if left.iter().any(|edge| edge.live) {
        return None;
    }
    let reason = if removed.live {
        format!("{edge} is the last edge that answers")
    } else {
        format!("no live edge is left without {edge}")
    };
    let left: Vec<String> = left.iter().map(|edge| format!("{} ({})", edge.name, status::state(edge, now))).collect();
    Some(if left.is_empty() {
        format!("{reason}: DNS would return no address for any site")
    } else {
        format!("{reason}: readers would be sent to edges that do not report, {}", left.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const UP: &str = "auto";

    fn edge(name: &str, live: bool, force: &str) -> Value {
        let state = json!({ "addresses": ["192.0.2.1"], "force": force });
        json!({ "name": name, "live": live, "last_seen": 0, "state": state })
    }

    /// The effect of taking `fra-1` out.
    fn without_fra(edges: &[Value]) -> Option<String> {
        let edges: Vec<Edge> = edges.iter().map(|edge| serde_json::from_value(edge.clone()).unwrap()).collect();
        consequence(&"fra-1".parse().unwrap(), &edges, Timestamp(60_000))
    }

    #[test]
    fn edge_beside_a_live_one_has_no_consequence() {
        assert_eq!(without_fra(&[edge("fra-1", true, UP), edge("nyc-1", true, UP)]), None);
        assert_eq!(without_fra(&[edge("fra-1", true, UP), edge("nyc-1", false, UP), edge("sgp-1", true, "up")]), None);
    }

    #[test]
    fn last_edge_in_dns_answers_leaves_none() {
        let none = "fra-1 is the last edge that answers: DNS would return no address for any site";
        let fra = || edge("fra-1", true, UP);
        assert_eq!(without_fra(&[fra()]).unwrap(), none);
        assert_eq!(without_fra(&[fra(), edge("nyc-1", true, "down")]).unwrap(), none);
        let unconfigured = json!({ "name": "nyc-1", "live": true, "state": null });
        let without_address = json!({ "name": "sgp-1", "live": true, "state": { "addresses": [] } });
        assert_eq!(without_fra(&[fra(), unconfigured, without_address]).unwrap(), none);
        assert_eq!(
            without_fra(&[edge("fra-1", false, UP)]).unwrap(),
            "no live edge is left without fra-1: DNS would return no address for any site"
        );
    }

    #[test]
    fn last_live_edge_leaves_edges_that_do_not_report() {
        let mut draining = edge("sgp-1", false, UP);
        (draining["draining"], draining["last_seen"]) = (true.into(), 55_000.into());
        assert_eq!(
            without_fra(&[edge("fra-1", true, UP), edge("nyc-1", false, UP), draining]).unwrap(),
            "fra-1 is the last edge that answers: readers would be sent to edges that do not report, nyc-1 (offline), \
             sgp-1 (draining)"
        );
    }

    #[test]
    fn edge_that_is_in_no_answer_has_no_consequence() {
        assert_eq!(without_fra(&[]), None);
        assert_eq!(without_fra(&[edge("fra-1", true, "down"), edge("nyc-1", false, UP)]), None);
        assert_eq!(without_fra(&[json!({ "name": "fra-1", "live": true, "state": null })]), None);
    }
}
