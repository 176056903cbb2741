//! The name server of a cluster.

use verge_daemon::data_dir::DataDirError;
use verge_daemon::listen::Listen;
use verge_daemon::origins::OriginUrl;
use verge_daemon::{DataDir, Secret};
use verge_geodns::config::ZoneConfig;
use verge_geodns::{BindError, Config, GeoDns};
use verge_protocol::{DomainName, NameServerName};

use super::config::{ClusterConfig, DRAIN_TIMEOUT};
use super::error::{ClusterError, start_failed};
use super::locations;

/// The base domain of sites. Names below `test` are reserved for testing (RFC 6761 §6.2).
pub const ZONE: &str = "verge.test";

/// The name of the name server, and its host name in the zone.
pub(super) const NAME: &str = "ns-1";

/// Short TTLs, so that changes can be tried at once.
const ZONE_FILE: &str = "\
; The zone of `verge up`, overwritten at each start. Changes made in between take effect at once.
$TTL 5
@     IN SOA  ns-1 hostmaster ( 1 7200 900 1209600 5 )
      IN NS   ns-1
ns-1  IN A    127.0.0.1
";

/// The name of the name server.
pub(super) fn name() -> NameServerName {
    NAME.parse().expect("the name is valid")
}

/// The name of the zone.
pub(super) fn zone() -> DomainName {
    ZONE.parse().expect("the zone is a valid domain")
}

/// Starts the name server. Returns once its ports are open; it has not received the state of the origin yet.
pub(super) async fn start(cluster: &ClusterConfig, origin: OriginUrl, token: Secret) -> Result<GeoDns, ClusterError> {
    let data = cluster.data.join(NAME);
    let file = format!("{ZONE}.zone");
    let zone = ZoneConfig { name: zone(), file: data.join(&file), sites: true };
    let networks =
        locations::READERS.iter().flat_map(|readers| readers.networks.map(|network| (network, readers.city())));
    let locations = networks.map(|(network, city)| (network.parse().expect("the network is valid"), city.location()));
    let config = Config {
        listen: vec![cluster.ports.dns()],
        private_listen: Listen::Bind(cluster.ports.dns_private()),
        locations: locations.collect(),
        drain_timeout: DRAIN_TIMEOUT,
        ..Config::new(name(), origin, token, data.clone(), vec![zone])
    };
    let write = move || {
        let dir = DataDir::open(&data)?;
        dir.replace(&file, ZONE_FILE.as_bytes()).map_err(|source| DataDirError::Unusable { path: data, source })
    };
    tokio::task::spawn_blocking(write).await.map_err(start_failed("the name server"))??;
    GeoDns::bind(config).await.map_err(|error| match error {
        BindError::Listen(error) => ClusterError::Listen(error),
        BindError::Data(error) => ClusterError::Data(error),
        error => start_failed("the name server")(error),
    })
}
