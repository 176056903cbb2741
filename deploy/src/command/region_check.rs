//! Warns about sites that are restricted to regions without an available edge.

use verge_protocol::Region;
use verge_protocol::api::{Edge, Site};
use verge_protocol::fleet::{EdgeState, Force};

use super::context::Context;
use crate::client::Client;

/// Warns about each such site after edges have changed. The change has been made by then, so errors of the origin are ignored.
pub(super) async fn warn_uncovered_regions(client: &Client, context: &Context<'_>) {
    if let Ok(edges) = client.get::<Vec<Edge>>("/v1/edges").await {
        warn_uncovered_sites(&edges, client, context).await;
    }
}

/// Warns about each such site, given the edges.
pub(super) async fn warn_uncovered_sites(edges: &[Edge], client: &Client, context: &Context<'_>) {
    if let Ok(sites) = client.sites().await {
        warn(edges, &sites, context);
    }
}

/// Warns about each such site, given the edges and the sites.
pub(super) fn warn(edges: &[Edge], sites: &[Site], context: &Context<'_>) {
    let program = &context.environment.program;
    for Site { name, regions, .. } in unserved(edges, sites) {
        let regions = regions.iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
        context.output.warn(format_args!(
            "no edge is available for {name}, which is restricted to {regions}: DNS returns no address"
        ));
        context.output.hint(format_args!(
            "use `{program} sites regions {name} REGION` to change the regions, or `{program} sites regions {name} --none` to allow all"
        ));
    }
}

fn unserved<'a>(edges: &'a [Edge], sites: &'a [Site]) -> impl Iterator<Item = &'a Site> {
    let states = || edges.iter().filter_map(|edge| edge.state.as_ref());
    let is_served =
        move |site: &Site| states().any(|edge| is_available(edge) && !edge.regions.is_disjoint(&site.regions));
    sites.iter().filter(move |site| !site.regions.is_empty() && !is_served(site))
}

/// Whether DNS may return the edge. Its current health does not matter.
pub(super) fn is_available(edge: &EdgeState) -> bool {
    !edge.addresses.is_empty() && edge.force != Force::Down
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn unserved_with(states: &[Value]) -> Vec<String> {
        let edges: Vec<Edge> = states
            .iter()
            .map(|state| serde_json::from_value(json!({ "name": "fra-1", "live": false, "state": state })).unwrap())
            .collect();
        let sites =
            [("unrestricted", &[][..]), ("european", &["eu"]), ("western", &["eu", "na"])].map(|(name, regions)| {
                let site = json!({ "name": name, "created": 0, "url": "", "channels": [], "regions": regions });
                serde_json::from_value(site).unwrap()
            });
        unserved(&edges, &sites).map(|site| site.name.to_string()).collect()
    }

    #[test]
    fn restricted_site_without_available_edge_is_unserved() {
        let edge = |region: &str| json!({ "addresses": ["192.0.2.1"], "regions": [region] });
        let none: [&str; 0] = [];
        assert_eq!(unserved_with(&[edge("eu")]), none);
        assert_eq!(unserved_with(&[edge("na"), edge("as")]), ["european"]);
        assert_eq!(unserved_with(&[]), ["european", "western"]);
        for unavailable in [Value::Null, json!({ "regions": ["eu"] })] {
            assert_eq!(unserved_with(&[unavailable.clone(), edge("na")]), ["european"], "{unavailable}");
        }
        let forced = |to: &str| json!({ "addresses": ["192.0.2.1"], "regions": ["eu"], "force": to });
        assert_eq!(unserved_with(&[forced("down")]), ["european", "western"]);
        assert_eq!(unserved_with(&[forced("up")]), none);
    }
}
