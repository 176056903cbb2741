//! Which certificates the fleet should have, which it has, and on how many edges they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use verge_protocol::api::CertificateEdges;
use verge_protocol::certificate::CertificateState;
use verge_protocol::report::EdgeReport;
use verge_protocol::{CertificateName, Digest, DomainName, EdgeName, Position, SiteName, Timestamp};

use super::api_certificate::ApiCertificate;
use super::authority::Authority;
use super::plan::{self, Wanted};
use super::{order_names, site_groups};
use crate::edge_reports::EdgeReports;
use crate::store::{Database, FailedNames, IssuanceRow, IssuanceRows, StoreError};

/// Which certificates the hosts below the base domain have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SiteCertificates {
    /// One for the base domain and all names one label below it: name servers of the fleet must answer for it.
    #[default]
    Wildcard,
    /// Some for the hosts of sites with a release, by HTTP-01, several hosts in each; none for previews and hosts of releases.
    Each,
    /// None.
    None,
}

impl SiteCertificates {
    /// Whether name servers of the fleet answer for the base domain.
    pub(crate) fn need_name_servers(self) -> bool {
        self == Self::Wildcard
    }
}

/// Reads what is wanted and what there is. Clones share it.
#[derive(Clone)]
pub(crate) struct Inventory {
    pub(crate) database: Database,
    pub(crate) edge_reports: EdgeReports,
    pub(crate) base: DomainName,
    pub(crate) sites: SiteCertificates,
    /// The certificate of the API, if it has a name.
    pub(crate) api: Option<ApiCertificate>,
}

/// What is wanted and what there is, as of one moment.
#[derive(Default)]
pub(super) struct Known {
    /// Those of edges.
    pub(super) wanted: Vec<Wanted>,
    /// Those of edges.
    pub(super) certificates: BTreeMap<DomainName, Published>,
    /// The one of the API that is wanted, and the one there is.
    pub(super) api: Option<(Wanted, Option<CertificateState>)>,
    pub(super) issuances: IssuanceRows,
    /// The names whose control an authority could not verify.
    pub(super) failed: FailedNames,
    /// The private keys that are to be replaced.
    pub(super) rekeys: BTreeMap<DomainName, Digest>,
    /// The private keys that are stored.
    pub(super) keys: BTreeSet<Digest>,
    /// The domains that edges serve. One whose own row is damaged is among them, but its certificate is not wanted.
    served: BTreeSet<DomainName>,
    /// What counts of the reports of the edges that are not away.
    pub(super) reports: Reports,
    /// The edges, with none that presents a certificate.
    pub(super) edges: CertificateEdges,
}

/// A certificate in the feed.
pub(super) struct Published {
    /// The write that published it.
    pub(super) at: Position,
    pub(super) state: CertificateState,
    pub(super) edges: CertificateEdges,
}

/// What counts of the last report of each edge.
pub(super) type Reports = BTreeMap<EdgeName, Arc<EdgeReport>>;

impl Inventory {
    pub(super) async fn read(&self) -> Result<Known, StoreError> {
        let database = &self.database;
        let not_away = self.edge_reports.not_away().into_iter();
        let reports: Reports = not_away.map(|(edge, last)| (edge, last.claims)).collect();
        let generation = database.position().await?.generation;
        let publish = |(domain, (seq, state)): (DomainName, _)| {
            let at = Position { generation, seq };
            let edges = edges(&reports, at, &domain);
            (domain, Published { at, state, edges })
        };
        let certificates: BTreeMap<_, _> = database.certificates().await?.into_iter().map(publish).collect();
        let failed = database.failed_names().await?;
        let base = self.sites.need_name_servers().then_some(&self.base);
        let mut wanted = plan::wanted(base, &database.domains().await?);
        if self.sites == SiteCertificates::Each {
            let host = |site: SiteName| format!("{site}.{}", self.base).parse().ok();
            let hosts: Vec<DomainName> = database.live_sites().await?.into_iter().filter_map(host).collect();
            let current =
                certificates.iter().map(|(domain, published)| (domain.clone(), published.state.names.clone()));
            wanted.extend(site_groups::groups(&hosts, &current.collect(), |name| failed.contains_key(name)));
        }
        let separated = |wanted: Wanted| {
            let current = certificates.get(&wanted.domain).map(|published| &published.state.names);
            order_names::separated(wanted, current, &failed)
        };
        Ok(Known {
            wanted: wanted.into_iter().flat_map(separated).collect(),
            certificates,
            api: self.api.as_ref().map(|api| (api.wanted().clone(), api.current())),
            edges: CertificateEdges { presenting: 0, ..edges(&reports, Position::default(), &self.base) },
            reports,
            issuances: database.issuances().await?,
            failed,
            rekeys: database.rekeys().await?,
            keys: database.certificate_keys().await?,
            served: database.served_domains().await?,
        })
    }
}

impl Known {
    /// Every certificate that is wanted.
    pub(super) fn all_wanted(&self) -> impl Iterator<Item = &Wanted> {
        self.wanted.iter().chain(self.api.iter().map(|(wanted, _)| wanted))
    }

    /// Every certificate there is, by the domain that identifies it.
    pub(super) fn all(&self) -> impl Iterator<Item = (&DomainName, &CertificateState)> {
        let of_edges = self.certificates.iter().map(|(domain, published)| (domain, &published.state));
        of_edges.chain(self.api.iter().filter_map(|(wanted, state)| Some((&wanted.domain, state.as_ref()?))))
    }

    /// Whether a certificate is that of the API.
    pub(super) fn is_api(&self, domain: &DomainName) -> bool {
        self.api.as_ref().is_some_and(|(wanted, _)| wanted.domain == *domain)
    }

    /// The certificate of a domain.
    pub(super) fn certificate(&self, domain: &DomainName) -> Option<&CertificateState> {
        match &self.api {
            Some((wanted, state)) if wanted.domain == *domain => state.as_ref(),
            _ => self.certificates.get(domain).map(|published| &published.state),
        }
    }

    /// The edges with TLS that do not present the certificate of a domain, each with the reason. None if there is no certificate.
    pub(super) fn lacking(&self, domain: &DomainName) -> BTreeMap<EdgeName, String> {
        let Some(published) = self.certificates.get(domain) else { return BTreeMap::new() };
        let reason = |report: &EdgeReport| report.certificate_lag(published.at, domain).map(str::to_owned);
        self.reports.iter().filter_map(|(edge, report)| Some((edge.clone(), reason(report)?))).collect()
    }

    /// The domains of sites among the names of a certificate that no certificate of the fleet is valid for at `now`.
    pub(super) fn uncertified(&self, wanted: &Wanted, now: Timestamp) -> Vec<DomainName> {
        let valid = || self.certificates.values().filter(|published| published.state.not_after > now);
        // Nearly always it is the domain's own; to search all for each would take the square of their number.
        let own = self.certificates.get(&wanted.domain).filter(|own| own.state.not_after > now);
        let is_certified = |name: &CertificateName| {
            own.into_iter().chain(valid()).any(|published| is_certified(name, &published.state))
        };
        let uncertified = wanted.names.iter().filter(|name| self.served.contains(name.domain()) && !is_certified(name));
        uncertified.map(|name| name.domain().clone()).collect()
    }

    /// What became of orders for the certificate of a domain at an authority.
    pub(super) fn issuance(&self, domain: &DomainName, authority: &Authority) -> Option<&IssuanceRow> {
        self.issuances.get(&(domain.clone(), authority.directory().to_owned()))
    }

    /// What is wrong with a certificate, for a person to read: why the last order failed, and why names that it should have are left out.
    pub(super) fn problem(&self, wanted: &Wanted, last: Option<&str>) -> Option<String> {
        let certified = self.certificate(&wanted.domain).map(|certificate| &certificate.names);
        let left_out = wanted.names.iter().filter(|name| !certified.is_some_and(|names| names.contains(name)));
        let reasons = left_out.filter_map(|name| Some(format!("{name}: {}", self.failed.get(name)?.problem)));
        let reasons = reasons.filter(|reason| !last.is_some_and(|last| last.contains(reason.as_str())));
        let all: Vec<String> = last.map(str::to_owned).into_iter().chain(reasons).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Whether an order for this certificate at one of the authorities with these directories has failed since this time, or one for a certificate
    /// with any of its names because of that name.
    pub(super) fn has_failed<'a>(
        &self,
        certificate: &Wanted,
        directories: impl IntoIterator<Item = &'a str>,
        since: Timestamp,
    ) -> bool {
        let Wanted { domain, names } = certificate;
        let rows =
            directories.into_iter().filter_map(|directory| self.issuances.get(&(domain.clone(), directory.to_owned())));
        // While an authority says to wait, nothing can fail there.
        let orders = rows.filter(|row| row.problem.is_some()).map(|row| row.last_failure.max(row.retry_after));
        let names = names.iter().filter_map(|name| self.failed.get(name)).map(|failed| failed.last_failure);
        orders.chain(names).any(|failure| failure >= since)
    }

    /// The names that failed and are not wanted any more.
    pub(super) fn forgotten_failures(&self) -> Vec<CertificateName> {
        let wanted: BTreeSet<&CertificateName> = self.all_wanted().flat_map(|wanted| &wanted.names).collect();
        self.failed.keys().filter(|name| !wanted.contains(name)).cloned().collect()
    }

    /// The certificates that no edge needs any more: they are not wanted, and for each of their names that still is, or that is served,
    /// all edges present another certificate.
    pub(super) fn unneeded(&self) -> impl Iterator<Item = (&DomainName, &Published)> {
        let wanted: BTreeSet<&DomainName> = self.wanted.iter().map(|wanted| &wanted.domain).collect();
        self.certificates.iter().filter(move |(domain, _)| !wanted.contains(domain)).filter(|(_, old)| {
            let served = self.served.iter().cloned().map(CertificateName::Host);
            let needed = self.wanted.iter().flat_map(|wanted| wanted.names.iter().cloned()).chain(served);
            needed.filter(|name| is_certified(name, &old.state)).all(|name| {
                let wanted = self.wanted.iter().filter_map(|wanted| self.certificates.get(&wanted.domain));
                wanted.filter(|new| new.edges.is_complete()).any(|new| is_certified(&name, &new.state))
            })
        })
    }
}

/// Whether a certificate is valid for all that `name` stands for.
fn is_certified(name: &CertificateName, certificate: &CertificateState) -> bool {
    let covers = |host: &DomainName| certificate.names.iter().any(|name| name.covers(host.as_str()));
    certificate.names.contains(name) || matches!(name, CertificateName::Host(host) if covers(host))
}

fn with_tls(reports: &Reports) -> impl Iterator<Item = &Arc<EdgeReport>> {
    reports.values().filter(|report| report.certificates.is_some())
}

/// How many of the edges that report certificates present the one of `domain` as of the write `at`, and how many report none.
fn edges(reports: &Reports, at: Position, domain: &DomainName) -> CertificateEdges {
    let of = with_tls(reports).count();
    CertificateEdges {
        presenting: with_tls(reports).filter(|report| report.has_certificate(at, domain)).count() as u64,
        of: of as u64,
        without_tls: (reports.len() - of) as u64,
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::Seq;
    use verge_protocol::report::CertificateLag;

    use super::*;
    use crate::store::FailedName;

    fn domain(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    fn names(texts: &[&str]) -> BTreeSet<CertificateName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn published(texts: &[&str], presenting: u64) -> Published {
        let state = CertificateState {
            names: names(texts),
            chain: String::new(),
            key: Digest::of(b""),
            not_before: Timestamp(0),
            not_after: Timestamp(1),
            confirmed: false,
        };
        Published { at: Position::default(), state, edges: CertificateEdges { presenting, of: 2, without_tls: 0 } }
    }

    fn known(wanted: &[&[&str]], certificates: Vec<Published>, served: &[&str]) -> Known {
        let wanted = wanted.iter().map(|texts| Wanted { domain: domain(texts[0]), names: names(texts) });
        let id = |published: &Published| published.state.names.first().unwrap().domain().clone();
        Known {
            wanted: wanted.collect(),
            certificates: certificates.into_iter().map(|published| (id(&published), published)).collect(),
            api: None,
            issuances: IssuanceRows::new(),
            failed: FailedNames::new(),
            rekeys: BTreeMap::new(),
            keys: BTreeSet::new(),
            reports: BTreeMap::new(),
            edges: CertificateEdges { of: 2, ..CertificateEdges::default() },
            served: served.iter().map(|text| domain(text)).collect(),
        }
    }

    fn unneeded(known: &Known) -> Vec<String> {
        known.unneeded().map(|(domain, _)| domain.to_string()).collect()
    }

    #[test]
    fn certificate_is_unneeded_once_all_edges_present_another_one_for_its_names() {
        let old = || published(&["www.example"], 2);
        assert_eq!(unneeded(&known(&[], vec![old()], &[])), ["www.example"], "the domain was given up");
        assert!(unneeded(&known(&[&["www.example"]], vec![old()], &[])).is_empty(), "it is wanted");
        // It now redirects to another domain, whose certificate is to have its name.
        let wanted: &[&[&str]] = &[&["a.example", "www.example"]];
        for (new, expected) in [
            (None, 0),
            (Some(published(&["a.example"], 2)), 0),
            (Some(published(&["a.example", "www.example"], 1)), 0),
            (Some(published(&["a.example", "www.example"], 2)), 1),
        ] {
            let certificates = [old()].into_iter().chain(new).collect();
            assert_eq!(unneeded(&known(wanted, certificates, &["www.example"])).len(), expected);
        }
        // The row of the domain is damaged.
        assert!(unneeded(&known(&[], vec![old()], &["www.example"])).is_empty(), "edges serve it");
        assert_eq!(unneeded(&known(&[], vec![old()], &["other.example"])).len(), 1);
    }

    #[test]
    fn edges_that_lack_a_certificate_are_named_with_the_reason() {
        let mut known = known(&[&["www.example"]], vec![published(&["www.example"], 1)], &[]);
        let (www, at) = (domain("www.example"), "1-7".parse().unwrap());
        known.certificates.get_mut(&www).unwrap().at = at;
        let report = |applied: &str, certificates: Option<Vec<CertificateLag>>| {
            Arc::new(EdgeReport { certificates, ..EdgeReport::new(applied.parse().unwrap(), "0") })
        };
        let lag = CertificateLag { domain: www.clone(), seq: Seq(7), reason: "malformed edge key".to_owned() };
        known.reports = [
            ("fra-1".parse().unwrap(), report("1-7", Some(vec![lag]))),
            ("lon-1".parse().unwrap(), report("1-7", None)),
            ("nyc-1".parse().unwrap(), report("1-9", Some(Vec::new()))),
            ("syd-1".parse().unwrap(), report("1-6", Some(Vec::new()))),
        ]
        .into();
        let lacking: Vec<_> =
            known.lacking(&www).into_iter().map(|(edge, reason)| format!("{edge}: {reason}")).collect();
        assert_eq!(lacking, ["fra-1: malformed edge key", "syd-1: it has not received the certificate yet"]);
        assert!(known.lacking(&domain("new.example")).is_empty(), "there is none yet");
    }

    #[test]
    fn domain_of_a_site_is_uncertified_until_a_valid_certificate_has_its_name() {
        let wanted: &[&[&str]] = &[&["www.example", "example.com", "host.sites.example"]];
        let served = &["www.example", "example.com"];
        let uncertified = |certificates, now| {
            let known = known(wanted, certificates, served);
            let domains = known.uncertified(&known.wanted[0], Timestamp(now));
            domains.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(uncertified(Vec::new(), 0), ["example.com", "www.example"]);
        assert_eq!(uncertified(vec![published(&["www.example"], 2)], 0), ["example.com"]);
        assert_eq!(uncertified(vec![published(&["www.example"], 2)], 1).len(), 2, "it has expired");
    }

    #[test]
    fn wildcard_is_unneeded_once_each_name_below_it_has_a_certificate() {
        let wildcard = || published(&["sites.example", "*.sites.example"], 2);
        let site = |presenting| published(&["a.sites.example"], presenting);
        let wanted: &[&[&str]] = &[&["a.sites.example"]];
        assert!(unneeded(&known(wanted, vec![wildcard()], &[])).is_empty());
        assert!(unneeded(&known(wanted, vec![wildcard(), site(0)], &[])).is_empty());
        assert_eq!(unneeded(&known(wanted, vec![wildcard(), site(2)], &[])), ["sites.example"]);
        // And back.
        let wanted: &[&[&str]] = &[&["sites.example", "*.sites.example"]];
        assert_eq!(unneeded(&known(wanted, vec![wildcard(), site(2)], &[])), ["a.sites.example"]);
    }

    #[test]
    fn certificate_has_failed_by_its_own_order_or_one_of_its_names_since_a_time() {
        const DIRECTORY: &str = "https://ca.example/directory";
        let certificate = Wanted { domain: domain("www.example"), names: names(&["www.example"]) };
        let mut known = known(&[&["www.example", "gone.example"]], Vec::new(), &[]);
        let has_failed = |known: &Known, since| known.has_failed(&certificate, [DIRECTORY], Timestamp(since));
        let failed = |at| FailedName {
            failures: 1,
            first_failure: Timestamp(at),
            last_failure: Timestamp(at),
            problem: "nothing answers".to_owned(),
        };
        known.failed.insert("gone.example".parse().unwrap(), failed(9));
        assert!(!has_failed(&known, 5), "the name was left out");
        known.failed.insert("www.example".parse().unwrap(), failed(9));
        assert!(has_failed(&known, 9) && !has_failed(&known, 10));
        known.failed.clear();
        let row =
            IssuanceRow { last_failure: Timestamp(7), problem: Some("refused".to_owned()), ..IssuanceRow::default() };
        let at = |directory: &str| (domain("www.example"), directory.to_owned());
        known.issuances.insert(at("https://other.example/directory"), row.clone());
        assert!(!has_failed(&known, 5), "nothing is ordered there any more");
        known.issuances.insert(at(DIRECTORY), row.clone());
        assert!(has_failed(&known, 5) && !has_failed(&known, 8));
        known.issuances.insert(at(DIRECTORY), IssuanceRow { retry_after: Timestamp(9), ..row });
        assert!(has_failed(&known, 9) && !has_failed(&known, 10), "the authority said to wait");
    }

    #[test]
    fn edges_with_tls_are_counted_that_have_applied_the_write_and_do_not_lag() {
        let report = |applied: &str, certificates: Option<Vec<CertificateLag>>| {
            Arc::new(EdgeReport { certificates, ..EdgeReport::new(applied.parse().unwrap(), "0") })
        };
        let www = domain("www.example");
        let lag =
            |domain: &DomainName, seq| CertificateLag { domain: domain.clone(), seq: Seq(seq), reason: String::new() };
        let counted = |reports: &[Arc<EdgeReport>]| {
            let named = |(number, report): (usize, &Arc<EdgeReport>)| {
                (format!("edge-{number}").parse().unwrap(), Arc::clone(report))
            };
            let reports: Reports = reports.iter().enumerate().map(named).collect();
            let CertificateEdges { presenting, of, without_tls } = edges(&reports, "1-7".parse().unwrap(), &www);
            (presenting, of, without_tls)
        };
        assert_eq!(counted(&[]), (0, 0, 0));
        assert!(!CertificateEdges::default().is_complete(), "nobody has said that it is presented");
        let reports = [
            report("1-7", Some(Vec::new())),
            report("1-9", Some(vec![lag(&domain("other.example"), 7)])),
            report("1-7", Some(vec![lag(&www, 7)])),
            report("1-6", Some(Vec::new())),
            report("2-7", Some(Vec::new())),
            report("1-7", None),
        ];
        assert_eq!(counted(&reports), (2, 5, 1));
        let mixed = CertificateEdges { presenting: 2, of: 2, without_tls: 1 };
        assert!(mixed.is_complete() && !mixed.are_all());
    }
}
