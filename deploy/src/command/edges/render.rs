//! Tables of edges.

use verge_protocol::api::Edge;
use verge_protocol::fleet::{EdgeState, Force};
use verge_protocol::{EdgeName, Timestamp};

use crate::command::status;
use crate::output::{Output, table};

/// In place of a table without rows.
pub(super) const NO_EDGES: &str = "no edges yet; register one with `verge edges add`";

/// The table of all edges.
pub(super) fn edges(edges: &[Edge], now: Timestamp, output: &Output) -> String {
    let row = |edge: &Edge| {
        let mut row = vec![edge.name.to_string(), status::state(edge, now)];
        match &edge.state {
            Some(state) => row.extend(cells(state)),
            None => row.push("not configured".to_owned()),
        }
        row
    };
    let rows = edges.iter().map(row).collect();
    table(output, &["edge", "state", "addresses", "location", "regions", "weight", "forced"], rows)
}

/// The table of one edge.
pub(super) fn edge(name: &EdgeName, state: &EdgeState, output: &Output) -> String {
    let row = [vec![name.to_string()], cells(state).into()].concat();
    table(output, &["edge", "addresses", "location", "regions", "weight", "forced"], vec![row])
}

fn cells(state: &EdgeState) -> [String; 5] {
    let address = |address: &std::net::IpAddr| {
        if state.port == EdgeState::PORT {
            address.to_string()
        } else {
            std::net::SocketAddr::new(*address, state.port).to_string()
        }
    };
    let addresses: Vec<String> = state.addresses.iter().map(address).collect();
    let regions: Vec<String> = state.regions.iter().map(ToString::to_string).collect();
    let forced = match state.force {
        Force::Up => "up",
        Force::Down => "down",
        Force::Auto => "",
    };
    [
        if addresses.is_empty() { "none".to_owned() } else { addresses.join("\n") },
        state.location.map_or_else(|| "unknown".to_owned(), |location| location.to_string()),
        regions.join(" "),
        state.weight.to_string(),
        forced.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::OutputOptions;

    #[test]
    fn settings_of_each_edge_are_shown() {
        let state = EdgeState {
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            port: 80,
            scheme: None,
            location: Some("50.11,8.68".parse().unwrap()),
            regions: ["eu".parse().unwrap(), "de".parse().unwrap()].into(),
            weight: 1,
            force: Force::Auto,
        };
        let far = EdgeState {
            port: 8080,
            scheme: None,
            location: None,
            regions: [].into(),
            weight: 20,
            force: Force::Down,
            ..state.clone()
        };
        let edge = |name: &str, live: bool, state: Option<EdgeState>| Edge {
            name: name.parse().unwrap(),
            url: None,
            live,
            draining: false,
            last_seen: live.then_some(Timestamp(0)),
            applied: None,
            lagging: vec![],
            lagging_omitted: 0,
            preparations: Vec::new(),
            purging: Vec::new(),
            purging_omitted: 0,
            version: None,
            state,
            has_token: true,
        };
        let all = [
            edge("fra-1", true, Some(state.clone())),
            edge("nyc-1", false, Some(far)),
            edge("sgp-1", true, None),
            edge("syd-1", false, Some(EdgeState { addresses: vec![], ..state.clone() })),
        ];
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        insta::assert_snapshot!(super::edges(&all, Timestamp(1000), &output));
        insta::assert_snapshot!(super::edge(&"fra-1".parse().unwrap(), &state, &output));
    }
}
