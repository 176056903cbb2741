//! Nodes as a table.

use verge_protocol::Timestamp;
use verge_protocol::api::NameServer;

use crate::output::{Output, human, table};

/// Every node that has a token.
pub(super) fn nodes(nodes: &[NameServer], now: Timestamp, output: &Output) -> String {
    if nodes.is_empty() {
        return "no node has a token yet: `verge dns token` issues one".to_owned();
    }
    let rows = nodes.iter().map(|node| vec![node.name.to_string(), human::age(node.issued.age(now))]).collect();
    table(output, &["node", "token issued"], rows)
}
