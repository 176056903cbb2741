//! What a person, or a program, is told once everything is ready.

use std::fmt::Write as _;
use std::net::SocketAddr;

use console::Style;
use serde::Serialize;
use verge_protocol::GeoPoint;
use verge_protocol::api::Site;

use super::cluster::{Cluster, Plan};
use super::name_server::ZONE;
use super::places::READERS;

/// The one line of `verge up --json`.
#[derive(Debug, Serialize)]
pub struct Told {
    origin: String,
    token: String,
    edges: Vec<ToldEdge>,
    /// Where the name server answers, over UDP and TCP.
    dns: SocketAddr,
    /// In which sites have names.
    zone: &'static str,
    /// The name server's health, metrics and explanations.
    node: String,
    sites: Vec<ToldSite>,
}

#[derive(Debug, Serialize)]
struct ToldEdge {
    name: String,
    url: String,
    admin: String,
    /// Where readers reach it whom DNS leads there; null for one that DNS does not name.
    address: Option<SocketAddr>,
    place: GeoPoint,
    city: &'static str,
}

#[derive(Debug, Serialize)]
struct ToldSite {
    name: String,
    url: String,
    release: String,
}

impl Told {
    /// What is to be told of a cluster and its sites.
    pub fn of(cluster: &Cluster, sites: &[Site]) -> Self {
        let url = |address: SocketAddr| format!("http://{address}");
        let edges = cluster.edges().iter().map(|edge| ToldEdge {
            name: edge.name.to_string(),
            url: url(edge.public),
            admin: url(edge.private),
            address: edge.address,
            place: edge.city.place(),
            city: edge.city.name(),
        });
        let live = |site: &Site| {
            let channel = site.channels.iter().find(|channel| channel.name.is_live())?;
            Some(ToldSite { name: site.name.to_string(), url: site.url.clone(), release: channel.release.to_string() })
        };
        Self {
            origin: cluster.client().origin().to_string(),
            token: cluster.token().expose().to_owned(),
            edges: edges.collect(),
            dns: cluster.dns(),
            zone: ZONE,
            node: url(cluster.dns_private()),
            sites: sites.iter().filter_map(live).collect(),
        }
    }

    /// Where a person sees something at this very edge: an edge's own address is no site's.
    fn first_site_at(&self, edge: &ToldEdge) -> String {
        let host = self.sites.first().and_then(|site| site.url.rsplit_once(':')).map(|(host, _)| host);
        match (host, edge.url.rsplit_once(':')) {
            (Some(host), Some((_, port))) => format!("{host}:{port}/"),
            _ => edge.url.clone(),
        }
    }

    /// The same for a person. `program` is how this program was called.
    pub fn text(&self, plan: &Plan, program: &str, profile_saved: bool, style: &Style) -> String {
        let (bold, dim, link) = (style.clone().bold(), style.clone().dim(), style.clone().cyan().underlined());
        let edges = self.edges.len();
        let title =
            format!("Verge is up: one origin, {edges} {}, a name server.", if edges == 1 { "edge" } else { "edges" });
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
            row(&edge.name, &value, &format!("  metrics {}", port(&edge.admin)));
        }
        row("dns", &format!("{} for {}", self.dns, self.zone), &format!("  metrics {}", port(&self.node)));
        row("origin", &self.origin, "");
        row("data", &plan.data.display().to_string(), "");
        let environment = if profile_saved {
            String::new()
        } else {
            format!("VERGE_ORIGIN={} VERGE_TOKEN={} ", self.origin, self.token)
        };
        let mut hint = |what: &str, command: String| {
            let _ = writeln!(text, "\n  {what}:\n\n      {}", bold.apply_to(command));
        };
        hint("Push a site of your own, from its project in another terminal", format!("{environment}{program} push"));
        if let Some(site) = self.sites.first() {
            let [europe, america, asia] = READERS.map(|readers| readers.networks[0]);
            let dig = format!("dig @{} -p {} {}.{} +short", self.dns.ip(), self.dns.port(), site.name, self.zone);
            match &self.edges[..] {
                [first, others @ ..] if others.iter().any(|edge| edge.address.is_none()) => {
                    let only = &first.name;
                    hint(
                        &format!("Ask DNS; it names {only} only, for this machine has one address for all edges"),
                        dig,
                    );
                }
                _ => hint(
                    &format!("Ask DNS for readers in America ({europe}: Europe, {asia}: Asia)"),
                    format!("{dig} +subnet={america}"),
                ),
            }
        }
        let end = if plan.temporary { "Ctrl-C stops it all." } else { "Ctrl-C stops it all; the data stay." };
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
    use crate::up::{Ports, places};

    fn told() -> Told {
        let edge = |number: u16| ToldEdge {
            name: format!("edge-{number}"),
            url: format!("http://127.0.0.1:{}", 7400 + number),
            admin: format!("http://127.0.0.1:{}", 7500 + number),
            address: Some(Ports::new(7400).unwrap().edge_alone(number)),
            place: places::of_edge(number).place(),
            city: places::of_edge(number).name(),
        };
        let site = ToldSite { name: "demo".into(), url: "http://demo.localhost:7401/".into(), release: "v1".into() };
        Told {
            origin: "http://127.0.0.1:7400".into(),
            token: "vrg_1".into(),
            edges: vec![edge(1), edge(2), edge(3)],
            dns: Ports::new(7400).unwrap().dns(),
            zone: ZONE,
            node: "http://127.0.0.1:7553".into(),
            sites: vec![site],
        }
    }

    #[test]
    fn for_programs() {
        insta::assert_snapshot!(serde_json::to_string(&told()).unwrap());
    }

    #[test]
    fn where_edges_have_no_addresses_of_their_own_dns_names_the_first_only() {
        let mut told = told();
        let first = Ports::new(7400).unwrap().edge(1);
        for (edge, address) in told.edges.iter_mut().zip([Some(first), None, None]) {
            edge.address = address;
        }
        let json = serde_json::to_value(&told).unwrap();
        assert_eq!(
            (&json["edges"][0]["address"], &json["edges"][1]["address"]),
            (&"127.0.0.1:7401".into(), &().into())
        );
        let cluster = Plan { edges: 3, ports: Ports::new(7400).unwrap(), data: "/data/verge".into(), temporary: false };
        insta::assert_snapshot!(told.text(&cluster, "verge", true, &Style::new().force_styling(false)));
    }

    #[test]
    fn for_people() {
        let cluster = Plan { edges: 3, ports: Ports::new(7400).unwrap(), data: "/data/verge".into(), temporary: false };
        let plain = Style::new().force_styling(false);
        insta::assert_snapshot!(told().text(&cluster, "verge", true, &plain));
        assert!(told().text(&cluster, "verge", false, &plain).contains("VERGE_TOKEN=vrg_1 verge push"));
    }
}
