//! `verge certs`.

use std::time::Duration;

use serde_json::{Value, json};
use verge_protocol::api::{Certificate, CertificateEdges, RekeyRequest, Site};
use verge_protocol::{CertificateName, DomainName, Timestamp};

use super::context::Context;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};
use crate::unicode_domain;

/// In place of a table without rows.
const NONE: &str = "no certificates: the origin orders them once its configuration has an `[acme]` section";

/// The same, while sites are on HTTPS.
const NONE_ORDERED: &str = "no certificates of the fleet: the origin orders none without an `[acme]` section. Sites are on HTTPS: edges \
    present certificates of files (`[[certificates]]`, or those of `verge up --https`), or proxies in front of them do";

/// Says why no certificate is listed.
fn none(sites: &[Site]) -> &'static str {
    let mut urls = sites.iter().flat_map(|site| site.channels.iter().map(|channel| &channel.url).chain([&site.url]));
    if urls.any(|url| url.starts_with("https://")) { NONE_ORDERED } else { NONE }
}

/// How many names of a certificate are shown.
const NAMES_SHOWN: usize = 3;

pub(super) async fn run(command: Option<&cli::Certs>, context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    if let Some(cli::Certs::Rekey { domains, all }) = command {
        let request = if *all { RekeyRequest::All } else { RekeyRequest::Domains(domains.iter().cloned().collect()) };
        let domains: Vec<DomainName> = client.post("/v1/certificates/rekey", &request).await?;
        return context.print_result(&json!({ "rekeyed": domains }), || Ok(rekeyed(&domains, context)));
    }
    let answer: Value = client.get("/v1/certificates").await?;
    let is_empty = answer == json!([]) && !context.output.options().json;
    // An origin of which this cannot be found out lists no certificates all the same.
    let sites = if is_empty { client.sites::<Site>().await.unwrap_or_default() } else { Vec::new() };
    context.print_list(&answer, none(&sites), |certificates: &[Certificate]| {
        render(certificates, context.environment.now, context.output)
    })
}

/// Says which certificates are ordered anew.
pub(super) fn rekeyed(domains: &[DomainName], context: &Context<'_>) -> String {
    let count = human::count(domains.len() as u64, "certificate");
    let program = &context.environment.program;
    format!("{count} to be issued anew with other keys; `{program} certs` shows when they are on all edges")
}

fn render(certificates: &[Certificate], now: Timestamp, output: &Output) -> String {
    let row = |certificate: &Certificate| {
        vec![
            names(certificate),
            certificate.issuer.as_deref().map_or_else(|| "none yet".to_owned(), |issuer| human::line(issuer, 60)),
            certificate.key_type.clone().unwrap_or_default(),
            certificate.not_after.map_or_else(String::new, |end| expiry(end, now)),
            renewal(certificate, now),
            if certificate.is_api { "API".to_owned() } else { edges(certificate.edges) },
            problems(certificate),
        ]
    };
    let header = ["names", "issuer", "key", "expires", "renewal", "edges", "problem"];
    table(output, &header, certificates.iter().map(row).collect())
}

/// When it is ordered: anew, or again after a failure.
fn renewal(certificate: &Certificate, now: Timestamp) -> String {
    let until = |at: Timestamp| human::until(now.age(at));
    let is_ahead = |at: &Timestamp| *at > now;
    match (certificate.renewal.filter(is_ahead), certificate.next_try.filter(is_ahead)) {
        (Some(at), _) => until(at),
        _ if certificate.progress.is_some() => "in progress".to_owned(),
        (None, Some(at)) if now.age(at) >= Duration::from_mins(1) => format!("again {}", until(at)),
        (None, _) => "now".to_owned(),
    }
}

/// The longest text of a problem that is shown, in characters.
const TEXT_MAX: usize = 300;

/// How many edges that lack a certificate are named.
const EDGES_SHOWN: usize = 5;

/// Why there is no certificate, or not the wanted one, what its order waits for, and which edges lack the one there is: a line for each.
fn problems(certificate: &Certificate) -> String {
    let shown = |text: &str| unicode_domain::show_in(&human::line(text, TEXT_MAX));
    let lacking = certificate.lacking.iter().take(EDGES_SHOWN);
    let lacking = lacking.map(|(edge, reason)| shown(&format!("{edge} lacks it: {reason}")));
    let more = certificate.lacking.len().saturating_sub(EDGES_SHOWN) as u64;
    let more = (more > 0).then(|| format!("and {}", human::count(more, "more edge")));
    let texts = [certificate.problem.as_deref(), certificate.progress.as_deref()].into_iter().flatten();
    texts.map(shown).chain(lacking).chain(more).collect::<Vec<_>>().join("\n")
}

fn edges(CertificateEdges { presenting, of, without_tls }: CertificateEdges) -> String {
    match without_tls {
        0 => format!("{presenting} of {of}"),
        without => format!("{presenting} of {of}, {without} without TLS"),
    }
}

/// The domain first, then the others.
fn names(certificate: &Certificate) -> String {
    let is_domain = |name: &&CertificateName| **name == CertificateName::Host(certificate.domain.clone());
    let (first, others): (Vec<_>, Vec<_>) = certificate.names.iter().partition(is_domain);
    let all: Vec<String> =
        first.into_iter().chain(others).map(|name| unicode_domain::show_in(&name.to_string())).collect();
    match all.len().saturating_sub(NAMES_SHOWN) {
        0 => all.join(", "),
        more => format!("{} and {more} more", all[..NAMES_SHOWN].join(", ")),
    }
}

fn expiry(end: Timestamp, now: Timestamp) -> String {
    if end > now { human::until(now.age(end)) } else { format!("expired {}", human::age(end.age(now))) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::output::OutputOptions;

    #[test]
    fn certificates_that_the_origin_does_not_order_are_mentioned_if_sites_are_on_https() {
        let site = |url: &str| -> Site {
            serde_json::from_value(json!({ "name": "demo", "url": url, "created": 0, "channels": [] })).unwrap()
        };
        assert_eq!(none(&[]), NONE);
        assert_eq!(none(&[site("http://demo.localhost:7401/")]), NONE);
        assert_eq!(none(&[site("http://a.localhost/"), site("https://demo.localhost:7601/")]), NONE_ORDERED);
    }

    #[test]
    fn certificates_are_listed_with_their_expiry_and_problem() {
        let now = Timestamp(1_800_000_000_000);
        let certificate = |domain: &str, others: &[&str], left: Option<u32>, problem: Option<&str>| Certificate {
            domain: domain.parse().unwrap(),
            names: others.iter().chain([&domain]).map(|name| name.parse().unwrap()).collect(),
            issuer: left.map(|_| "Let's Encrypt E8".to_owned()),
            key_type: left.map(|_| "ECDSA P-256".to_owned()),
            edges: CertificateEdges {
                presenting: left.map_or(0, |days| u64::from(days).min(3)),
                of: 3,
                without_tls: u64::from(left.is_none()),
            },
            lacking: BTreeMap::new(),
            is_api: domain.starts_with("origin."),
            not_after: left.map(|days| Timestamp(now.0 - 86_400_000 * 10).after(Duration::from_hours(24) * days)),
            renewal: left.filter(|days| *days > 10).map(|_| now.after(Duration::from_hours(50))),
            next_try: None,
            progress: None,
            problem: problem.map(str::to_owned),
        };
        let lacking = |edges: &[&str]| {
            edges.iter().map(|edge| (edge.parse().unwrap(), "malformed edge key".to_owned())).collect()
        };
        let certificates = [
            certificate("sites.example.com", &["*.sites.example.com"], Some(90), None),
            certificate("a.example", &["b.example", "c.example", "d.example", "e.example"], Some(9), Some("refused")),
            Certificate { lacking: lacking(&["fra-1"]), ..certificate("www.example", &[], Some(12), None) },
            Certificate {
                lacking: lacking(&["e-1", "e-2", "e-3", "e-4", "e-5", "e-6", "e-7"]),
                ..certificate("b.example", &[], Some(12), Some("refused"))
            },
            Certificate {
                progress: Some(
                    "being ordered: waiting until every name server answers the challenge; name server ns2 (192.0.2.2) answers \
                     `_acme-challenge.c.example` TXT with no such record, expected `x`: it is waited for until 2027-01-15T08:10:00Z"
                        .to_owned(),
                ),
                ..certificate("c.example", &[], None, None)
            },
            Certificate {
                next_try: Some(now.after(Duration::from_mins(5))),
                ..certificate("d.example", &[], None, Some("the authority is not reachable"))
            },
            Certificate {
                next_try: Some(now.after(Duration::from_secs(30))),
                ..certificate("e.example", &[], None, Some("the authority is not reachable"))
            },
            certificate("origin.example.com", &[], Some(60), None),
            certificate("new.example", &[], None, Some("no address for new.example\nsecond line")),
        ];
        let output = Output::new(Vec::new(), Vec::new(), OutputOptions::default());
        insta::assert_snapshot!(render(&certificates, now, &output));
    }
}
