//! What a person, or a program, is told once everything is ready.

use std::fmt::Write as _;
use std::net::SocketAddr;

use console::Style;
use serde::Serialize;
use verge_protocol::api::Site;

use super::cluster::{Cluster, Plan};

/// The one line of `verge up --json`.
#[derive(Debug, Serialize)]
pub struct Told {
    origin: String,
    token: String,
    edges: Vec<ToldEdge>,
    sites: Vec<ToldSite>,
}

#[derive(Debug, Serialize)]
struct ToldEdge {
    name: String,
    url: String,
    admin: String,
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
        });
        let live = |site: &Site| {
            let channel = site.channels.iter().find(|channel| channel.name.is_live())?;
            Some(ToldSite { name: site.name.to_string(), url: site.url.clone(), release: channel.release.to_string() })
        };
        Self {
            origin: cluster.client().origin().to_string(),
            token: cluster.token().expose().to_owned(),
            edges: edges.collect(),
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
        let title = format!("Verge is up: one origin, {edges} {}.", if edges == 1 { "edge" } else { "edges" });
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
        for edge in &self.edges {
            row(&edge.name, &self.first_site_at(edge), &format!("  health and metrics at {}", edge.admin));
        }
        row("origin", &self.origin, "");
        row("data", &plan.data.display().to_string(), "");
        let environment = if profile_saved {
            String::new()
        } else {
            format!("VERGE_ORIGIN={} VERGE_TOKEN={} ", self.origin, self.token)
        };
        let _ = write!(
            text,
            "\n  Push a site of your own, from its project in another terminal:\n\n      {}\n\n  {}",
            bold.apply_to(format!("{environment}{program} push")),
            dim.apply_to(if plan.temporary { "Ctrl-C stops it all." } else { "Ctrl-C stops it all; the data stay." }),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::up::Ports;

    fn told() -> Told {
        let edge = |number: u16| ToldEdge {
            name: format!("edge-{number}"),
            url: format!("http://127.0.0.1:{}", 7400 + number),
            admin: format!("http://127.0.0.1:{}", 7500 + number),
        };
        let site = ToldSite { name: "demo".into(), url: "http://demo.localhost:7401/".into(), release: "v1".into() };
        Told {
            origin: "http://127.0.0.1:7400".into(),
            token: "vrg_1".into(),
            edges: vec![edge(1), edge(2)],
            sites: vec![site],
        }
    }

    #[test]
    fn for_programs() {
        insta::assert_snapshot!(serde_json::to_string(&told()).unwrap());
    }

    #[test]
    fn for_people() {
        let cluster = Plan { edges: 2, ports: Ports::new(7400).unwrap(), data: "/data/verge".into(), temporary: false };
        let plain = Style::new().force_styling(false);
        insta::assert_snapshot!(told().text(&cluster, "verge", true, &plain));
        assert!(told().text(&cluster, "verge", false, &plain).contains("VERGE_TOKEN=vrg_1 verge push"));
    }
}
