//! The name server of a cluster.

use verge_daemon::data_dir::DataDirError;
use verge_daemon::listen::Listen;
use verge_daemon::origins::OriginUrl;
use verge_daemon::{DataDir, Secret};
use verge_geodns::config::ZoneConfig;
use verge_geodns::{BindError, Config, GeoDns};
use verge_protocol::{DomainName, NameServerName};

use super::cluster::{ClusterError, DRAIN_TIMEOUT, Plan};
use super::places;

/// The zone in which sites hang. Names below `test` are nobody's, kept for such as this (RFC 6761 §6.2).
pub const ZONE: &str = "verge.test";

/// What the node is called, and its host in the zone.
pub(super) const NAME: &str = "ns-1";

/// What is forgotten soon can be tried out at once.
const ZONE_FILE: &str = "\
; The zone of `verge up`, written anew at each start. What is changed here meanwhile counts at once.
$TTL 5
@     IN SOA  ns-1 hostmaster ( 1 7200 900 1209600 5 )
      IN NS   ns-1
ns-1  IN A    127.0.0.1
";

/// Its name.
pub(super) fn name() -> NameServerName {
    NAME.parse().expect("the name server's name is a name")
}

/// The zone's name.
pub(super) fn zone() -> DomainName {
    ZONE.parse().expect("the zone is a domain")
}

/// Starts it. Returns once its ports are open; it has heard nothing yet.
pub(super) async fn start(plan: &Plan, origin: OriginUrl, token: Secret) -> Result<GeoDns, ClusterError> {
    let data = plan.data.join(NAME);
    let file = format!("{ZONE}.zone");
    let zone = ZoneConfig { name: zone(), file: data.join(&file), sites: true };
    let networks = places::READERS.iter().flat_map(|readers| readers.networks.map(|network| (network, readers.city())));
    let places = networks.map(|(network, city)| (network.parse().expect("a network is a network"), city.place()));
    let config = Config {
        listen: vec![plan.ports.dns()],
        private_listen: Listen::Bind(plan.ports.dns_private()),
        locations: places.collect(),
        drain_timeout: DRAIN_TIMEOUT,
        ..Config::new(name(), origin, token, data.clone(), vec![zone])
    };
    let write = move || {
        let folder = DataDir::open(&data)?;
        folder.replace(&file, ZONE_FILE.as_bytes()).map_err(|source| DataDirError::Unusable { path: data, source })
    };
    tokio::task::spawn_blocking(write).await.map_err(|error| failed(&error.into()))??;
    GeoDns::bind(config).await.map_err(|error| match error {
        BindError::Listen(error) => ClusterError::Listen(error),
        BindError::Data(error) => ClusterError::Data(error),
        error => failed(&error.into()),
    })
}

fn failed(error: &anyhow::Error) -> ClusterError {
    ClusterError::Part { part: "the name server".to_owned(), reason: format!("{error:#}") }
}
