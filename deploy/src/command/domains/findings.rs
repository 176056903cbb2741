//! What is wrong with a domain in DNS, and what to do about it.

use verge_protocol::api::{Domain, DomainFinding, DomainStep, FindingKind};

use crate::output::{Output, human};

/// The longest text of an answer, in characters.
const TEXT_MAX: usize = 500;

/// Writes what is wrong, each with the server asked, its answer, the answer wanted, and what to do.
pub(super) fn write(domain: &Domain, output: &Output) {
    for finding in &domain.findings {
        let blocks = finding.blocks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        output.warn(format_args!("{} (blocks {blocks})", finding.kind));
        let line = |text: &str| human::line(text, TEXT_MAX);
        let mut lines = vec![
            ("asked", format!("{} for {}", line(&finding.server), line(&finding.record))),
            ("seen", line(&finding.seen)),
            ("wanted", line(&finding.wanted)),
        ];
        lines.extend(hint(finding, domain).map(|hint| ("to do", hint)));
        for (label, text) in lines {
            let label = output.messages_style().dim().apply_to(format!("{label:8}"));
            output.info(format_args!("  {label}{text}"));
        }
    }
}

/// Whether a finding says only that nothing was done yet for a new domain.
pub(super) fn is_expected_at_first(finding: &DomainFinding) -> bool {
    match finding.kind {
        FindingKind::ProofMissing | FindingKind::AddressElsewhere => true,
        FindingKind::NameMissing => !finding.blocks.contains(&DomainStep::Proof),
        _ => false,
    }
}

/// Whether the domain does not point at the fleet yet.
pub(super) fn is_elsewhere(domain: &Domain) -> bool {
    let is_elsewhere = |kind| matches!(kind, FindingKind::AddressElsewhere | FindingKind::NameMissing);
    domain.findings.iter().any(|finding| is_elsewhere(finding.kind))
}

/// Whether the certificate is not ordered before the domain points at the fleet.
pub(super) fn needs_delegation(domain: &Domain) -> bool {
    let blocks_certificate = |finding: &DomainFinding| {
        finding.kind != FindingKind::RateLimited && finding.blocks.contains(&DomainStep::Certificate)
    };
    is_elsewhere(domain) && domain.findings.iter().any(blocks_certificate)
}

fn hint(finding: &DomainFinding, domain: &Domain) -> Option<String> {
    let text = match finding.kind {
        FindingKind::NameMissing if finding.blocks.contains(&DomainStep::Proof) => {
            "register the domain, or correct its spelling"
        }
        FindingKind::NameMissing | FindingKind::AddressElsewhere => return Some(point_at_fleet(domain).to_owned()),
        FindingKind::ProofMissing => "create the TXT record in the zone of this server",
        FindingKind::ProofWrong => "create the wanted TXT record; others at this name may stay",
        FindingKind::ProofHidden => "delete the CNAME record; if it is a wildcard, create the TXT record",
        FindingKind::NameServerStale => "update the zone on this server: check its serial and its transfers",
        FindingKind::ResolverStale => "wait: the resolver asks again when the TTL of its answer has passed",
        FindingKind::DnssecBogus => "sign the zone again, or correct its DS records at the registrar",
        FindingKind::LookupFailed => "see that the zone's name servers answer, and `resolver` of the origin",
        FindingKind::DelegationElsewhere => "create the wanted CNAME record in place of this one",
        FindingKind::CaaForbids => "add the wanted CAA record; the others may stay",
        FindingKind::RateLimited => "wait: the origin orders again by itself",
        FindingKind::AddressPartlyElsewhere => "delete the addresses that are not of the fleet",
        FindingKind::Ipv6Elsewhere => "delete the AAAA records that are not of the fleet",
        FindingKind::Unknown => return None,
    };
    Some(text.to_owned())
}

/// What to do about a domain that is elsewhere: first the certificate, so that no reader meets the fleet without one.
fn point_at_fleet(domain: &Domain) -> &'static str {
    match (domain.orders_certificate, &domain.delegation) {
        _ if domain.proven.is_none() => "leave it until the domain is proven",
        (true, Some(_)) if needs_delegation(domain) => "delegate _acme-challenge first, see below",
        (true, Some(_)) => "wait until `verge certs` lists its certificate, then change its address",
        (true, None) => "point the domain at the fleet; its certificate is ordered then",
        (false, _) => "point the domain at the fleet",
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::api::Proof;

    use super::*;

    #[test]
    fn each_kind_has_a_hint_that_fits_a_line() {
        let finding = |kind| DomainFinding {
            kind,
            blocks: [DomainStep::Service].into(),
            server: String::new(),
            record: String::new(),
            seen: String::new(),
            wanted: String::new(),
            until: None,
        };
        let domain = Domain {
            name: "example.com".parse().unwrap(),
            site: "demo".parse().unwrap(),
            redirect_to: None,
            proof: Proof { name: String::new(), value: String::new() },
            orders_certificate: true,
            delegation: None,
            proven: None,
            problem: None,
            findings: vec![],
        };
        for kind in FindingKind::ALL {
            let hint = hint(&finding(kind), &domain).unwrap();
            assert!(hint.len() <= 70, "{hint}");
        }
        assert_eq!(hint(&finding(FindingKind::Unknown), &domain), None);
    }
}
