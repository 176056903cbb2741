//! What operators see of the certificates: what each lacks, why, and when that changes.

use std::collections::BTreeMap;

use verge_protocol::api::{CertificateEdges, DomainFinding, Problem};
use verge_protocol::certificate::CertificateState;
use verge_protocol::{CertificateName, DomainName, EdgeName, Timestamp};

use super::Issuer;
use crate::certificates::authority::Authority;
use crate::certificates::inventory::Known;
use crate::certificates::obstacles::{Obstacle, ObstacleKind, Obstacles};
use crate::certificates::plan::{self, Wanted};
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

    /// The domains of sites whose certificates wait because an authority limits orders, each with the finding that says so.
    pub(crate) async fn rate_limited_domains(&self) -> Result<BTreeMap<DomainName, DomainFinding>, StoreError> {
        let now = self.now();
        let is_limited =
            |row: &IssuanceRow| row.retry_after > now || row.problem.is_some() && row.retry_after > row.last_failure;
        if !self.limits.any(now) && !self.orders.database.issuances().await?.values().any(is_limited) {
            return Ok(BTreeMap::new());
        }
        let known = self.inventory.read().await?;
        let mut findings = BTreeMap::new();
        for wanted in &known.wanted {
            let wanted = self.orderable(&known, wanted);
            let Some(obstacles) = self.obstacles(&known, &wanted) else { continue };
            let domains = wanted.names.iter().map(CertificateName::domain);
            findings.extend(domains.filter_map(|domain| Some((domain.clone(), obstacles.finding(domain)?))));
        }
        Ok(findings)
    }

    /// What is wrong with a certificate, for a person to read.
    fn problem(&self, known: &Known, wanted: &Wanted) -> Option<String> {
        let obstacles = self.obstacles(known, &self.orderable(known, wanted));
        known.problem(wanted, obstacles.map(|obstacles| obstacles.to_string()).as_deref())
    }

    /// What keeps a certificate from being issued, at each authority: why its last order failed, and limits because of which it is not ordered when
    /// or where it would be.
    fn obstacles(&self, known: &Known, wanted: &Wanted) -> Option<Obstacles> {
        if !self.has_authority() {
            return None;
        }
        let (now, mut all) = (self.now(), Vec::new());
        let is_due = plan::due(wanted, self.current(known, wanted).as_ref()) <= now;
        let (next_order, next) = self.next_order(known, wanted);
        for (index, (authority, failures)) in self.authorities.iter().zip(self.failures(known, wanted)).enumerate() {
            let directory = authority.directory();
            let mut add = |kind, reason| all.push(Obstacle { directory: directory.to_owned(), kind, reason });
            let failure = known.issuance(&wanted.domain, authority).and_then(|row| row.problem.clone());
            let is_in_the_way = is_due && (index < next || next_order > now);
            let until = failures.limited_until(now);
            if until > now && (failure.is_some() || is_in_the_way) {
                let reason = failure.unwrap_or_else(|| "it has asked to wait".to_owned());
                add(ObstacleKind::Limit { until: Some(until) }, reason);
                continue;
            }
            // Another certificate has met this one.
            let pause = self.limits.pause(directory, now).filter(|_| is_in_the_way);
            let is_paused = pause.is_some();
            if let Some((pause, reason)) = pause {
                add(ObstacleKind::Limit { until: Some(pause.asked_until) }, reason);
            }
            match failure {
                Some(_) if is_paused && failures.was_limited() => {}
                Some(reason) if failures.was_limited() => add(ObstacleKind::Limit { until: None }, reason),
                Some(reason) => add(ObstacleKind::Failure, reason),
                None => {}
            }
        }
        let obstacles = Obstacles {
            all,
            next_order: (next_order > now).then_some(next_order),
            next_directory: (self.authorities.len() > 1).then(|| self.authorities[next].directory().to_owned()),
        };
        Some(obstacles).filter(|obstacles| !obstacles.all.is_empty())
    }

    /// When a certificate is ordered again, after a failure or because the authority has asked to wait; `None`: at once.
    fn next_try(&self, known: &Known, wanted: &Wanted) -> Option<Timestamp> {
        let (at, _) = self.has_authority().then(|| self.next_order(known, wanted))?;
        (at > self.now()).then_some(at)
    }
}
