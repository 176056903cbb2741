//! Which hosts of sites share a certificate, for a fleet whose name servers cannot prove a wildcard. Pure.

use std::collections::{BTreeMap, BTreeSet};

use verge_protocol::{CertificateName, DomainName};

use super::plan::Wanted;

/// The most hosts of one certificate. For a new host the whole certificate is ordered anew.
const HOSTS_MAX: usize = 25;

/// The certificates for `hosts`, which are in the order in which they came to be. A host stays in the certificate that has it; each other one
/// joins the first certificate that has room, or begins one, which it identifies from then on. A certificate with a host that could not be
/// verified of late (`failed`) has no room: a new host would have to wait for it.
pub(super) fn groups(
    hosts: &[DomainName],
    current: &BTreeMap<DomainName, BTreeSet<CertificateName>>,
    failed: impl Fn(&CertificateName) -> bool,
) -> Vec<Wanted> {
    let mut unplaced: BTreeSet<&DomainName> = hosts.iter().collect();
    let mut groups: Vec<(DomainName, BTreeSet<CertificateName>)> = Vec::new();
    let mut closed: BTreeSet<DomainName> = BTreeSet::new();
    for (domain, names) in current {
        let placed: Vec<&DomainName> = names
            .iter()
            .filter_map(|name| if let CertificateName::Host(host) = name { unplaced.take(host) } else { None })
            .collect();
        if !placed.is_empty() {
            let names: BTreeSet<_> = placed.into_iter().cloned().map(CertificateName::Host).collect();
            if names.iter().any(&failed) {
                closed.insert(domain.clone());
            }
            groups.push((domain.clone(), names));
        }
    }
    for host in hosts.iter().filter(|host| unplaced.contains(host)) {
        let own = groups.iter().position(|(domain, _)| domain == host);
        let has_room = |(domain, names): &(_, BTreeSet<_>)| names.len() < HOSTS_MAX && !closed.contains(domain);
        let with_room = || groups.iter().position(has_room);
        let name = CertificateName::Host(host.clone());
        match own.or_else(with_room) {
            Some(index) => drop(groups[index].1.insert(name)),
            None => groups.push((host.clone(), [name].into())),
        }
    }
    groups.into_iter().map(|(domain, names)| Wanted { domain, names }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without failed hosts.
    fn groups(hosts: &[DomainName], current: &Current) -> Vec<Wanted> {
        super::groups(hosts, current, |_| false)
    }

    type Current = BTreeMap<DomainName, BTreeSet<CertificateName>>;

    fn host(number: usize) -> DomainName {
        format!("s{number}.sites.example").parse().unwrap()
    }

    fn hosts(numbers: impl IntoIterator<Item = usize>) -> Vec<DomainName> {
        numbers.into_iter().map(host).collect()
    }

    /// What there is once all wanted certificates were issued.
    fn issued(groups: &[Wanted]) -> Current {
        groups.iter().map(|wanted| (wanted.domain.clone(), wanted.names.clone())).collect()
    }

    fn sizes(groups: &[Wanted]) -> Vec<(String, usize)> {
        groups.iter().map(|wanted| (wanted.domain.to_string(), wanted.names.len())).collect()
    }

    fn sized(texts: &[(&str, usize)]) -> Vec<(String, usize)> {
        texts.iter().map(|(text, size)| (format!("{text}.sites.example"), *size)).collect()
    }

    #[test]
    fn hosts_share_certificates_of_at_most_twenty_five_and_each_is_in_one() {
        let all = groups(&hosts(0..60), &Current::new());
        assert_eq!(sizes(&all), sized(&[("s0", 25), ("s25", 25), ("s50", 10)]));
        let names: BTreeSet<_> = all.iter().flat_map(|wanted| &wanted.names).collect();
        assert_eq!(names.len(), 60);
        assert!(groups(&[], &Current::new()).is_empty());
    }

    #[test]
    fn new_host_changes_one_certificate_whether_or_not_it_was_issued() {
        let before = groups(&hosts(0..60), &Current::new());
        for current in [issued(&before), issued(&before[..1]), Current::new()] {
            let after = groups(&hosts(0..61), &current);
            assert_eq!(after.iter().filter(|wanted| !before.contains(wanted)).count(), 1);
            assert_eq!(sizes(&after), sized(&[("s0", 25), ("s25", 25), ("s50", 11)]));
        }
        // Whatever the order of the hosts is, what was issued stays as it is.
        let reversed: Vec<DomainName> = hosts(0..60).into_iter().rev().collect();
        assert_eq!(issued(&groups(&reversed, &issued(&before))), issued(&before));
    }

    #[test]
    fn host_that_is_left_out_of_its_certificate_stays_wanted_there() {
        let before = groups(&hosts(0..50), &Current::new());
        let mut current = issued(&before);
        // The one that identifies it, in a certificate that is full without it.
        let names = current.get_mut(&host(0)).unwrap();
        names.remove(&CertificateName::Host(host(0)));
        names.insert(CertificateName::Host(host(70)));
        let after = groups(&hosts((0..50).chain([70])), &current);
        assert_eq!(sizes(&after), sized(&[("s0", 26), ("s25", 25)]));
    }

    #[test]
    fn certificates_of_other_domains_are_no_groups() {
        let other = |text: &str| (text.parse().unwrap(), [text.parse().unwrap()].into());
        let wildcard = ("sites.example".parse().unwrap(), ["*.sites.example".parse().unwrap()].into());
        let current: Current = [other("www.example.com"), wildcard].into();
        assert_eq!(sizes(&groups(&hosts(0..1), &current)), sized(&[("s0", 1)]));
    }

    #[test]
    fn new_host_joins_no_certificate_with_a_host_that_fails() {
        let before = groups(&hosts(0..3), &Current::new());
        let fails = |name: &CertificateName| *name.domain() == host(1);
        let after = super::groups(&hosts(0..5), &issued(&before), fails);
        assert_eq!(sizes(&after), sized(&[("s0", 3), ("s3", 2)]));
        // One that has no certificate yet is in nobody's way.
        let fails = |name: &CertificateName| *name.domain() == host(4);
        let after = super::groups(&hosts(0..6), &issued(&before), fails);
        assert_eq!(sizes(&after), sized(&[("s0", 6)]));
    }
}
