//! The host that probes over TLS request. Edges refuse TLS for a name without a certificate, and have all certificates of the fleet.

use std::collections::BTreeMap;

use verge_protocol::{CertificateName, DomainName, Timestamp};

use crate::fleet_state::Certificate;

/// A host that a certificate of the fleet is valid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertifiedHost {
    pub(super) host: DomainName,
    not_after: Timestamp,
}

impl CertifiedHost {
    /// A host that one of the certificates is valid for at `now`: the present one if there is such a certificate, since probes of another
    /// begin anew. Certificates that not every edge presents count only if there is no other one: in a fleet with an edge that has no TLS of
    /// its own, there never is. The oldest of them is the one that edges most likely have.
    pub(super) fn choose(
        certificates: &BTreeMap<DomainName, Certificate>,
        present: Option<&Self>,
        now: Timestamp,
    ) -> Option<Self> {
        let is_valid = |certificate: &Certificate| certificate.not_after > now;
        let mut valid: Vec<&Certificate> = certificates.values().filter(|certificate| is_valid(certificate)).collect();
        if valid.iter().any(|certificate| certificate.confirmed) {
            valid.retain(|certificate| certificate.confirmed);
        } else {
            valid.sort_by_key(|certificate| certificate.not_before);
        }
        let present = present.and_then(|present| {
            let covers =
                |certificate: &&&Certificate| certificate.names.iter().any(|name| name.covers(present.host.as_str()));
            let not_after = valid.iter().filter(covers).map(|certificate| certificate.not_after).max()?;
            Some(Self { host: present.host.clone(), not_after })
        });
        let host = |certificate: &Certificate| {
            let host = certificate.names.iter().find_map(covered_host)?;
            Some(Self { host, not_after: certificate.not_after })
        };
        present.or_else(|| valid.into_iter().find_map(host))
    }

    pub(super) fn has_expired_at(&self, now: Timestamp) -> bool {
        self.not_after <= now
    }
}

/// A host that a certificate with this name is valid for; `None` if it would be too long.
fn covered_host(name: &CertificateName) -> Option<DomainName> {
    match name {
        CertificateName::Host(domain) => Some(domain.clone()),
        CertificateName::Wildcard(domain) => format!("health.{domain}").parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Certificates by their keys: the names, and the end of the validity.
    fn certificates(rows: &[(&str, &[&str], u64)]) -> BTreeMap<DomainName, Certificate> {
        let certificate = |names: &[&str], not_after| Certificate {
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            not_before: Timestamp(0),
            not_after: Timestamp(not_after),
            confirmed: true,
        };
        rows.iter().map(|(key, names, not_after)| (key.parse().unwrap(), certificate(names, *not_after))).collect()
    }

    fn choose(rows: &[(&str, &[&str], u64)], present: Option<&CertifiedHost>, now: u64) -> Option<CertifiedHost> {
        CertifiedHost::choose(&certificates(rows), present, Timestamp(now))
    }

    fn host(rows: &[(&str, &[&str], u64)], now: u64) -> Option<String> {
        choose(rows, None, now).map(|chosen| chosen.host.to_string())
    }

    #[test]
    fn host_is_a_name_of_a_valid_certificate_and_not_its_key() {
        let host_of = |names| host(&[("a.example", names, 9)], 1);
        assert_eq!(host_of(&["www.a.example"]).as_deref(), Some("www.a.example"));
        assert_eq!(host_of(&["*.a.example"]).as_deref(), Some("health.a.example"));
        assert_eq!(host_of(&[]), None);
        let rows: &[(&str, &[&str], u64)] = &[("a.example", &["a.example"], 5), ("b.example", &["b.example"], 9)];
        assert_eq!(host(rows, 4).as_deref(), Some("a.example"));
        assert_eq!(host(rows, 5).as_deref(), Some("b.example"), "the first has expired");
        assert_eq!(host(rows, 9), None);
    }

    #[test]
    fn host_is_kept_while_a_valid_certificate_covers_it() {
        let chosen = choose(&[("m.example", &["*.m.example"], 5)], None, 1).unwrap();
        let kept = |rows: &[(&str, &[&str], u64)], now| choose(rows, Some(&chosen), now).unwrap();
        let with_first: &[(&str, &[&str], u64)] =
            &[("a.example", &["a.example"], 9), ("m.example", &["*.m.example"], 5)];
        assert_eq!(kept(with_first, 4), chosen);
        assert_eq!(kept(with_first, 5).host.as_str(), "a.example");
        let renewed = kept(&[("a.example", &["a.example"], 9), ("m.example", &["*.m.example"], 8)], 5);
        assert_eq!(renewed.host, chosen.host);
        assert!(chosen.has_expired_at(Timestamp(5)) && !renewed.has_expired_at(Timestamp(5)));
        assert_eq!(kept(&[("a.example", &["a.example"], 9)], 4).host.as_str(), "a.example", "it is removed");
    }

    #[test]
    fn certificates_that_not_every_edge_presents_are_for_fleets_without_others() {
        let mut all = certificates(&[("a.example", &["a.example"], 5), ("b.example", &["b.example"], 9)]);
        let mut confirm = |key: &str, confirmed: bool| {
            all.get_mut(&key.parse().unwrap()).unwrap().confirmed = confirmed;
            all.clone()
        };
        let host_of = |all: &BTreeMap<DomainName, Certificate>, present: Option<&CertifiedHost>, now: u64| {
            CertifiedHost::choose(all, present, Timestamp(now)).map(|chosen| chosen.host.to_string())
        };
        let of_b = confirm("a.example", false);
        assert_eq!(host_of(&of_b, None, 1).as_deref(), Some("b.example"));
        let of_none = confirm("b.example", false);
        assert_eq!(host_of(&of_none, None, 1).as_deref(), Some("a.example"), "an edge has no TLS");
        let mut newer = of_none.clone();
        newer.get_mut(&"a.example".parse().unwrap()).unwrap().not_before = Timestamp(1);
        assert_eq!(host_of(&newer, None, 2).as_deref(), Some("b.example"), "edges may not have the new one");
        let present = CertifiedHost::choose(&of_b, None, Timestamp(1)).unwrap();
        assert_eq!(host_of(&of_none, Some(&present), 1).as_deref(), Some("b.example"), "it is kept");
        let of_a = confirm("a.example", true);
        assert_eq!(host_of(&of_a, Some(&present), 1).as_deref(), Some("a.example"));
        assert_eq!(host_of(&of_a, None, 6).as_deref(), Some("b.example"), "the other one has expired");
    }
}
