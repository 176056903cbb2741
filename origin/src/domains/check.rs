//! Checking what DNS says about a domain.

use std::collections::BTreeSet;
use std::net::IpAddr;

use verge_protocol::api::{DomainFinding, DomainStep};
use verge_protocol::{CertificateName, DomainName, Timestamp};

use super::Domains;
use super::diagnosis::{self, Expected, ExpectedCertificate};
use super::error::DomainError;
use super::last_checks::LastCheck;
use super::observation::{Observations, Observer};
use super::proof::{self, NotProven};
use crate::caa_issuers::CaaIssuers;
use crate::store::{DomainRow, StoreError};

impl Domains {
    /// What the last check since the start has found wrong with a domain.
    pub(crate) fn findings(&self, name: &DomainName) -> Vec<DomainFinding> {
        self.last_checks.lock().get(name).map_or_else(Vec::new, |check| check.findings.clone())
    }

    /// Asks DNS about a domain, and stores whether it is proven. What else is wrong is kept in memory.
    pub(super) async fn check(&self, row: DomainRow) -> Result<DomainRow, DomainError> {
        let observed = self.observer().observe(&row.name).await;
        let texts = match &observed {
            Ok(observed) => observed.proof.answer.texts(&observed.proof.name),
            Err(error) => Err(error.clone()),
        };
        let outcome = proof::examine(&row.name, &row.proof, texts);
        let now = self.clock.now();
        let row = self.store_outcome(row, outcome, now).await?;
        let findings = match observed {
            Ok(observed) => self.diagnose(&row, &observed).await?,
            Err(_) => Vec::new(),
        };
        let is_free = !findings.iter().any(blocks_order);
        let before = self.last_checks.lock().insert(row.name.clone(), LastCheck { at: now, findings });
        if is_free && before.is_some_and(|before| before.findings.iter().any(blocks_order)) {
            // What kept the authority from issuing a certificate is repaired: the next order does not wait.
            let certificate = row.redirect_to.as_ref().unwrap_or(&row.name);
            self.database.forget_failed_orders(&CertificateName::Host(row.name.clone()), certificate).await?;
        }
        Ok(row)
    }

    async fn store_outcome(
        &self,
        row: DomainRow,
        outcome: Result<(), NotProven>,
        now: Timestamp,
    ) -> Result<DomainRow, DomainError> {
        if checked(row.clone(), outcome.clone(), now) == row {
            return Ok(row);
        }
        let proof = row.proof.clone();
        let checked = self
            .write(row.name.clone(), move |name, domains| match domains.get(name) {
                Some(current) if current.proof == proof => Ok(checked(current.clone(), outcome, now)),
                // It was removed during the query, and perhaps claimed anew.
                _ => Err(DomainError::Unknown(name.clone())),
            })
            .await?;
        if row.proven.is_none() && checked.proven.is_some() {
            tracing::info!(domain = %checked.name, site = %checked.site, "domain proven");
        }
        Ok(checked)
    }

    async fn diagnose(&self, row: &DomainRow, observed: &Observations) -> Result<Vec<DomainFinding>, StoreError> {
        let edges = self.edge_addresses().await?;
        let delegation = self.delegation(&row.name).map(|delegation| delegation.target);
        let authorities = self.settings.issuers.as_ref();
        let issuers = authorities.map(CaaIssuers::known).unwrap_or_default();
        let certificate =
            authorities.map(|_| ExpectedCertificate { delegation: delegation.as_deref(), issuers: &issuers });
        let expected = Expected { row, base: &self.settings.base, edges: &edges, certificate };
        Ok(diagnosis::diagnose(&expected, observed))
    }

    fn observer(&self) -> Observer<'_> {
        Observer { resolver: &self.resolver, dns_port: self.settings.dns_port, timeout: self.settings.timeout }
    }

    /// The addresses of all edges, whether or not they are up.
    async fn edge_addresses(&self) -> Result<BTreeSet<IpAddr>, StoreError> {
        Ok(self.database.edges().await?.into_values().flat_map(|edge| edge.addresses).collect())
    }
}

/// Whether an order would fail because of it.
fn blocks_order(finding: &DomainFinding) -> bool {
    finding.blocks.contains(&DomainStep::Certificate)
}

/// The row of a domain after a check.
fn checked(row: DomainRow, outcome: Result<(), NotProven>, now: Timestamp) -> DomainRow {
    match (outcome, row.proven) {
        (Ok(()), proven) => DomainRow { proven: proven.or(Some(now)), problem: None, ..row },
        (Err(not_proven), None) => DomainRow { problem: Some(not_proven.reason), ..row },
        (Err(NotProven { reason, is_definite: true }), Some(_)) => {
            DomainRow { problem: Some(format!("{reason}; it was proven before and is still served")), ..row }
        }
        // A resolver that fails is no evidence against an earlier proof.
        (Err(NotProven { is_definite: false, .. }), Some(_)) => row,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proven_domain_stays_proven_when_its_record_is_gone() {
        let row = DomainRow {
            name: "example.com".parse().unwrap(),
            site: "demo".parse().unwrap(),
            redirect_to: None,
            proof: "proof".to_owned(),
            claimed: Timestamp(7),
            proven: None,
            problem: None,
        };
        let not_proven = |is_definite| Err(NotProven { reason: "no record".to_owned(), is_definite });
        let pending = checked(row, not_proven(false), Timestamp(8));
        assert_eq!((pending.proven, pending.problem.as_deref()), (None, Some("no record")));
        let proven = checked(pending, Ok(()), Timestamp(9));
        assert_eq!((proven.proven, &proven.problem), (Some(Timestamp(9)), &None));
        assert_eq!(checked(proven.clone(), not_proven(false), Timestamp(10)), proven);
        let gone = checked(proven.clone(), not_proven(true), Timestamp(10));
        assert_eq!(gone.proven, proven.proven);
        assert_eq!(gone.problem.as_deref(), Some("no record; it was proven before and is still served"));
        assert_eq!(checked(gone.clone(), not_proven(false), Timestamp(11)), gone);
        assert_eq!(checked(gone, Ok(()), Timestamp(11)), proven);
    }
}
