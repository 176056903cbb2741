//! The zones, and the name servers that serve them.

use std::path::Path;
use std::time::Duration;

use verge_geodns::Config;
use verge_geodns::config::ZoneConfig;
use verge_protocol::{DomainName, NameServerName};

use super::node::NodeSeat;
use super::origin::OriginSeat;
use super::{BASE, Places, Plan, Region};
use crate::hosts::Router;

/// Starts the name server of `test`, and those of the zone of the sites.
pub(super) async fn start(
    router: &mut Router,
    origin: &OriginSeat,
    plan: &Plan,
    folder: &Path,
) -> (NodeSeat, Vec<NodeSeat>) {
    let hosts = [
        ("ns-1", router.add("ns-1", Region::Europe.v4(53), Region::Europe.v6(0, 53)).await),
        ("ns-2", router.add("ns-2", Region::America.v4(53), Region::America.v6(0, 53)).await),
    ];
    let above = router.add("ns", Region::Asia.v4(53), Region::Asia.v6(0, 53)).await;
    let soa = "$TTL 3600\n@ IN SOA ns hostmaster ( 1 7200 900 1209600 300 )\n";
    let names = "@ IN NS ns-1\n@ IN NS ns-2\n";
    let [one, two] = hosts.each_ref().map(|(name, host)| format!("{name} IN A {}\n", host.v4()));
    // What is below `fresh` is in no cache until somebody asks for it.
    let own = format!("{soa}{names}{one}{two}*.fresh 1 IN A {}\n", origin.host.v4());
    let delegation = format!("$ORIGIN {BASE}.\n{names}{one}{two}");
    let parent = format!("{soa}@ IN NS ns\nns IN A {}\n{delegation}", above.v4());
    let database = folder.join("places.mmdb");
    Places::write_database(&database);

    let zone = |name: &str, text: &str, sites| {
        let file = folder.join(format!("{name}.zone"));
        std::fs::write(&file, text).unwrap();
        vec![ZoneConfig { name: name.parse::<DomainName>().unwrap(), file, sites }]
    };
    let config = async |name: &str, zones| {
        let node: NameServerName = name.parse().unwrap();
        let token = origin.node_token(&node).await;
        Config {
            locations: plan.places.overrides(),
            database: (plan.places == Places::Database).then(|| database.clone()),
            answers: plan.answers,
            health: plan.health.clone(),
            drain_timeout: Duration::from_secs(5),
            ..Config::new(node, origin.url(), token, folder.join(name), zones)
        }
    };
    let above_config = config("above", zone("test", &parent, false)).await;
    let above = NodeSeat::start(above, above_config).await;
    let mut nodes = Vec::new();
    for (name, host) in hosts {
        let config = config(name, zone(BASE, &own, true)).await;
        nodes.push(NodeSeat::start(host, config).await);
    }
    (above, nodes)
}
