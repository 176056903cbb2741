//! Sites whose readers get no address: they are kept to regions in which no edge is left.

use verge_protocol::Region;
use verge_protocol::api::Site;
use verge_protocol::fleet::{EdgeState, Force};

use super::Context;
use crate::client::{Client, Overview as Status};

/// Warns of each such site after edges have changed. What was asked for has been done by then: that the origin does not tell how
/// things are now is no failure.
pub(super) async fn check(client: &Client, context: &Context<'_>) {
    if let Ok(status) = client.overview().await {
        warn(&status, context);
    }
}

/// Warns of each such site.
pub(super) fn warn(status: &Status, context: &Context<'_>) {
    let program = &context.environment.program;
    for Site { name, regions: fence, .. } in abandoned(status) {
        let regions = fence.iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
        context
            .output
            .warn(format_args!("no edge is left for {name}, which is kept to {regions}: its readers get no address"));
        context.output.hint(format_args!(
            "`{program} sites fence {name} REGION` keeps them to another region, `{program} sites fence {name} --none` to none"
        ));
    }
}

fn abandoned(status: &Status) -> impl Iterator<Item = &Site> {
    let edges = || status.edges.iter().filter_map(|edge| edge.state.as_ref());
    let is_left =
        move |site: &Site| edges().any(|edge| takes_readers(edge) && !edge.regions.is_disjoint(&site.regions));
    status.sites.iter().filter(move |site| !site.regions.is_empty() && !is_left(site))
}

/// Whether readers could ever be sent to it: what probes say passes.
fn takes_readers(edge: &EdgeState) -> bool {
    !edge.addresses.is_empty() && edge.force != Force::Down
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn abandoned_by(edges: &[Value]) -> Vec<String> {
        let edge = |state: &Value| json!({ "name": "fra-1", "live": false, "state": state });
        let site = |name: &str, fence: &[&str]| json!({ "name": name, "created": 0, "url": "", "channels": [], "regions": fence });
        let status = json!({
            "position": "1-1",
            "version": "0.1.0",
            "edges": edges.iter().map(edge).collect::<Vec<_>>(),
            "sites": [site("free", &[]), site("european", &["eu"]), site("western", &["eu", "na"])],
        });
        abandoned(&serde_json::from_value(status).unwrap()).map(|site| site.name.to_string()).collect()
    }

    #[test]
    fn a_fence_needs_an_edge_that_takes_readers() {
        let edge = |region: &str| json!({ "addresses": ["192.0.2.1"], "regions": [region] });
        let none: [&str; 0] = [];
        assert_eq!(abandoned_by(&[edge("eu")]), none);
        assert_eq!(abandoned_by(&[edge("na"), edge("as")]), ["european"]);
        assert_eq!(abandoned_by(&[]), ["european", "western"]);
        for useless in [Value::Null, json!({ "regions": ["eu"] })] {
            assert_eq!(abandoned_by(&[useless.clone(), edge("na")]), ["european"], "{useless}");
        }
        let forced = |to: &str| json!({ "addresses": ["192.0.2.1"], "regions": ["eu"], "force": to });
        assert_eq!(abandoned_by(&[forced("down")]), ["european", "western"]);
        assert_eq!(abandoned_by(&[forced("up")]), none);
    }
}
