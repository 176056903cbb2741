//! The name servers of both zones, each on a host, and their zone files.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reqwest::Client;
use verge_geodns::config::ZoneConfig;
use verge_geodns::{Config, GeoDns};
use verge_protocol::{DomainName, NameServerName};

use super::config::{BASE_DOMAIN, InternetConfig, LocationSource};
use super::origin::OriginHost;
use super::region::Region;
use crate::hosts::{Host, Router};

/// The name servers of both zones.
pub(super) struct NameServers {
    /// That of `test`, which delegates `verge.test` to the others.
    pub(super) parent: NameServerHost,
    /// Those of `verge.test`.
    pub(super) sites: Vec<NameServerHost>,
}

impl NameServers {
    pub(super) async fn start(
        router: &mut Router,
        origin: &OriginHost,
        internet: &InternetConfig,
        folder: &Path,
    ) -> Self {
        let hosts = [
            ("ns-1", router.add_host("ns-1", Region::Europe.v4(53), Region::Europe.v6(0, 53)).await),
            ("ns-2", router.add_host("ns-2", Region::America.v4(53), Region::America.v6(0, 53)).await),
        ];
        let parent_host = router.add_host("ns", Region::Asia.v4(53), Region::Asia.v6(0, 53)).await;
        let soa = "$TTL 3600\n@ IN SOA ns hostmaster ( 1 7200 900 1209600 300 )\n";
        let ns_records = "@ IN NS ns-1\n@ IN NS ns-2\n";
        let [glue_1, glue_2] = hosts.each_ref().map(|(name, host)| format!("{name} IN A {}\n", host.v4()));
        // Names below `fresh` are in no cache before a test queries them.
        let site_zone = format!("{soa}{ns_records}{glue_1}{glue_2}*.fresh 1 IN A {}\n", origin.host.v4());
        let delegation = format!("$ORIGIN {BASE_DOMAIN}.\n{ns_records}{glue_1}{glue_2}");
        let parent_zone = format!("{soa}@ IN NS ns\nns IN A {}\n{delegation}", parent_host.v4());
        let database = folder.join("locations.mmdb");
        LocationSource::write_database(&database);

        let zone = |name: &str, text: &str, sites| {
            let file = folder.join(format!("{name}.zone"));
            std::fs::write(&file, text).unwrap();
            vec![ZoneConfig { name: name.parse::<DomainName>().unwrap(), file, sites }]
        };
        let config = async |name: &str, zones| {
            let name: NameServerName = name.parse().unwrap();
            let token = origin.issue_name_server_token(&name).await;
            let data = folder.join(name.as_str());
            Config {
                locations: internet.locations.overrides(),
                database: (internet.locations == LocationSource::Database).then(|| database.clone()),
                answers: internet.answers,
                health: internet.health.clone(),
                drain_timeout: Duration::from_secs(5),
                ..Config::new(name, origin.url(), token, data, zones)
            }
        };
        let parent_config = config("parent", zone("test", &parent_zone, false)).await;
        let parent = NameServerHost::start(parent_host, parent_config).await;
        let mut sites = Vec::new();
        for (name, host) in hosts {
            let config = config(name, zone(BASE_DOMAIN, &site_zone, true)).await;
            sites.push(NameServerHost::start(host, config).await);
        }
        Self { parent, sites }
    }
}

/// A host with a name server, which is running or stopped.
pub(super) struct NameServerHost {
    pub(super) host: Host,
    config: Config,
    name_server: Option<GeoDns>,
}

impl NameServerHost {
    /// Starts a name server on `host`, at port 53 of both addresses.
    async fn start(host: Host, config: Config) -> Self {
        let listen = host.addresses().map(|address| (address, 53).into()).to_vec();
        let mut started = Self { host, config: Config { listen, ..config }, name_server: None };
        started.start_name_server().await;
        started
    }

    /// Starts the name server, with the addresses and data that it had before.
    pub(super) async fn start_name_server(&mut self) {
        assert!(self.name_server.is_none(), "{} is already running", self.config.name);
        let config = self.config.clone();
        self.name_server = Some(self.host.run(async move { GeoDns::bind(config).await.unwrap() }).await);
    }

    /// Shuts the name server down.
    pub(super) async fn stop_name_server(&mut self) {
        let name_server = self.name_server.take().unwrap();
        let tasks = name_server.tasks();
        self.host.run(async move { name_server.shutdown().await.unwrap() }).await;
        assert_eq!(tasks.running(), BTreeMap::new(), "tasks of a name server still run after its shutdown");
    }

    /// The sum of all metrics whose name and labels contain each of `parts`: `["verge_dns_queries_total{", "type=\"A\""]`.
    pub(super) async fn metric_sum(&self, parts: &[&str]) -> u64 {
        let url = format!("http://{}/metrics", self.name_server.as_ref().unwrap().private_addr());
        let text = async move {
            let client = Client::builder().no_proxy().tls_certs_only([]).pool_max_idle_per_host(0).build().unwrap();
            client.get(url).send().await.unwrap().text().await.unwrap()
        };
        let text = self.host.run(text).await;
        let matching = text.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
        matching.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    /// Shuts the name server down if it is running, and stops the host.
    pub(super) async fn stop(mut self) {
        if self.name_server.is_some() {
            self.stop_name_server().await;
        }
        self.host.stop().await;
    }
}
