//! Faults in the DNS of domains, planted in name servers and seen through a resolver that are not Verge's: `verge domains check` names each.

mod authority;
mod programs;
mod world;

use std::fmt::Write as _;
use std::time::Duration;

use verge::Exit;
use verge_protocol::api::{Domain, DomainFinding, DomainStep, FindingKind};
use verge_test_kit::until;

use self::authority::Refusal;
use self::world::{EDGE, ELSEWHERE, PROGRAMS, World, Zone};

const CERTIFICATE: DomainStep = DomainStep::Certificate;
const PROOF: DomainStep = DomainStep::Proof;
const SERVICE: DomainStep = DomainStep::Service;

/// A domain, and what is found.
struct Fault {
    zone: Zone,
    found: &'static [(FindingKind, &'static [DomainStep])],
}

const fn fault(
    name: &'static str,
    records: Option<&'static str>,
    found: &'static [(FindingKind, &'static [DomainStep])],
) -> Fault {
    Fault { zone: Zone { name, records }, found }
}

const FAULTS: [Fault; 13] = [
    fault("sound", Some("_verge.www TXT {proof}\nwww CNAME {fleet}"), &[]),
    fault("missing", Some("www CNAME {fleet}"), &[(FindingKind::ProofMissing, &[PROOF])]),
    fault(
        "wrong",
        Some("_verge.www TXT verge-shop-00\n_verge.www TXT v=spf1\nwww CNAME {fleet}"),
        &[(FindingKind::ProofWrong, &[PROOF])],
    ),
    fault(
        "hidden",
        Some("*.www CNAME parking.sound.example.\nwww CNAME {fleet}"),
        &[(FindingKind::ProofHidden, &[PROOF])],
    ),
    fault(
        "stale",
        Some("@ NS ns2\nns2 A 127.53.0.2\n_verge.www TXT {proof}\nwww CNAME {fleet}"),
        &[(FindingKind::NameServerStale, &[PROOF])],
    ),
    fault(
        "caa",
        // An alias of the fleet has its records.
        Some(
            "_verge.www TXT {proof}\nwww A 127.53.0.10\n@ CAA 0 issue \"ca.example.net; policy=ev\"\n@ CAA 0 iodef \"mailto:a@b.example\"",
        ),
        &[(FindingKind::CaaForbids, &[CERTIFICATE])],
    ),
    fault(
        "bogus",
        Some("_verge.www TXT {proof}\nwww CNAME {fleet}"),
        &[(FindingKind::DnssecBogus, &[PROOF, CERTIFICATE, SERVICE])],
    ),
    // Still served elsewhere, but its certificate is issued all the same.
    fault(
        "elsewhere",
        Some("_verge.www TXT {proof}\n_acme-challenge.www CNAME {target}\nwww A 127.53.0.99"),
        &[(FindingKind::AddressElsewhere, &[SERVICE])],
    ),
    fault(
        "delegated",
        Some("_verge.www TXT {proof}\n_acme-challenge.www CNAME acme.sound.example.\nwww A 127.53.0.99"),
        &[(FindingKind::DelegationElsewhere, &[CERTIFICATE]), (FindingKind::AddressElsewhere, &[CERTIFICATE, SERVICE])],
    ),
    fault(
        "ipv6",
        Some("_verge.www TXT {proof}\nwww A 127.53.0.10\nwww AAAA 2001:db8::99"),
        &[(FindingKind::Ipv6Elsewhere, &[CERTIFICATE, SERVICE])],
    ),
    fault(
        "partly",
        Some("_verge.www TXT {proof}\nwww A 127.53.0.10\nwww A 127.53.0.99"),
        &[(FindingKind::AddressPartlyElsewhere, &[CERTIFICATE, SERVICE])],
    ),
    fault("unregistered", None, &[(FindingKind::NameMissing, &[PROOF, CERTIFICATE, SERVICE])]),
    fault(
        "nameless",
        Some("_verge.www2 TXT x"),
        &[(FindingKind::ProofMissing, &[PROOF]), (FindingKind::NameMissing, &[CERTIFICATE, SERVICE])],
    ),
];

/// What changes from run to run is left out.
const FILTERS: [(&str, &str); 4] = [
    (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
    (r"localhost:\d+", "localhost:[port]"),
    ("[0-9a-f]{32}", "[random]"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[time]"),
];

#[tokio::test]
async fn planted_fault_is_named_with_server_answer_seen_and_answer_wanted() {
    if !programs::are_installed(&PROGRAMS) {
        return;
    }
    assert_eq!((EDGE, ELSEWHERE), ("127.53.0.10", "127.53.0.99"), "as in the records");
    let world = World::start(&FAULTS.map(|fault| fault.zone), Refusal::OutOfOrder).await;
    let (mut fields, mut texts) = (String::new(), String::new());
    for Fault { zone: Zone { name, .. }, found } in FAULTS {
        let check = format!("domains check www.{name}.example");
        let wanted: Vec<_> = found.iter().map(|(kind, blocks)| (*kind, blocks.iter().copied().collect())).collect();
        let mut domain = None;
        // The resolver fails while it has not found its way to a zone yet, and remembers that for seconds.
        until(format!("{name}: {wanted:?}"), async || {
            let checked = world.verge(&format!("{check} --json")).await.json();
            let checked: &Domain = domain.insert(serde_json::from_value(checked).unwrap());
            let kinds = checked.findings.iter().map(|finding| (finding.kind, finding.blocks.clone()));
            kinds.collect::<Vec<_>>() == wanted
        })
        .await;
        let domain = domain.unwrap();
        let is_proven = !found.iter().any(|(_, blocks)| blocks.contains(&PROOF));
        assert_eq!(domain.proven.is_some(), is_proven, "{name}");
        fields += &domain.findings.iter().map(|finding| line(name, finding)).collect::<String>();
        let ran = world.verge(&check).await.ended(if is_proven { Exit::Success } else { Exit::Pending });
        writeln!(texts, "$ verge {check}\n{}{}", ran.stderr, ran.stdout).unwrap();
    }
    let list = world.verge("domains").await.ended(Exit::Success).stdout;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("faults_fields", fields);
        insta::assert_snapshot!("faults_texts", texts);
        insta::assert_snapshot!("faults_list", list);
    });
    world.stop().await;
}

fn line(name: &str, finding: &DomainFinding) -> String {
    let DomainFinding { kind, server, record, seen, wanted, .. } = finding;
    let kind = serde_json::to_value(kind).unwrap();
    let kind = kind.as_str().unwrap();
    format!("{name}: {kind}\n  server: {server}\n  record: {record}\n  seen: {seen}\n  wanted: {wanted}\n")
}

#[tokio::test]
async fn rate_limit_of_the_authority_is_named_with_its_end() {
    if !programs::are_installed(&PROGRAMS) {
        return;
    }
    let zones = [
        Zone { name: "limited", records: Some("_verge.www TXT {proof}\nwww CNAME {fleet}") },
        // The resolver trusts a key.
        Zone { name: "bogus", records: Some("") },
    ];
    let world = World::start(&zones, Refusal::RateLimit).await;
    world.verge("domains remove www.bogus.example").await.ended(Exit::Success);
    let check = "domains check www.limited.example";
    until("the authority to refuse an order for the sites", async || {
        world.verge("certs --json").await.json()[0]["problem"].is_string()
    })
    .await;
    world.verge(check).await.ended(Exit::Success);
    // It gets no further order for ten minutes.
    world.clock.advance(Duration::from_mins(11));
    until("the authority to refuse one for the domain", async || {
        let domain: Domain = serde_json::from_value(world.verge(&format!("{check} --json")).await.json()).unwrap();
        let [DomainFinding { kind, blocks, until, .. }] = &*domain.findings else { return false };
        assert_eq!((*kind, blocks), (FindingKind::RateLimited, &[CERTIFICATE].into()));
        until.is_some_and(|until| until > world.clock.now())
    })
    .await;
    let ran = world.verge(check).await.ended(Exit::Success);
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("faults_rate_limit", format!("{}{}", ran.stderr, ran.stdout));
    });
    world.stop().await;
}
