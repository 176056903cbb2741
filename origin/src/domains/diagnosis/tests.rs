use std::collections::BTreeSet;
use std::net::IpAddr;

use verge_protocol::Timestamp;
use verge_protocol::api::{DomainFinding, FindingKind};

use super::*;
use crate::domains::observation::Observation;
use crate::domains::resolver::{Answer, Data, RecordKind, Status};
use crate::store::DomainRow;

const TARGET: &str = "0123456789abcdef._acme-challenge.sites.example.org";

fn answer(records: &[Data]) -> Answer {
    Answer {
        server: "192.0.2.53:53".to_owned(),
        status: Status::Exists,
        is_authoritative: true,
        aliases: Vec::new(),
        records: records.to_vec(),
        zone: None,
        extended_error: None,
    }
}

fn alias(target: &str) -> Answer {
    Answer { aliases: vec![target.to_owned()], ..answer(&[]) }
}

fn error(status: Status) -> Answer {
    Answer { status, is_authoritative: false, ..answer(&[]) }
}

fn addresses(texts: &[&str]) -> Answer {
    answer(&texts.iter().map(|text| Data::Address(text.parse().unwrap())).collect::<Vec<_>>())
}

fn texts(texts: &[&str]) -> Answer {
    answer(&texts.iter().map(|text| Data::Text((*text).to_owned())).collect::<Vec<_>>())
}

fn caa(properties: &[(bool, &str, &str)]) -> Answer {
    let data = |(is_critical, tag, value): &(bool, &str, &str)| Data::Caa {
        is_critical: *is_critical,
        tag: (*tag).to_owned(),
        value: (*value).to_owned(),
    };
    answer(&properties.iter().map(data).collect::<Vec<_>>())
}

fn observation(name: &str, kind: RecordKind, answer: Answer) -> Observation {
    Observation { name: name.to_owned(), kind, answer, unvalidated: None, authoritative: Vec::new() }
}

/// A domain with which nothing is wrong.
fn sound() -> Observations {
    Observations {
        proof: observation("_verge.www.example.com", RecordKind::Txt, texts(&["verge-demo-00"])),
        delegation: observation("_acme-challenge.www.example.com", RecordKind::Cname, alias(TARGET)),
        caa: observation("example.com", RecordKind::Caa, answer(&[])),
        ipv4: observation("www.example.com", RecordKind::A, addresses(&["192.0.2.1"])),
        ipv6: observation("www.example.com", RecordKind::Aaaa, addresses(&["2001:db8::1"])),
    }
}

fn of_servers(observation: &Observation, answers: &[Answer]) -> Observation {
    let server = |number: usize| format!("ns{}.example.com (192.0.2.{number})", number + 1);
    let authoritative = answers.iter().enumerate().map(|(number, answer)| (server(number), answer.clone())).collect();
    Observation { authoritative, ..observation.clone() }
}

fn diagnose_as(is_proven: bool, observed: &Observations) -> Vec<DomainFinding> {
    let row = DomainRow {
        name: "www.example.com".parse().unwrap(),
        site: "demo".parse().unwrap(),
        redirect_to: None,
        proof: "verge-demo-00".to_owned(),
        claimed: Timestamp(0),
        proven: is_proven.then_some(Timestamp(0)),
        problem: None,
    };
    let edges: BTreeSet<IpAddr> = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| text.parse().unwrap()).into();
    let issuers = ["letsencrypt.org".to_owned()].into();
    let certificate = ExpectedCertificate { delegation: Some(TARGET), issuers: &issuers };
    let base = "sites.example.org".parse().unwrap();
    diagnose(&Expected { row: &row, base: &base, edges: &edges, certificate: Some(certificate) }, observed)
}

/// What is found of a proven domain, in short.
fn found(observed: &Observations) -> Vec<String> {
    diagnose_as(true, observed).iter().map(short).collect()
}

fn short(finding: &DomainFinding) -> String {
    let blocks = finding.blocks.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
    format!("{:?} {blocks}: {}", finding.kind, finding.seen)
}

#[test]
fn sound_domain_has_no_findings() {
    for is_proven in [true, false] {
        assert_eq!(diagnose_as(is_proven, &sound()), []);
    }
}

#[test]
fn address_is_judged_by_both_families() {
    let found = |ipv4: Answer, ipv6: Answer| {
        let sound = sound();
        let (ipv4, ipv6) = (Observation { answer: ipv4, ..sound.ipv4 }, Observation { answer: ipv6, ..sound.ipv6 });
        found(&Observations { ipv4, ipv6, ..sound })
    };
    assert_eq!(found(addresses(&["192.0.2.1", "192.0.2.2"]), addresses(&[])), [""; 0]);
    assert_eq!(found(addresses(&[]), addresses(&["2001:db8::1"])), [""; 0]);
    assert_eq!(found(addresses(&[]), addresses(&[])), ["AddressElsewhere service: no such record"]);
    assert_eq!(
        found(addresses(&["198.51.100.1"]), addresses(&["2001:db8::9"])),
        ["AddressElsewhere service: 198.51.100.1, 2001:db8::9"]
    );
    assert_eq!(found(addresses(&["192.0.2.1"]), addresses(&["2001:db8::9"])), ["Ipv6Elsewhere service: 2001:db8::9"]);
    assert_eq!(
        found(addresses(&["192.0.2.1", "198.51.100.1"]), addresses(&[])),
        ["AddressPartlyElsewhere service: 192.0.2.1, 198.51.100.1"]
    );
    assert_eq!(
        found(addresses(&["198.51.100.1"]), addresses(&["2001:db8::1"])),
        ["AddressPartlyElsewhere service: 198.51.100.1, 2001:db8::1"]
    );
    let denied = error(Status::NoName);
    assert_eq!(found(denied.clone(), denied.clone()), ["NameMissing service: no such name"]);
    // A name server that denies the name for want of an AAAA record.
    assert_eq!(found(addresses(&["192.0.2.1"]), denied), [""; 0]);
    let silent = error(Status::Silent);
    assert_eq!(found(silent.clone(), silent), ["LookupFailed service: no answer"]);
}

#[test]
fn address_elsewhere_blocks_the_certificate_unless_the_challenge_is_delegated() {
    let mut observed = sound();
    observed.ipv4.answer = addresses(&["198.51.100.1"]);
    observed.ipv6.answer = addresses(&[]);
    assert_eq!(found(&observed), ["AddressElsewhere service: 198.51.100.1"]);
    observed.delegation.answer = answer(&[]);
    assert_eq!(found(&observed), ["AddressElsewhere certificate+service: 198.51.100.1"]);
    observed.delegation.answer = alias("other.example.net");
    let delegated_elsewhere = "DelegationElsewhere certificate: CNAME other.example.net";
    assert_eq!(found(&observed), [delegated_elsewhere, "AddressElsewhere certificate+service: 198.51.100.1"]);
    // HTTP-01 needs no delegation.
    observed.ipv4.answer = addresses(&["192.0.2.1"]);
    assert_eq!(found(&observed), [""; 0]);
}

#[test]
fn caa_records_are_judged_as_the_authority_does() {
    let is_forbidden = |properties: &[(bool, &str, &str)]| {
        let mut observed = sound();
        observed.caa.answer = caa(properties);
        !found(&observed).is_empty()
    };
    for allowed in [
        &[(false, "issue", "letsencrypt.org")][..],
        &[(false, "issue", "ca.example.net"), (true, "issue", " LetsEncrypt.org ; validationmethods=dns-01")],
        &[(false, "iodef", "mailto:a@example.com")],
        // It is about wildcards.
        &[(false, "issuewild", ";")],
        &[(false, "future", "x")],
    ] {
        assert!(!is_forbidden(allowed), "{allowed:?}");
    }
    for forbidden in [
        &[(false, "issue", ";")][..],
        &[(false, "issue", "")],
        &[(false, "issue", "ca.example.net")],
        &[(false, "issue", "notletsencrypt.org"), (false, "issuewild", "letsencrypt.org")],
        &[(true, "future", "x"), (false, "issue", "letsencrypt.org")],
    ] {
        assert!(is_forbidden(forbidden), "{forbidden:?}");
    }
}

#[test]
fn name_server_that_differs_is_named() {
    let mut observed = sound();
    observed.proof.answer = error(Status::NoName);
    observed.proof = of_servers(&observed.proof, &[texts(&["verge-demo-00"]), error(Status::NoName)]);
    let findings = diagnose_as(false, &observed);
    assert_eq!(findings.iter().map(short).collect::<Vec<_>>(), ["NameServerStale proof: no such name"]);
    assert_eq!((&*findings[0].server, &*findings[0].wanted), ("ns2.example.com (192.0.2.1)", "`verge-demo-00`"));

    observed.proof = of_servers(&observed.proof, &[texts(&["verge-demo-00"]), texts(&["verge-demo-00"])]);
    let findings = diagnose_as(false, &observed);
    assert_eq!(findings.iter().map(short).collect::<Vec<_>>(), ["ResolverStale proof: no such name"]);
    assert_eq!(findings[0].server, "resolver 192.0.2.53:53");

    let mut observed = sound();
    let moved = [addresses(&["198.51.100.1"]), alias("demo.sites.example.org"), addresses(&["192.0.2.1"])];
    observed.ipv4 = of_servers(&observed.ipv4, &moved);
    observed.delegation = of_servers(&observed.delegation, &[alias(TARGET), answer(&[])]);
    assert_eq!(
        found(&observed),
        ["NameServerStale certificate: no such record", "NameServerStale service: 198.51.100.1"]
    );
}

#[test]
fn failure_with_one_cause_is_one_finding() {
    let mut observed = sound();
    let failed = Answer { extended_error: Some(7), ..error(Status::Failed("Server Failure".to_owned())) };
    for observation in [&mut observed.proof, &mut observed.caa, &mut observed.ipv4, &mut observed.ipv6] {
        observation.unvalidated = Some(observation.answer.clone());
        observation.answer = failed.clone();
    }
    let findings = diagnose_as(false, &observed);
    let seen = "Server Failure: signature expired; without validation: `verge-demo-00`";
    assert_eq!(
        findings.iter().map(short).collect::<Vec<_>>(),
        [format!("DnssecBogus proof+certificate+service: {seen}")]
    );
    // A zone that cannot be reached fails without validation too.
    observed.proof.answer.extended_error = None;
    observed.proof.unvalidated = Some(observed.proof.answer.clone());
    assert_eq!(diagnose_as(false, &observed)[0].kind, FindingKind::LookupFailed);
    assert_eq!(diagnose_as(true, &observed)[0].kind, FindingKind::DnssecBogus);
}

#[test]
fn unknown_observation_is_not_judged() {
    let mut observed = sound();
    observed.ipv4.answer = addresses(&["198.51.100.1"]);
    observed.caa.answer = caa(&[(false, "issue", ";")]);
    let row = DomainRow {
        name: "www.example.com".parse().unwrap(),
        site: "demo".parse().unwrap(),
        redirect_to: None,
        proof: String::new(),
        claimed: Timestamp(0),
        proven: Some(Timestamp(0)),
        problem: None,
    };
    let (edges, issuers, base) = (BTreeSet::new(), BTreeSet::new(), "sites.example.org".parse().unwrap());
    let certificate = ExpectedCertificate { delegation: None, issuers: &issuers };
    let mut expected = Expected { row: &row, base: &base, edges: &edges, certificate: Some(certificate) };
    assert_eq!(diagnose(&expected, &observed), []);
    expected.certificate = None;
    observed.ipv4.answer = addresses(&[]);
    observed.ipv6.answer = addresses(&[]);
    let findings = diagnose(&expected, &observed);
    assert_eq!(findings.iter().map(short).collect::<Vec<_>>(), ["AddressElsewhere service: no such record"]);
}
