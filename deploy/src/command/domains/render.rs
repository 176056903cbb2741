//! The table of domains, and the DNS records to create.

use std::io;

use verge_protocol::Timestamp;
use verge_protocol::api::{Delegation, Domain, FindingKind, Site};

use super::findings;
use crate::output::{Output, human, table};
use crate::unicode_domain;

/// The TTL of the suggested records, in seconds: short, so that corrections take effect soon.
const TTL: u32 = 300;

/// In place of a table without rows.
pub(super) const NO_DOMAINS: &str = "no domains yet; add one with `verge domains add`";

/// The table of all domains.
pub(super) fn list(domains: &[Domain], now: Timestamp, output: &Output) -> String {
    let row = |domain: &Domain| {
        vec![
            unicode_domain::show(&domain.name),
            domain.site.to_string(),
            domain.redirect_to.as_ref().map_or_else(String::new, unicode_domain::show),
            domain.proven.map_or_else(|| "not yet".to_owned(), |proven| human::age(proven.age(now))),
            problem(domain),
        ]
    };
    table(output, &["domain", "site", "redirects to", "proven", "problem"], domains.iter().map(row).collect())
}

/// The first thing that is wrong, in short.
fn problem(domain: &Domain) -> String {
    match (domain.findings.first(), &domain.problem) {
        (Some(finding), _) if finding.kind != FindingKind::Unknown => finding.kind.to_string(),
        (_, Some(problem)) => unicode_domain::show_in(&human::line(problem, 200)),
        (first, None) => first.map_or_else(String::new, |finding| human::line(&finding.seen, 200)),
    }
}

/// What a domain lacks before it is served, and what to do, step by step. The records to create now are the result, with A-labels as in a
/// zone file.
pub(super) fn pending(domain: &Domain, site: &Site, program: &str, output: &Output) -> io::Result<()> {
    let name = unicode_domain::show(&domain.name);
    match domain.problem.as_deref().filter(|_| domain.findings.is_empty()) {
        Some(problem) => {
            let problem = unicode_domain::show_in(&human::line(problem, 500));
            output.info(format_args!("{name} is not proven yet: {problem}"));
        }
        None => output.info(format_args!("{name} is not proven yet")),
    }
    findings::write(domain, output);
    let proof = format!("{}. {TTL} IN TXT \"{}\"", line(&domain.proof.name), line(&domain.proof.value));
    let delegation = domain.delegation.as_ref().map(delegation_record);
    let what = if delegation.is_some() { "these records" } else { "this record" };
    output.info(format_args!("\n1. create {what} in its DNS zone:\n"));
    output.result([Some(proof), delegation.clone()].into_iter().flatten().collect::<Vec<_>>().join("\n"))?;
    output.info(format_args!(
        "\n2. wait until it is proven: the origin looks every minute for a week, and\n   `{program} domains check {name}` looks now"
    ));
    let point = format!("point it at the fleet: {}", fleet_record(domain, site));
    let wait = |when: &str| format!("wait for its certificate{when}, see `{program} certs`");
    let steps = match (domain.orders_certificate, delegation) {
        (true, Some(_)) => vec![wait(""), point],
        (true, None) => vec![point, wait(", which is ordered then")],
        (false, _) => vec![point],
    };
    for (number, step) in (3..).zip(steps) {
        output.info(format_args!("{number}. {step}"));
    }
    Ok(())
}

/// How to point a proven domain at the fleet. The record to create now is the result.
pub(super) fn proven(domain: &Domain, site: &Site, program: &str, output: &Output) -> io::Result<()> {
    let name = unicode_domain::show(&domain.name);
    match &domain.redirect_to {
        None => output.success(format_args!("{name} is proven and serves {}", domain.site)),
        Some(target) => {
            output.success(format_args!("{name} is proven and redirects to {}", unicode_domain::show(target)));
        }
    }
    if let Some(problem) = &domain.problem {
        output.warn(unicode_domain::show_in(&human::line(problem, 500)));
    }
    findings::write(domain, output);
    let fleet = fleet_record(domain, site);
    if let Some(delegation) = domain.delegation.as_ref().filter(|_| findings::needs_delegation(domain)) {
        output.info("\n1. create this record, so that its certificate is there before its readers come:\n");
        output.result(delegation_record(delegation))?;
        output.info(format_args!("\n2. wait for its certificate, see `{program} certs`"));
        output.info(format_args!("3. point it at the fleet: {fleet}"));
        return Ok(());
    }
    if findings::is_elsewhere(domain) && domain.delegation.is_some() {
        output.info(format_args!("\nwhen `{program} certs` lists its certificate, create this record:\n"));
    } else {
        output.info("\ncreate this record, unless Verge's name servers are authoritative for its zone:\n");
    }
    output.result(fleet)?;
    output.info(
        "\nat the apex of a zone, where CNAME is not allowed, create an ALIAS or ANAME\nrecord with the same target",
    );
    Ok(())
}

fn delegation_record(delegation: &Delegation) -> String {
    format!("{}. {TTL} IN CNAME {}.", line(&delegation.name), line(&delegation.target))
}

fn fleet_record(domain: &Domain, site: &Site) -> String {
    format!("{}. {TTL} IN CNAME {}.", domain.name, host(site))
}

fn line(text: &str) -> String {
    human::line(text, 300)
}

/// The host name of the site under the base domain.
fn host(site: &Site) -> String {
    let url = human::line(&site.url, 300);
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    rest.split([':', '/']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use verge_protocol::api::{DomainFinding, DomainStep, Proof};
    use verge_protocol::https::SiteHttps;

    use super::*;
    use crate::output::OutputOptions;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Both streams, as on a terminal.
    fn written(render: impl FnOnce(&Output) -> io::Result<()>) -> String {
        let buffer = Buffer::default();
        render(&Output::new(buffer.clone(), buffer.clone(), OutputOptions::default())).unwrap();
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    fn domain(name: &str, proven: Option<u64>, problem: Option<&str>) -> Domain {
        Domain {
            name: name.parse().unwrap(),
            site: "demo".parse().unwrap(),
            redirect_to: None,
            proof: Proof { name: format!("_verge.{name}"), value: "verge-demo-00".to_owned() },
            orders_certificate: false,
            delegation: None,
            proven: proven.map(Timestamp),
            problem: problem.map(str::to_owned),
            findings: vec![],
        }
    }

    fn site() -> Site {
        Site {
            name: "demo".parse().unwrap(),
            created: Timestamp(0),
            url: "https://demo.sites.example.com:8443/".to_owned(),
            channels: vec![],
            regions: [].into(),
            https: SiteHttps::default(),
        }
    }

    #[test]
    fn every_domain_is_listed() {
        let redirecting =
            Domain { redirect_to: Some("www.example.com".parse().unwrap()), ..domain("example.com", Some(0), None) };
        let domains = [
            redirecting,
            domain("new.example", None, Some("there is no name `_verge.new.example`")),
            domain("www.example.com", Some(3_600_000), None),
        ];
        let output = Output::new(io::sink(), io::sink(), OutputOptions::default());
        insta::assert_snapshot!(list(&domains, Timestamp(7_200_000), &output));
    }

    #[test]
    fn unicode_domain_is_shown_as_written_and_its_records_as_in_a_zone() {
        let name = "xn--bcher-kva.example";
        let problem = "there is no name `_verge.xn--bcher-kva.example`";
        let target = Some("www.xn--bcher-kva.example".parse().unwrap());
        let pending_one = domain(name, None, Some(problem));
        let redirecting = Domain { redirect_to: target, ..domain(name, Some(0), None) };
        let text = list(
            &[pending_one.clone(), redirecting.clone()],
            Timestamp(9),
            &Output::new(io::sink(), io::sink(), OutputOptions::default()),
        );
        assert!(!text.contains("xn--") && text.contains("www.bücher.example"), "{text}");
        let text = written(|output| pending(&pending_one, &site(), "verge", output));
        assert!(text.contains("bücher.example is not proven yet: there is no name `_verge.bücher.example`"), "{text}");
        assert!(text.contains("\n_verge.xn--bcher-kva.example. 300 IN TXT"), "{text}");
        let text = written(|output| proven(&redirecting, &site(), "verge", output));
        assert!(text.contains("bücher.example is proven and redirects to www.bücher.example\n"), "{text}");
        assert!(text.contains("\nxn--bcher-kva.example. 300 IN CNAME"), "{text}");
    }

    #[test]
    fn pending_domain_shows_txt_record() {
        let problem = "there is no name `_verge.www.example.com`\u{1b}[2J";
        insta::assert_snapshot!(written(|output| pending(
            &domain("www.example.com", None, Some(problem)),
            &site(),
            "verge",
            output
        )));
    }

    #[test]
    fn proven_domain_shows_cname_record() {
        insta::assert_snapshot!(written(|output| proven(
            &domain("www.example.com", Some(0), None),
            &site(),
            "verge",
            output
        )));
        let gone = domain("www.example.com", Some(0), Some("it has no TXT record; it was proven before"));
        let redirecting = Domain { redirect_to: Some("example.com".parse().unwrap()), ..gone };
        insta::assert_snapshot!(written(|output| proven(&redirecting, &site(), "verge", output)));
    }

    #[test]
    fn finding_of_a_later_version_is_shown_by_its_fields() {
        let finding = DomainFinding {
            kind: FindingKind::Unknown,
            blocks: [DomainStep::Proof, DomainStep::Service].into(),
            server: "ns1.example.net (192.0.2.53)".to_owned(),
            record: "www.example.com SOA".to_owned(),
            seen: "smoke\u{1b}[2J".to_owned(),
            wanted: "no smoke".to_owned(),
            until: None,
        };
        let burning = Domain { findings: vec![finding], ..domain("www.example.com", None, None) };
        insta::assert_snapshot!(written(|output| pending(&burning, &site(), "verge", output)));
    }

    #[test]
    fn certificate_comes_before_the_address_if_the_challenge_can_be_delegated() {
        let delegation = Delegation {
            name: "_acme-challenge.www.example.com".to_owned(),
            target: "0123456789abcdef._acme-challenge.sites.example.com".to_owned(),
        };
        let elsewhere = DomainFinding {
            kind: FindingKind::AddressElsewhere,
            blocks: [DomainStep::Certificate, DomainStep::Service].into(),
            server: "resolver 192.0.2.53:53".to_owned(),
            record: "www.example.com A, AAAA".to_owned(),
            seen: "198.51.100.1".to_owned(),
            wanted: "CNAME demo.sites.example.com (192.0.2.1)".to_owned(),
            until: None,
        };
        let with = |delegation: Option<Delegation>, proven: Option<u64>| Domain {
            delegation,
            orders_certificate: true,
            findings: vec![elsewhere.clone()],
            ..domain("www.example.com", proven, None)
        };
        let text = |domain: Domain| match domain.proven {
            None => written(|output| pending(&domain, &site(), "verge", output)),
            Some(_) => written(|output| proven(&domain, &site(), "verge", output)),
        };
        insta::assert_snapshot!(
            "can_be_delegated",
            text(with(Some(delegation.clone()), None)) + &text(with(Some(delegation), Some(0)))
        );
        insta::assert_snapshot!("cannot_be_delegated", text(with(None, None)) + &text(with(None, Some(0))));
    }
}
