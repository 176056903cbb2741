//! `verge status`.

use serde::Deserialize as _;
use serde_json::Value;
use verge_protocol::api::Edge;
use verge_protocol::report::LIVE_SECONDS;
use verge_protocol::{Position, Timestamp};

use super::{Context, fences, sites};
use crate::client::Overview as Status;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};

pub(super) async fn run(context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    let answer: Value = serde_json::to_value(client.overview().await?)?;
    let exit = context.answer(&answer, || {
        let status = Status::deserialize(&answer)?;
        let origin = client.origin().to_string();
        Ok(text(&origin, &status, context.environment.now, context.output))
    })?;
    // As JSON it is passed on even if it is not understood here.
    if let Ok(status) = Status::deserialize(&answer) {
        fences::warn(&status, context);
    }
    Ok(exit)
}

fn text(origin: &str, status: &Status, now: Timestamp, output: &Output) -> String {
    let version = human::line(&status.version, 40);
    let head = format!("origin {origin}, version {version}, at write {}", status.position.seq);
    format!("{head}\n\n{}\n\n{}", edges(status, now, output), sites::text(&status.sites, now, output))
}

fn edges(status: &Status, now: Timestamp, output: &Output) -> String {
    if status.edges.is_empty() {
        return "no edge has registered yet".to_owned();
    }
    let rows = status.edges.iter().map(|edge| row(edge, status.position, now)).collect();
    table(output, &["edge", "state", "follows", "last_seen", "version", "reached at"], rows)
}

fn row(edge: &Edge, origin: Position, now: Timestamp) -> Vec<String> {
    vec![
        edge.name.to_string(),
        state(edge, now),
        follows(edge.applied, origin),
        edge.last_seen.map_or_else(|| "never".to_owned(), |heard| human::age(heard.age(now))),
        edge.version.as_deref().map_or_else(String::new, |version| human::line(version, 20)),
        edge.url.as_deref().map_or_else(String::new, |url| human::line(url, 60)),
    ]
}

/// Whether an edge is there, and what it lags behind with.
pub(super) fn state(edge: &Edge, now: Timestamp) -> String {
    if !edge.live || edge.draining {
        return match edge.last_seen {
            None => "not heard yet".to_owned(),
            // Its goodbye is the last that is heard of it; how long it takes after that is its own affair.
            Some(heard) if edge.draining && heard.age(now).as_secs() <= LIVE_SECONDS => "shutting down".to_owned(),
            Some(_) if edge.draining => "shut down".to_owned(),
            Some(_) => format!("silent for over {LIVE_SECONDS} s"),
        };
    }
    let lagging: Vec<String> = edge
        .lagging
        .iter()
        .map(|lag| format!("lags on {} of {}: {}", lag.channel, lag.site, human::line(&lag.reason, 80)))
        .collect();
    if lagging.is_empty() { "live".to_owned() } else { lagging.join("\n") }
}

fn follows(applied: Option<Position>, origin: Position) -> String {
    match applied {
        None => "unknown".to_owned(),
        Some(applied) if applied.generation != origin.generation => format!("another generation: {applied}"),
        Some(applied) => match origin.seq.0.saturating_sub(applied.seq.0) {
            0 => "up to date".to_owned(),
            behind => format!("{} behind", human::number(behind)),
        },
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::Seq;
    use verge_protocol::report::Lag;

    use super::*;
    use crate::output::Manner;

    #[test]
    fn the_state_of_every_edge_is_told() {
        let edge = |name: &str, live: bool, applied: Option<&str>| Edge {
            name: name.parse().unwrap(),
            url: live.then(|| format!("http://{name}.example.com")),
            live,
            draining: false,
            last_seen: applied.map(|_| Timestamp(97_000)),
            applied: applied.map(|at| at.parse().unwrap()),
            lagging: vec![],
            version: live.then(|| "0.1.0".to_owned()),
            state: None,
            has_token: true,
        };
        let lag = Lag {
            site: "demo".parse().unwrap(),
            channel: "live".parse().unwrap(),
            seq: Seq(42),
            reason: "fetching the manifest".into(),
        };
        let edges = vec![
            edge("fra-1", true, Some("1-42")),
            Edge { lagging: vec![lag], ..edge("nyc-1", true, Some("1-40")) },
            edge("sgp-1", false, Some("0-9")),
            edge("syd-1", false, None),
            Edge { draining: true, ..edge("tyo-1", false, Some("1-42")) },
            Edge { draining: true, last_seen: Some(Timestamp(50_000)), ..edge("zrh-1", false, Some("1-42")) },
        ];
        let status = Status { position: "1-42".parse().unwrap(), version: "0.1.0".into(), edges, sites: vec![] };
        let output = Output::new(std::io::sink(), std::io::sink(), Manner::default());
        insta::assert_snapshot!(text("http://127.0.0.1:8700", &status, Timestamp(100_000), &output));
        let empty = Status { edges: vec![], ..status };
        insta::assert_snapshot!(text("http://127.0.0.1:8700", &empty, Timestamp(100_000), &output));
    }
}
