//! Name servers and explanations as text.

use verge_protocol::api::NameServer;
use verge_protocol::explanation::{
    AddressProbe, ClientLocation, Eligibility, ExplainedName, Explanation, FamilyAnswer, LocationSource, LookupStep,
    ProbeFailure, ProbeResult, RankedEdge,
};
use verge_protocol::{EdgeName, Timestamp};

use crate::output::{Output, human, table};

/// The longest text from a name server that is shown, in characters.
const MAX_TEXT: usize = 200;

/// In place of a table without rows.
pub(super) const NO_NAME_SERVERS: &str = "no name server has a token yet; issue one with `verge dns token`";

/// A table of the name servers that have a token.
pub(super) fn name_servers(name_servers: &[NameServer], now: Timestamp, output: &Output) -> String {
    let row = |server: &NameServer| vec![server.name.to_string(), human::age(server.issued.age(now))];
    table(output, &["name server", "token issued"], name_servers.iter().map(row).collect())
}

/// Where a client is, what the name leads to, and for each address family the edges in order. Edges are left out if they do not
/// answer for the name: those in the explanation are the ones that some site would get.
pub(super) fn explanation(explanation: &Explanation, output: &Output) -> String {
    let mut head = vec![location(explanation)];
    let network = line(&explanation.client.network);
    head.push(format!("{} gives all of {network} the same answer", explanation.name_server));
    head.extend(explanation.name.as_ref().map(name));
    head.extend(notes(explanation).into_iter().map(|note| format!("note: {note}")));
    let mut parts = vec![head.join("\n")];
    if explanation.name.as_ref().is_none_or(|name| name.fleet_regions().is_some()) {
        let families = [("IPv4", &explanation.a), ("IPv6", &explanation.aaaa)];
        parts.extend(families.map(|(family, answer)| edges(family, answer, output)));
    }
    parts.join("\n\n")
}

fn location(explanation: &Explanation) -> String {
    let Explanation { address, client: ClientLocation { source, location, .. }, .. } = explanation;
    let Some(location) = location else {
        return format!("no location known for {address}: such readers are spread over all edges by weight");
    };
    match source {
        LocationSource::Override => format!("{address} is at {location}, from `locations` in the configuration"),
        LocationSource::Database { database_type } => {
            format!("{address} is at {location}, from the database {}", line(database_type))
        }
        LocationSource::NotFound | LocationSource::Unknown => format!("{address} is at {location}"),
    }
}

fn name(name: &ExplainedName) -> String {
    let steps: Vec<String> = name.lookup.iter().enumerate().map(|(index, step)| lookup_step(index, step)).collect();
    format!("{}: {}", dns_name(&name.name), steps.join(": "))
}

fn lookup_step(index: usize, step: &LookupStep) -> String {
    match step {
        LookupStep::Alias { zone, target } => format!("an alias in {} of {}", dns_name(zone), dns_name(target)),
        LookupStep::NotAuthoritative if index == 0 => "in none of the zones served here: refused".to_owned(),
        LookupStep::NotAuthoritative => "in none of the zones served here: resolvers look it up elsewhere".to_owned(),
        LookupStep::NoSuchName { zone } => format!("no such name in {}", dns_name(zone)),
        LookupStep::NotYetKnown { zone } => {
            format!("not known in {} yet: the name server has not reached an origin", dns_name(zone))
        }
        LookupStep::Delegated { zone } => format!("delegated by {} to other name servers", dns_name(zone)),
        LookupStep::ZoneFileRecords { zone } => format!("records in the zone file of {}", dns_name(zone)),
        LookupStep::EmptyNonTerminal { zone } => format!("no records in {}, only names below", dns_name(zone)),
        LookupStep::Fleet { zone, regions } if regions.is_empty() => {
            format!("the name of a site in {}", dns_name(zone))
        }
        LookupStep::Fleet { zone, regions } => {
            let regions: Vec<&str> = regions.iter().map(verge_protocol::Region::as_str).collect();
            format!("the name of a site in {}, restricted to regions {}", dns_name(zone), regions.join(" "))
        }
        LookupStep::TooManyAliases => "too many aliases, or a loop".to_owned(),
        LookupStep::Unknown => unknown(),
    }
}

/// A name without its final dot, which would read as the end of a sentence.
fn dns_name(name: &str) -> String {
    line(if name == "." { name } else { name.trim_end_matches('.') })
}

fn notes(explanation: &Explanation) -> Vec<String> {
    let mut notes = Vec::new();
    if explanation.name.as_ref().is_some_and(lacks_zone) {
        notes.push("the name of a site in DNS includes its zone, as in my-app.verge.test".to_owned());
    }
    if explanation.client.private {
        let address = explanation.address;
        notes
            .push(format!("{address} is private: as a client subnet it is ignored, and the resolver's address counts"));
    }
    if explanation.isolated {
        notes.push(format!("{} cannot reach any edge: check its network", explanation.name_server));
    }
    notes
}

/// Whether this is most likely the name of a site without its zone.
fn lacks_zone(name: &ExplainedName) -> bool {
    name.lookup == [LookupStep::NotAuthoritative] && !name.name.trim_end_matches('.').contains('.')
}

/// A table of the edges; no table if no edge has an address of the family.
fn edges(family: &str, answer: &FamilyAnswer, output: &Output) -> String {
    let has_address = |edge: &RankedEdge| edge.address.is_some() || !edge.probes.is_empty();
    if !answer.edges.iter().any(has_address) {
        return format!("{family}: no edge has an address");
    }
    let head = ["edge", "address", "km", "verdict", "probes"];
    let table = table(output, &head, answer.edges.iter().map(row).collect());
    if answer.edges.iter().all(|edge| edge.address.is_none()) {
        return format!("{family}: no address in the answer\n{table}");
    }
    format!("{family}, TTL {} s:\n{table}", answer.ttl)
}

fn row(edge: &RankedEdge) -> Vec<String> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no distance exceeds 20,100 km")]
    let distance = edge.distance_km.map(|distance| human::number(distance.round() as u64));
    let probes: Vec<String> = match &*edge.probes {
        // The address of a single probe is not repeated.
        [probe] => vec![probe_state(&edge.edge, probe)],
        probes => probes.iter().map(|probe| format!("{} {}", probe.address, probe_state(&edge.edge, probe))).collect(),
    };
    vec![
        edge.edge.to_string(),
        edge.address.map_or_else(nothing, |address| address.to_string()),
        distance.unwrap_or_else(nothing),
        verdict(edge),
        probes.join("\n"),
    ]
}

fn nothing() -> String {
    "-".to_owned()
}

fn verdict(edge: &RankedEdge) -> String {
    let verdict = match edge.address {
        Some(_) => "returned",
        None if edge.eligibility.is_eligible() => "in reserve",
        None if edge.eligibility == Eligibility::Unknown => "not returned",
        None => "left out",
    };
    let reason = match edge.eligibility {
        Eligibility::Healthy => "up and current",
        Eligibility::ForcedUp => "forced up",
        Eligibility::LaggingButNeeded => "lagging, but too few edges are current",
        Eligibility::DrainingButNeeded => "draining, but no other edge is up",
        Eligibility::DownButNeeded => "down, but no edge is up",
        Eligibility::Lagging => "lagging",
        Eligibility::Draining => "draining",
        Eligibility::Down => "down",
        Eligibility::ForcedDown => "forced down",
        Eligibility::NoAddress => "no address of this family",
        Eligibility::OutsideRegions => "outside the site's regions",
        Eligibility::Unknown => return format!("{verdict}: {}", unknown()),
    };
    format!("{verdict}: {reason}")
}

fn probe_state(edge: &EdgeName, probe: &AddressProbe) -> String {
    let state = if probe.up { "up" } else { "down" };
    match &probe.last {
        ProbeResult::NotProbed => format!("{state}: not probed yet"),
        ProbeResult::Succeeded { latency_ms } => format!("{state}: answered in {latency_ms} ms"),
        ProbeResult::Failed { failure } => format!("{state}: the last probe failed: {}", probe_failure(edge, failure)),
        ProbeResult::Unknown => format!("{state}: {}", unknown()),
    }
}

fn probe_failure(edge: &EdgeName, failure: &ProbeFailure) -> String {
    match failure {
        ProbeFailure::ConnectionRefused => "connection refused".to_owned(),
        #[expect(clippy::cast_precision_loss, reason = "a timeout in milliseconds is far below 2^53")]
        ProbeFailure::Timeout { after_ms } => format!("no answer within {} s", *after_ms as f64 / 1000.0),
        ProbeFailure::Unreachable { cause } => format!("unreachable: {}", line(cause)),
        ProbeFailure::NotTls => "no TLS at this port: check `scheme`, and the edge's port".to_owned(),
        ProbeFailure::CertificateExpired => "certificate expired".to_owned(),
        ProbeFailure::CertificateNotYetValid => "certificate not valid yet".to_owned(),
        ProbeFailure::CertificateNameMismatch { expected } => format!("certificate not valid for {}", line(expected)),
        ProbeFailure::CertificateUnknownIssuer => "certificate of an unknown authority: check `ca_file`".to_owned(),
        ProbeFailure::CertificateBadSignature => "certificate with an invalid signature".to_owned(),
        ProbeFailure::CertificateRejected { cause } => format!("certificate rejected: {}", line(cause)),
        ProbeFailure::TlsFailed { cause } => format!("TLS failed: {}", line(cause)),
        ProbeFailure::Status { status: 503 } => "status 503: the edge cannot serve".to_owned(),
        ProbeFailure::Status { status: status @ (301 | 302 | 307 | 308) } => format!(
            "status {status}: something in front of the edge redirects the health page: have it pass `/.well-known/verge/health` \
             through, or use `verge edges set {edge} --scheme https --port 443`"
        ),
        ProbeFailure::Status { status } => format!("status {status}"),
        ProbeFailure::InvalidAnswer { cause } => format!("not the health of an edge: {}", line(cause)),
        ProbeFailure::WrongEdge { edge } => format!("edge {edge} answers at this address"),
        ProbeFailure::Unknown => unknown(),
    }
}

fn unknown() -> String {
    "unknown to this version of verge: update it".to_owned()
}

fn line(text: &str) -> String {
    human::line(text, MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::output::OutputOptions;

    fn rendered(explanation: Value) -> String {
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        super::explanation(&serde_json::from_value(explanation).unwrap(), &output)
    }

    fn edge(name: &str, address: Option<&str>, km: Option<f64>, eligibility: &str, probes: &Value) -> Value {
        json!({ "edge": name, "address": address, "distance_km": km, "eligibility": eligibility, "probes": probes })
    }

    fn probe(address: &str, up: bool, last: &Value) -> Value {
        json!({ "address": address, "up": up, "last": last })
    }

    fn succeeded() -> Value {
        json!({ "result": "succeeded", "latency_ms": 3 })
    }

    fn failed(failure: &Value) -> Value {
        json!({ "result": "failed", "failure": failure })
    }

    fn client(network: &str) -> Value {
        json!({ "source": { "type": "override" }, "location": "42.36,-71.06", "network": network })
    }

    #[test]
    fn explanation_of_a_site_lists_its_edges_with_reasons() {
        let no_address = json!({ "ttl": 60, "edges": [
            edge("nyc-1", None, Some(306.0), "no_address", &json!([])),
        ]});
        let refused = failed(&json!({ "type": "connection_refused" }));
        let timeout = failed(&json!({ "type": "timeout", "after_ms": 1500 }));
        let explanation = json!({
            "name_server": "ns-1",
            "address": "198.51.100.7",
            "client": client("198.51.100.0/24"),
            "name": { "name": "demo.verge.test.", "lookup": [
                { "type": "alias", "zone": "verge.test.", "target": "site.verge.test." },
                { "type": "fleet", "zone": "verge.test.", "regions": ["eu", "na"] },
            ]},
            "a": { "ttl": 30, "edges": [
                edge("nyc-1", Some("192.0.2.1"), Some(306.0), "healthy", &json!([probe("192.0.2.1", true, &succeeded())])),
                edge("fra-1", None, Some(5872.4), "down", &json!([
                    probe("192.0.2.2", false, &refused),
                    probe("192.0.2.3", false, &timeout),
                ])),
                edge("nil-1", Some("192.0.2.9"), None, "healthy", &json!([
                    probe("192.0.2.9", true, &json!({ "result": "not_probed" })),
                ])),
                edge("new-1", None, None, "from_the_future", &json!([
                    probe("192.0.2.10", true, &json!({ "result": "from_the_future" })),
                ])),
            ]},
            "aaaa": no_address,
        });
        insta::assert_snapshot!(rendered(explanation));
    }

    #[test]
    fn answer_without_an_edge_says_so() {
        let hostile = failed(&json!({ "type": "unreachable", "cause": "reset\u{1b}[2J" }));
        let down = edge("fra-1", None, Some(12.0), "down", &json!([probe("2001:db8::1", false, &hostile)]));
        let explanation = json!({
            "name_server": "ns-1",
            "address": "198.51.100.7",
            "client": client("198.51.100.0/24"),
            "a": { "ttl": 60, "edges": [] },
            "aaaa": { "ttl": 60, "edges": [down] },
        });
        insta::assert_snapshot!(rendered(explanation));
    }

    #[test]
    fn client_without_a_location_and_name_without_a_site_are_explained() {
        let edges = json!({ "ttl": 60, "edges": [
            edge("nyc-1", Some("2001:db8::1"), None, "healthy", &json!([probe("2001:db8::1", true, &succeeded())])),
        ]});
        let explanation = json!({
            "name_server": "ns-1",
            "address": "10.0.0.1",
            "client": { "source": { "type": "not_found" }, "location": null, "network": "10.0.0.0/24", "private": true },
            "name": { "name": "mail.verge.test.", "lookup": [{ "type": "zone_file_records", "zone": "verge.test." }] },
            "isolated": true,
            "a": { "ttl": 60, "edges": [] },
            "aaaa": edges,
        });
        insta::assert_snapshot!(rendered(explanation));
    }

    #[test]
    fn site_name_without_its_zone_gets_a_note() {
        let none = json!({ "ttl": 60, "edges": [edge("nyc-1", Some("192.0.2.1"), None, "healthy", &json!([]))] });
        let rendered = |name: &str, step: &Value| {
            rendered(json!({
                "name_server": "ns-1",
                "address": "192.0.2.1",
                "client": client("192.0.2.0/24"),
                "name": { "name": name, "lookup": [step] },
                "a": none,
                "aaaa": none,
            }))
        };
        let elsewhere = json!({ "type": "not_authoritative" });
        let missing = json!({ "type": "no_such_name", "zone": "test." });
        insta::assert_snapshot!(rendered("my-app.", &elsewhere));
        for (name, step) in [("my-app.example.com.", &elsewhere), ("my-app.", &missing), (".", &missing)] {
            let text = rendered(name, step);
            assert!(!text.contains("note:") && !text.contains("nyc-1"), "{text}");
        }
    }

    #[test]
    fn location_is_shown_with_its_source() {
        let first_line = |source: Value| {
            let client = json!({ "source": source, "location": "1.5,2", "network": "192.0.2.0/24" });
            let none = json!({ "ttl": 60, "edges": [] });
            let explanation =
                json!({ "name_server": "ns-1", "address": "192.0.2.1", "client": client, "a": none, "aaaa": none });
            rendered(explanation).lines().next().unwrap().to_owned()
        };
        assert_eq!(
            first_line(json!({ "type": "database", "database_type": "GeoLite2-City" })),
            "192.0.2.1 is at 1.5,2, from the database GeoLite2-City"
        );
        assert_eq!(
            first_line(json!({ "type": "override" })),
            "192.0.2.1 is at 1.5,2, from `locations` in the configuration"
        );
        assert_eq!(first_line(json!({ "type": "from_the_future" })), "192.0.2.1 is at 1.5,2");
    }

    #[test]
    fn every_probe_failure_has_words() {
        let failures = [
            json!({ "type": "connection_refused" }),
            json!({ "type": "timeout", "after_ms": 2000 }),
            json!({ "type": "unreachable", "cause": "network is unreachable" }),
            json!({ "type": "not_tls" }),
            json!({ "type": "certificate_expired" }),
            json!({ "type": "certificate_not_yet_valid" }),
            json!({ "type": "certificate_name_mismatch", "expected": "health.example" }),
            json!({ "type": "certificate_unknown_issuer" }),
            json!({ "type": "certificate_bad_signature" }),
            json!({ "type": "certificate_rejected", "cause": "CaUsedAsEndEntity" }),
            json!({ "type": "tls_failed", "cause": "received fatal alert" }),
            json!({ "type": "status", "status": 503 }),
            json!({ "type": "status", "status": 404 }),
            json!({ "type": "status", "status": 308 }),
            json!({ "type": "invalid_answer", "cause": "longer than 65536 bytes" }),
            json!({ "type": "wrong_edge", "edge": "ams-1" }),
            json!({ "type": "from_the_future" }),
        ];
        let edge: EdgeName = "fra-1".parse().unwrap();
        let words = failures.map(|failure| probe_failure(&edge, &serde_json::from_value(failure).unwrap()));
        insta::assert_snapshot!(words.join("\n"));
    }
}
