//! The summary that is printed once the cluster is ready, as text and as JSON.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use console::Style;
use serde::Serialize;
use verge_protocol::GeoPoint;
use verge_protocol::api::Site;

use super::certificate::ClusterCertificate;
use super::cluster::Cluster;
use super::config::ClusterConfig;
use super::locations::READERS;
use super::name_server::ZONE;

/// The summary. Serialized, it is the one line of `verge up --json`, whose fields are stable.
#[derive(Debug, Serialize)]
pub struct ClusterSummary {
    origin: String,
    token: String,
    edges: Vec<EdgeSummary>,
    /// The address of the name server, for UDP and TCP.
    dns: SocketAddr,
    /// The base domain of sites in DNS.
    zone: &'static str,
    /// The URL of the private listener of the name server.
    name_server_private: String,
    sites: Vec<SiteSummary>,
    /// The root certificate of the authority of `--https`, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct EdgeSummary {
    name: String,
    url: String,
    /// Its URL over TLS, with `--https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    https_url: Option<String>,
    /// The URL of its private listener.
    private: String,
    /// The address that DNS returns for it; `None` if DNS does not return it.
    address: Option<SocketAddr>,
    location: GeoPoint,
    city: &'static str,
}

#[derive(Debug, Serialize)]
struct SiteSummary {
    name: String,
    url: String,
    release: String,
}

impl ClusterSummary {
    /// The summary of a cluster and its sites.
    pub fn new(cluster: &Cluster, sites: &[Site]) -> Self {
        let url = |address: SocketAddr| format!("http://{address}");
        let edges = cluster.edges().iter().map(|edge| EdgeSummary {
            name: edge.name.to_string(),
            url: url(edge.public),
            // By name: a client sends no server name for an address, and the authority vouches for none.
            https_url: edge.https.map(|address| format!("https://localhost:{}", address.port())),
            private: url(edge.private),
            address: edge.address,
            location: edge.city.location(),
            city: edge.city.name(),
        });
        let live = |site: &Site| {
            let channel = site.channels.iter().find(|channel| channel.name.is_live())?;
            Some(SiteSummary {
                name: site.name.to_string(),
                url: site.url.clone(),
                release: channel.release.to_string(),
            })
        };
        Self {
            origin: cluster.client().origin().to_string(),
            token: cluster.token().expose().to_owned(),
            edges: edges.collect(),
            dns: cluster.dns(),
            zone: ZONE,
            name_server_private: url(cluster.dns_private()),
            sites: sites.iter().filter_map(live).collect(),
            ca: cluster.certificate().map(ClusterCertificate::root),
        }
    }

    /// The URL of the first site at this edge; without a site, the URL of the edge, which serves none.
    fn first_site_at(&self, edge: &EdgeSummary) -> String {
        let host = self.sites.first().and_then(|site| site.url.rsplit_once(':')).map(|(host, _)| host);
        let url = edge.https_url.as_ref().unwrap_or(&edge.url);
        match (host, url.rsplit_once(':')) {
            (Some(host), Some((_, port))) => format!("{host}:{port}/"),
            _ => url.clone(),
        }
    }

    /// The summary as text. `program` is how to call this program.
    pub fn text(&self, config: &ClusterConfig, program: &str, profile_saved: bool, style: &Style) -> String {
        let (bold, dim, link) = (style.clone().bold(), style.clone().dim(), style.clone().cyan().underlined());
        let edges = self.edges.len();
        let title = format!(
            "Verge is running: one origin, {edges} {}, one name server.",
            if edges == 1 { "edge" } else { "edges" }
        );
        let mut text = format!("\n  {}\n\n", bold.apply_to(title));
        let width = self.sites.iter().map(|site| site.name.len()).chain([6]).max().unwrap_or(6);
        let mut row = |name: &str, value: &str, note: &str| {
            let _ = writeln!(text, "  {name:width$}  {value}{}", dim.apply_to(note));
        };
        for site in &self.sites {
            row(&site.name, &link.apply_to(&site.url).to_string(), &format!("  {}", site.release));
        }
        text.push('\n');
        let mut row = |name: &str, value: &str, note: &str| {
            let _ = writeln!(text, "  {name:width$}  {value}{}", dim.apply_to(note));
        };
        let cities = self.edges.iter().map(|edge| edge.city.len()).max().unwrap_or_default();
        for edge in &self.edges {
            let address = edge.address.map_or_else(|| "not in DNS".to_owned(), |address| address.to_string());
            let value = format!("{}  {:cities$}  {address}", self.first_site_at(edge), edge.city);
            row(&edge.name, &value, &format!("  metrics {}", port(&edge.private)));
        }
        row(
            "dns",
            &format!("{} for {}", self.dns, self.zone),
            &format!("  metrics {}", port(&self.name_server_private)),
        );
        row("origin", &self.origin, "");
        if let Some(ca) = &self.ca {
            row("ca", &ca.display().to_string(), "");
        }
        row("data", &config.data.display().to_string(), "");
        let environment = if profile_saved {
            String::new()
        } else {
            format!("VERGE_ORIGIN={} VERGE_TOKEN={} ", self.origin, self.token)
        };
        let mut hint = |title: &str, command: String| {
            let _ = writeln!(text, "\n  {title}:\n\n      {}", bold.apply_to(command));
        };
        hint("Push your own site, in its directory in another terminal", format!("{environment}{program} push"));
        if let (Some(ca), Some(site)) = (&self.ca, self.sites.first()) {
            let ca = ca.display().to_string();
            let ca = if ca.contains(' ') { format!("'{ca}'") } else { ca };
            let command = format!("curl --cacert {ca} {}", site.url);
            hint("Trust the root `ca` in your browser, or give it to curl", command);
        }
        if let Some(site) = self.sites.first() {
            let [europe, america, asia] = READERS.map(|readers| readers.networks[0]);
            let dig = format!("dig @{} -p {} {}.{} +short", self.dns.ip(), self.dns.port(), site.name, self.zone);
            match &self.edges[..] {
                [first, others @ ..] if others.iter().any(|edge| edge.address.is_none()) => {
                    let only = &first.name;
                    hint(
                        &format!("Query DNS (it returns only {only}, since this machine has one loopback address)"),
                        dig,
                    );
                }
                _ => hint(
                    &format!("Query DNS as a reader in America ({europe}: Europe, {asia}: Asia)"),
                    format!("{dig} +subnet={america}"),
                ),
            }
        }
        let end = if config.temporary { "Press Ctrl-C to stop." } else { "Press Ctrl-C to stop; data is kept." };
        let _ = write!(text, "\n  {}", dim.apply_to(end));
        text
    }
}

/// The port of a URL, with its colon.
fn port(url: &str) -> &str {
    url.rfind(':').map_or(url, |colon| &url[colon..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::up::locations;
    use crate::up::ports::Ports;

    fn summary() -> ClusterSummary {
        let edge = |number: u16| EdgeSummary {
            name: format!("edge-{number}"),
            url: format!("http://127.0.0.1:{}", 7400 + number),
            https_url: None,
            private: format!("http://127.0.0.1:{}", 7500 + number),
            address: Some(Ports::new(7400).unwrap().edge_loopback(number)),
            location: locations::of_edge(number).location(),
            city: locations::of_edge(number).name(),
        };
        let site = SiteSummary { name: "demo".into(), url: "http://demo.localhost:7401/".into(), release: "v1".into() };
        ClusterSummary {
            origin: "http://127.0.0.1:7400".into(),
            token: "vrg_1".into(),
            edges: vec![edge(1), edge(2), edge(3)],
            dns: Ports::new(7400).unwrap().dns(),
            zone: ZONE,
            name_server_private: "http://127.0.0.1:7553".into(),
            sites: vec![site],
            ca: None,
        }
    }

    fn cluster() -> ClusterConfig {
        let (ports, data) = (Ports::new(7400).unwrap(), "/data/verge".into());
        ClusterConfig { edges: 3, ports, data, temporary: false, https: false }
    }

    #[test]
    fn summary_as_json_matches_snapshot() {
        insta::assert_snapshot!(serde_json::to_string(&summary()).unwrap());
    }

    #[test]
    fn summary_with_one_loopback_address_has_one_edge_in_dns() {
        let mut summary = summary();
        let first = Ports::new(7400).unwrap().edge(1);
        for (edge, address) in summary.edges.iter_mut().zip([Some(first), None, None]) {
            edge.address = address;
        }
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(
            (&json["edges"][0]["address"], &json["edges"][1]["address"]),
            (&"127.0.0.1:7401".into(), &().into())
        );
        insta::assert_snapshot!(summary.text(&cluster(), "verge", true, &Style::new().force_styling(false)));
    }

    #[test]
    fn summary_with_https_matches_snapshots() {
        let mut summary = summary();
        for (number, edge) in (1..).zip(&mut summary.edges) {
            edge.https_url = Some(format!("https://localhost:{}", 7600 + number));
        }
        summary.sites[0].url = "https://demo.localhost:7601/".to_owned();
        summary.ca = Some("/data/verge/https/root.pem".into());
        insta::assert_snapshot!(serde_json::to_string(&summary).unwrap());
        insta::assert_snapshot!(summary.text(&cluster(), "verge", true, &Style::new().force_styling(false)));
    }

    #[test]
    fn summary_as_text_matches_snapshot() {
        let plain = Style::new().force_styling(false);
        insta::assert_snapshot!(summary().text(&cluster(), "verge", true, &plain));
        assert!(summary().text(&cluster(), "verge", false, &plain).contains("VERGE_TOKEN=vrg_1 verge push"));
    }
}
