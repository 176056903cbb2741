//! `verge status`.

use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use verge_protocol::api::{Edge, PendingPurge, Site, Status};
use verge_protocol::report::{LIVE_SECONDS, Lag, Preparation};
use verge_protocol::{EdgeName, Position, Timestamp};

use super::context::Context;
use super::{problems, region_check, sites};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};

pub(super) async fn run(context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    let (mut answer, edges, sites) = tokio::try_join!(
        client.get::<Value>("/v1/status"),
        client.get::<Value>("/v1/edges"),
        client.sites::<Value>(),
    )?;
    answer["edges"] = edges;
    answer["sites"] = json!(sites);
    let exit = context.print_result(&answer, || {
        let (status, edges, sites) = (Status::deserialize(&answer)?, list(&answer["edges"])?, list(&answer["sites"])?);
        let origin = client.origin().to_string();
        Ok(render(&origin, &status, &edges, &sites, context.environment.now, context.output))
    })?;
    let is_empty = |list: &str| !context.output.options().json && answer[list] == json!([]);
    if is_empty("edges") {
        context.output.info(NO_EDGES);
    }
    if is_empty("sites") {
        context.output.info(sites::NO_SITES);
    }
    // With `--json`, an answer that cannot be read here is printed all the same.
    if let (Ok(edges), Ok(sites)) = (list(&answer["edges"]), list(&answer["sites"])) {
        region_check::warn(&edges, &sites, context);
    }
    Ok(exit)
}

fn list<T: DeserializeOwned>(answer: &Value) -> serde_json::Result<Vec<T>> {
    Vec::deserialize(answer)
}

/// How many channels that an edge lags with are shown.
const LAGS_SHOWN: usize = 5;

/// The longest reason shown, in characters.
const REASON_MAX: usize = 80;

/// In place of a table without rows.
const NO_EDGES: &str = "no edges registered yet";

/// What there is: the origin, its edges, its sites.
fn render(origin: &str, status: &Status, edges: &[Edge], sites: &[Site], now: Timestamp, output: &Output) -> String {
    let version = human::line(&status.version, 40);
    let pin = status.pin.map_or_else(String::new, |pin| format!(", pin {pin}"));
    let head = format!("origin {origin}, version {version}, position {}{pin}", status.position);
    let edges = (!edges.is_empty()).then(|| render_edges(edges, status.position, now, output));
    let sites = (!sites.is_empty()).then(|| sites::render(sites, now, output));
    let problems = (!status.problems.is_empty()).then(|| problems::render(&status.problems, now));
    let purges = (!status.purges.is_empty()).then(|| render_purges(&status.purges, now));
    [Some(head), problems, purges, edges, sites].into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn render_purges(purges: &[PendingPurge], now: Timestamp) -> String {
    let line = |PendingPurge { site, seq, since, edges }: &PendingPurge| {
        let since = since.map_or_else(String::new, |since| format!(", made {}", human::age(since.age(now))));
        let edges: Vec<&str> = edges.iter().map(EdgeName::as_str).collect();
        format!("  {site} at {seq}{since}: not done by {}", edges.join(", "))
    };
    format!("pending purges:\n{}", purges.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn render_edges(edges: &[Edge], origin: Position, now: Timestamp, output: &Output) -> String {
    let rows = edges.iter().map(|edge| row(edge, origin, now)).collect();
    table(output, &["edge", "state", "lag", "last seen", "version", "url"], rows)
}

fn row(edge: &Edge, origin: Position, now: Timestamp) -> Vec<String> {
    vec![
        edge.name.to_string(),
        state(edge, now),
        lag(edge.applied, origin),
        edge.last_seen.map_or_else(|| "never".to_owned(), |last_seen| human::age(last_seen.age(now))),
        edge.version.as_deref().map_or_else(String::new, |version| human::line(version, 20)),
        edge.url.as_deref().map_or_else(String::new, |url| human::line(url, 60)),
    ]
}

/// The state of an edge: whether it is live, the channels that it lags with, and the releases that it prepares.
pub(super) fn state(edge: &Edge, now: Timestamp) -> String {
    if !edge.live || edge.draining {
        return match edge.last_seen {
            None => "never seen".to_owned(),
            // After its last report, an edge serves for some seconds more.
            Some(last_seen) if edge.draining && last_seen.age(now).as_secs() <= LIVE_SECONDS => "draining".to_owned(),
            Some(_) if edge.draining => "stopped".to_owned(),
            Some(_) => "offline".to_owned(),
        };
    }
    let lagging = edge.lagging.iter().take(LAGS_SHOWN).map(|Lag { site, channel, seq, reason }| {
        format!("lagging on {channel} of {site} at {seq}: {}", human::line(reason, REASON_MAX))
    });
    let more = edge.lagging.len().saturating_sub(LAGS_SHOWN) as u64 + edge.lagging_omitted;
    let more = (more > 0).then(|| format!("lagging on {}", human::count(more, "more channel")));
    let preparing = edge.preparations.iter().filter(|preparation| !preparation.prepared).map(preparation);
    let mut lines: Vec<String> = lagging.chain(more).chain(preparing).collect();
    if edge.lagging.is_empty() {
        lines.insert(0, "live".to_owned());
    }
    lines.join("\n")
}

fn preparation(Preparation { site, channel, done, total, problem, .. }: &Preparation) -> String {
    let bytes = if *total == 0 { String::new() } else { format!(", {}", human::bytes_of(*done, *total)) };
    let problem = problem.as_deref().map_or_else(String::new, |text| format!(": {}", human::line(text, REASON_MAX)));
    format!("preparing {channel} of {site}{bytes}{problem}")
}

/// How far an edge is behind the origin.
fn lag(applied: Option<Position>, origin: Position) -> String {
    match applied {
        None => "unknown".to_owned(),
        Some(applied) if applied.generation != origin.generation => {
            format!("unknown, at generation {}", applied.generation)
        }
        Some(applied) => match origin.seq.0.saturating_sub(applied.seq.0) {
            0 => "none".to_owned(),
            writes => human::count(writes, "write"),
        },
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::api::Problem;
    use verge_protocol::{Digest, Seq};

    use super::*;
    use crate::output::OutputOptions;

    #[test]
    fn state_and_lag_of_every_edge_are_shown() {
        let edge = |name: &str, live: bool, applied: Option<&str>| Edge {
            name: name.parse().unwrap(),
            url: live.then(|| format!("http://{name}.example.com")),
            live,
            draining: false,
            last_seen: applied.map(|_| Timestamp(97_000)),
            applied: applied.map(|at| at.parse().unwrap()),
            lagging: vec![],
            lagging_omitted: 0,
            preparations: Vec::new(),
            purging: Vec::new(),
            purging_omitted: 0,
            version: live.then(|| "0.1.0".to_owned()),
            state: None,
            has_token: true,
        };
        let lag = |channel: &str| Lag {
            site: "demo".parse().unwrap(),
            channel: channel.parse().unwrap(),
            seq: Seq(42),
            reason: "fetching the manifest".into(),
        };
        let preparation = |done: u64, problem: Option<&str>| Preparation {
            site: "demo".parse().unwrap(),
            channel: "pr-1".parse().unwrap(),
            manifest: Digest::of(b"m"),
            done,
            total: done * 3,
            prepared: false,
            problem: problem.map(str::to_owned),
        };
        let prepared = Preparation { prepared: true, ..preparation(0, None) };
        let edges = vec![
            Edge { preparations: vec![prepared], ..edge("fra-1", true, Some("1-42")) },
            Edge { preparations: vec![preparation(3_100_000, None)], ..edge("lon-1", true, Some("1-42")) },
            Edge {
                lagging: vec![lag("live")],
                preparations: vec![preparation(0, Some("the disk is full"))],
                ..edge("nyc-1", true, Some("1-40"))
            },
            Edge {
                lagging: (1..=7).map(|number| lag(&format!("pr-{number}"))).collect(),
                lagging_omitted: 998,
                ..edge("par-1", true, Some("1-40"))
            },
            edge("sgp-1", false, Some("0-9")),
            edge("syd-1", false, None),
            Edge { draining: true, ..edge("tyo-1", false, Some("1-42")) },
            Edge { draining: true, last_seen: Some(Timestamp(50_000)), ..edge("zrh-1", false, Some("1-42")) },
        ];
        let sound = Status {
            position: "1-42".parse().unwrap(),
            version: "0.1.0".into(),
            problems: vec![],
            purges: vec![],
            pin: None,
        };
        let problems = vec![Problem::EdgeNotSaving { edge: "fra-1".parse().unwrap(), reason: "read-only".into() }];
        let edges_of = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let pending = |site: &str, since, names| PendingPurge {
            site: site.parse().unwrap(),
            seq: Seq(41),
            since,
            edges: edges_of(names),
        };
        let purges =
            vec![pending("demo", Some(Timestamp(40_000)), &["fra-1", "nyc-1"]), pending("news", None, &["lon-1"])];
        let status = Status { problems, purges, ..sound.clone() };
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        insta::assert_snapshot!(render("http://127.0.0.1:8700", &status, &edges, &[], Timestamp(100_000), &output));
        insta::assert_snapshot!(render("http://127.0.0.1:8700", &sound, &[], &[], Timestamp(100_000), &output));
    }
}
