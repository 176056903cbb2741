//! What operators see of the certificates: what each lacks, why, and when that changes.

use std::collections::BTreeMap;

use verge_protocol::api::{CertificateEdges, Problem};
use verge_protocol::certificate::CertificateState;
use verge_protocol::{DomainName, EdgeName, Timestamp};

use super::Issuer;
use crate::certificates::authority::Authority;
use crate::certificates::inventory::Known;
use crate::certificates::plan::{self, Failures, Pause, Wanted};
use crate::certificates::rate_limit::RateLimit;
use crate::store::{IssuanceRow, StoreError};

/// A certificate as operators see it.
pub(crate) struct Standing {
    pub(crate) wanted: Wanted,
    pub(crate) certificate: Option<CertificateState>,
    /// `None`: that of the API, which no edge has.
    pub(crate) edges: Option<CertificateEdges>,
    /// The edges that do not present it, each with the reason.
    pub(crate) lacking: BTreeMap<EdgeName, String>,
    pub(crate) due: Timestamp,
    /// If it is due: when it is ordered again; `None`: at once.
    pub(crate) next_try: Option<Timestamp>,
    /// What its order is doing.
    pub(crate) progress: Option<String>,
    /// Why the last order failed, since the last certificate was issued, why names are left out, and why its key cannot be stored or read.
    pub(crate) problem: Option<String>,
}

impl Issuer {
    /// Every certificate that the fleet should have.
    pub(crate) async fn standings(&self) -> Result<Vec<Standing>, StoreError> {
        Ok(self.standings_of(&self.inventory.read().await?).collect())
    }

    fn standings_of<'a>(&'a self, known: &'a Known) -> impl Iterator<Item = Standing> + 'a {
        let standing = move |wanted: Wanted| {
            let due = plan::due(&self.orderable(known, &wanted), self.current(known, &wanted).as_ref());
            let is_due = due <= self.now();
            let next_try = self.next_try(known, &self.orderable(known, &wanted)).filter(|_| is_due);
            let progress = self.orders.progress.of(&wanted.domain);
            let problem = self.problem(known, &wanted);
            let locked = self.orders.vault.problem().map(|problem| match problem {
                Problem::MasterKey { reason } if is_due => {
                    format!("it is not ordered, its key cannot be stored: {reason}")
                }
                Problem::MasterKey { reason } => format!("its key cannot be read: {reason}"),
                other => other.to_string(),
            });
            let problem = locked.filter(|_| !known.is_api(&wanted.domain) || is_due).or(problem);
            let certificate = known.certificate(&wanted.domain).cloned();
            let published = known.certificates.get(&wanted.domain);
            let edges = published.map_or(known.edges, |published| published.edges);
            let edges = (!known.is_api(&wanted.domain)).then_some(edges);
            let lacking = known.lacking(&wanted.domain);
            Standing { wanted, certificate, edges, lacking, due, next_try, progress, problem }
        };
        known.all_wanted().cloned().map(standing)
    }

    /// The certificates that should have been renewed by now, and those of the operator's own names that there never was, if orders for them
    /// fail.
    pub(crate) async fn overdue(&self) -> Result<Option<Problem>, StoreError> {
        let now = self.now();
        let known = self.inventory.read().await?;
        let has_failed = |certificate: &Wanted, since: Timestamp| {
            known.has_failed(certificate, self.authorities.iter().map(Authority::directory), since)
        };
        let is_overdue = |standing: &Standing| {
            let domain = &standing.wanted.domain;
            let failed = if let Some(current) = self.current(&known, &standing.wanted) {
                // Names that are to be added, or were left out, do not make a certificate overdue.
                let certified = Wanted { domain: domain.clone(), names: current.names.clone() };
                let due = plan::due(&certified, Some(&current));
                due <= now && has_failed(&certified, due)
            } else {
                let is_own = known.is_api(domain) || *domain == self.inventory.base;
                is_own && has_failed(&standing.wanted, Timestamp(0))
            };
            failed && standing.problem.is_some()
        };
        let mut overdue: Vec<Standing> = self.standings_of(&known).filter(is_overdue).collect();
        let expiry = |standing: &Standing| standing.certificate.as_ref().map(|certificate| certificate.not_after);
        overdue.sort_by_key(expiry);
        let Some(first) = overdue.first() else { return Ok(None) };
        Ok(Some(Problem::CertificatesOverdue {
            expires: expiry(first),
            reason: first.problem.clone().unwrap_or_default(),
            domains: overdue.iter().map(|standing| standing.wanted.domain.clone()).collect(),
        }))
    }

    /// The domains of sites that no certificate is valid for, in order, each with why the last order failed, if one did. None without an authority.
    pub(crate) async fn uncertified_domains(&self) -> Result<BTreeMap<DomainName, Option<String>>, StoreError> {
        let (now, mut domains) = (self.now(), BTreeMap::new());
        if !self.has_authority() {
            return Ok(domains);
        }
        let known = self.inventory.read().await?;
        for wanted in &known.wanted {
            let uncertified = known.uncertified(wanted, now);
            if !uncertified.is_empty() {
                let problem = self.problem(&known, wanted);
                domains.extend(uncertified.into_iter().map(|domain| (domain, problem.clone())));
            }
        }
        Ok(domains)
    }

    /// The domains of sites whose certificates wait because an authority limits orders.
    pub(crate) async fn rate_limited_domains(&self) -> Result<BTreeMap<DomainName, RateLimit>, StoreError> {
        let (now, mut domains) = (self.now(), BTreeMap::new());
        let is_paused = self.paused().values().any(|pause| pause.is_running(now));
        if !is_paused && !self.orders.database.issuances().await?.values().any(|row| row.retry_after > now) {
            return Ok(domains);
        }
        let known = self.inventory.read().await?;
        for wanted in &known.wanted {
            let wanted = self.orderable(&known, wanted);
            if let Some(limit) = self.rate_limit(&known, &wanted).filter(|limit| limit.next_order.is_some()) {
                domains.extend(wanted.names.iter().map(|name| (name.domain().clone(), limit.clone())));
            }
        }
        Ok(domains)
    }

    /// What is wrong with a certificate, for a person to read.
    fn problem(&self, known: &Known, wanted: &Wanted) -> Option<String> {
        let limit = self.rate_limit(known, &self.orderable(known, wanted)).map(|limit| limit.to_string());
        let text = limit.or_else(|| {
            let (directory, row) = self.last_failed(known, wanted)?;
            Some(self.failure(directory, row))
        });
        known.problem(wanted, text.as_deref())
    }

    /// The authority at which the last order failed, if no certificate was issued since.
    fn last_failed<'a>(&'a self, known: &'a Known, wanted: &Wanted) -> Option<(&'a str, &'a IssuanceRow)> {
        let rows = self.authorities.iter().filter_map(|authority| {
            let row = known.issuance(&wanted.domain, authority).filter(|row| row.problem.is_some())?;
            Some((authority.directory(), row))
        });
        rows.max_by_key(|(_, row)| row.last_failure)
    }

    /// Why an order failed, with the authority if there are several.
    fn failure(&self, directory: &str, row: &IssuanceRow) -> String {
        let problem = row.problem.as_deref().unwrap_or_default();
        if self.authorities.len() == 1 { problem.to_owned() } else { format!("{directory}: {problem}") }
    }

    /// Why a certificate that is due is not ordered when and where it would be if no authority had asked to wait. `None` if it is.
    fn rate_limit(&self, known: &Known, wanted: &Wanted) -> Option<RateLimit> {
        let (now, current) = (self.now(), self.current(known, wanted));
        if !self.has_authority() || plan::due(wanted, current.as_ref()) > now {
            return None;
        }
        let failures = self.failures(known, wanted);
        let unlimited = |one: &Failures| Failures { not_before: Timestamp(0), pause: Pause::default(), ..*one };
        let unlimited: Vec<_> = failures.iter().map(unlimited).collect();
        let (_, without) = plan::next_order(wanted, current.as_ref(), &unlimited, now);
        let authority = self.authorities.get(without)?;
        let own = failures[without].limited_until(now);
        let until = own.max(failures[without].pause.until);
        let (next_order, next) = self.next_order(known, wanted);
        let is_delayed = next != without || next_order == until;
        if until <= now || !is_delayed {
            return None;
        }
        let problem =
            known.issuance(&wanted.domain, authority).filter(|_| own > now).and_then(|row| row.problem.clone());
        Some(RateLimit {
            directory: authority.directory().to_owned(),
            until,
            reason: problem.unwrap_or_else(|| "it has asked to wait".to_owned()),
            other_failure: self
                .last_failed(known, wanted)
                .filter(|(directory, _)| *directory != authority.directory() || own <= now)
                .map(|(directory, row)| self.failure(directory, row)),
            next_order: (next_order > now).then_some(next_order),
            next_directory: self.authorities.get(next)?.directory().to_owned(),
        })
    }

    /// When a certificate is ordered again, after a failure or because the authority has asked to wait; `None`: at once.
    fn next_try(&self, known: &Known, wanted: &Wanted) -> Option<Timestamp> {
        let (at, _) = self.has_authority().then(|| self.next_order(known, wanted))?;
        (at > self.now()).then_some(at)
    }
}
