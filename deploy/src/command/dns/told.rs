//! An explanation in words.

use std::net::IpAddr;

use verge_protocol::explanation::{ExplainedName, Explanation, FamilyAnswer, Located, RankedEdge};

use crate::output::{Output, human, table};

/// The longest text of a node that is shown.
const TEXT_MAX: usize = 200;

/// Where a reader is, what the name is, and for each family the edges in the order in which they are named. No edges where they do not
/// answer for the name: what a site's name would be answered reads as if it were this one's answer.
pub(super) fn explanation(told: &Explanation, output: &Output) -> String {
    let mut head = vec![located(told)];
    head.push(format!("{} answers all of {} alike", told.node, line(&told.located.network)));
    head.extend(told.name.as_ref().map(name));
    head.extend(notes(told).into_iter().map(|note| format!("note: {note}")));
    let mut parts = vec![head.join("\n")];
    if told.name.as_ref().is_none_or(|name| name.fleet) {
        let families = [("IPv4", &told.a), ("IPv6", &told.aaaa)];
        parts.extend(families.map(|(family, answer)| edges(family, answer, output)));
    }
    parts.join("\n\n")
}

fn located(told: &Explanation) -> String {
    let Located { by, place, database, .. } = &told.located;
    let by = match (by.as_str(), database) {
        ("override", _) => "by `places` of the configuration".to_owned(),
        ("database", Some(database)) => format!("by the database {}", line(database)),
        (by, _) => format!("by {}", line(by)),
    };
    match place {
        Some(place) => format!("{} is at {place}, {by}", told.address),
        None => format!("where {} is, nobody knows: such readers are split among all edges by weight", told.address),
    }
}

fn name(name: &ExplainedName) -> String {
    let ExplainedName { name, found, fence, .. } = name;
    let fence: Vec<&str> = fence.iter().map(verge_protocol::Region::as_str).collect();
    let kept = if fence.is_empty() { String::new() } else { format!(", kept to edges in: {}", fence.join(" ")) };
    // Names of DNS end with a dot, which would read as that of a sentence.
    let [name, found] = [name, found].map(|text| line(text.trim_end_matches('.')));
    format!("{name}: {found}{kept}")
}

fn notes(told: &Explanation) -> Vec<String> {
    let mut notes = Vec::new();
    if told.name.as_ref().is_some_and(is_bare) {
        notes.push(
            "a site's name in DNS goes on with its zone: ask for the whole name, such as my-app.verge.test".to_owned(),
        );
    }
    if told.located.private {
        let address = told.address;
        notes.push(format!(
            "many machines have the address {address}: as a client subnet it gives way to the resolver's own address"
        ));
    }
    if told.isolated {
        notes.push(format!("{} reaches no edge: most likely its own network is broken", told.node));
    }
    notes
}

/// Whether it looks like a site's name without the zone that it is in.
fn is_bare(name: &ExplainedName) -> bool {
    name.found.starts_with("in none of the zones") && !name.name.trim_end_matches('.').contains('.')
}

/// A table of the edges; no table where no edge has an address of the family.
fn edges(family: &str, answer: &FamilyAnswer, output: &Output) -> String {
    let has_address = |edge: &RankedEdge| edge.address.is_some() || !edge.probes.is_empty();
    if !answer.edges.iter().any(has_address) {
        return format!("{family}: no edge has an address");
    }
    let head = ["edge", "address", "km", "verdict", "probes"];
    let table = table(output, &head, answer.edges.iter().map(row).collect());
    if answer.edges.iter().all(|edge| edge.address.is_none()) {
        return format!("{family}: no address is answered\n{table}");
    }
    format!("{family}, for {} s:\n{table}", answer.ttl)
}

fn row(edge: &RankedEdge) -> Vec<String> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no two places are 20,100 km apart")]
    let distance = edge.distance_km.map(|distance| human::number(distance.round() as u64));
    let probes: Vec<String> = match &*edge.probes {
        // Of one address there is no need to say which.
        [probe] => vec![line(without_address(probe))],
        probes => probes.iter().map(|probe| line(probe)).collect(),
    };
    vec![
        edge.edge.to_string(),
        edge.address.map_or_else(nothing, |address| address.to_string()),
        distance.unwrap_or_else(nothing),
        line(&edge.verdict),
        probes.join("\n"),
    ]
}

fn nothing() -> String {
    "-".to_owned()
}

fn without_address(probe: &str) -> &str {
    match probe.split_once(' ') {
        Some((address, rest)) if address.parse::<IpAddr>().is_ok() => rest,
        _ => probe,
    }
}

fn line(text: &str) -> String {
    human::line(text, TEXT_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::output::OutputOptions;

    fn told(explanation: Value) -> String {
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        super::explanation(&serde_json::from_value(explanation).unwrap(), &output)
    }

    fn edge(name: &str, address: Option<&str>, km: Option<f64>, verdict: &str, probes: &[&str]) -> Value {
        json!({ "edge": name, "address": address, "distance_km": km, "verdict": verdict, "probes": probes })
    }

    #[test]
    fn where_a_reader_is_led_and_why() {
        let nowhere = json!({ "ttl": 60, "edges": [
            edge("nyc-1", None, Some(306.0), "left out: no address of this family", &[]),
        ]});
        let explanation = json!({
            "node": "ns-1",
            "address": "198.51.100.7",
            "located": { "by": "override", "place": "42.36,-71.06", "network": "198.51.100.0/24", "private": false },
            "name": { "name": "demo.verge.test.", "found": "a site's name in verge.test.", "fleet": true, "fence": ["eu", "na"] },
            "a": { "ttl": 30, "edges": [
                edge("nyc-1", Some("192.0.2.1"), Some(306.0), "named: up and current", &["192.0.2.1 up: answered in 3 ms"]),
                edge("fra-1", None, Some(5872.4), "left out: down", &[
                    "192.0.2.2 down: the last probe failed: it refuses connections",
                    "192.0.2.3 down: the last probe failed: no answer within 2 s",
                ]),
                edge("nil-1", Some("192.0.2.9"), None, "named: up and current", &["192.0.2.9 up: not probed yet"]),
            ]},
            "aaaa": nowhere,
        });
        insta::assert_snapshot!(told(explanation));
    }

    #[test]
    fn edges_of_which_none_is_named() {
        let down = edge("fra-1", None, Some(12.0), "left out: down", &["2001:db8::1 down: reset\u{1b}[2J"]);
        let explanation = json!({
            "node": "ns-1",
            "address": "198.51.100.7",
            "located": { "by": "override", "place": "42.36,-71.06", "network": "198.51.100.0/24" },
            "a": { "ttl": 60, "edges": [] },
            "aaaa": { "ttl": 60, "edges": [down] },
        });
        insta::assert_snapshot!(told(explanation));
    }

    #[test]
    fn a_reader_who_is_nowhere_and_a_name_that_is_no_sites() {
        let edges = json!({ "ttl": 60, "edges": [
            edge("nyc-1", Some("2001:db8::1"), None, "named: up and current", &["2001:db8::1 up: answered in 3 ms"]),
        ]});
        let explanation = json!({
            "node": "ns-1",
            "address": "10.0.0.1",
            "located": { "by": "nowhere", "place": null, "network": "10.0.0.0/24", "database": "GeoLite2-City", "private": true },
            "name": { "name": "mail.verge.test", "found": "records that the zone file of verge.test has", "fleet": false },
            "isolated": true,
            "a": { "ttl": 60, "edges": [] },
            "aaaa": edges,
        });
        insta::assert_snapshot!(told(explanation));
    }

    #[test]
    fn a_site_without_its_zone_is_asked_for_whole() {
        let none =
            json!({ "ttl": 60, "edges": [edge("nyc-1", Some("192.0.2.1"), None, "named: up and current", &[])] });
        let told = |name: &str, found: &str| {
            told(json!({
                "node": "ns-1",
                "address": "192.0.2.1",
                "located": { "by": "override", "place": "1.5,2", "network": "192.0.2.0/24" },
                "name": { "name": name, "found": found, "fleet": false },
                "a": none,
                "aaaa": none,
            }))
        };
        let (elsewhere, missing) = ("in none of the zones served here: refused", "no such name in test.");
        insta::assert_snapshot!(told("my-app.", elsewhere));
        for (name, found) in [("my-app.example.com.", elsewhere), ("my-app.", missing), (".", missing)] {
            let text = told(name, found);
            assert!(!text.contains("note:") && !text.contains("nyc-1"), "{text}");
        }
    }

    #[test]
    fn who_says_where_a_reader_is() {
        let by = |by: &str, database: Option<&str>| {
            let located = json!({ "by": by, "place": "1.5,2", "network": "192.0.2.0/24", "database": database });
            let none = json!({ "ttl": 60, "edges": [] });
            let text =
                told(json!({ "node": "ns-1", "address": "192.0.2.1", "located": located, "a": none, "aaaa": none }));
            text.lines().next().unwrap().to_owned()
        };
        assert_eq!(by("database", Some("GeoLite2-City")), "192.0.2.1 is at 1.5,2, by the database GeoLite2-City");
        assert_eq!(by("override", Some("GeoLite2-City")), "192.0.2.1 is at 1.5,2, by `places` of the configuration");
        assert_eq!(by("tea leaves", None), "192.0.2.1 is at 1.5,2, by tea leaves");
    }
}
