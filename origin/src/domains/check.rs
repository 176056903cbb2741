//! Checking the TXT record of a domain.

use verge_protocol::Timestamp;

use super::Domains;
use super::error::DomainError;
use super::proof::{self, NotProven};
use crate::store::DomainRow;

impl Domains {
    /// Queries the TXT record of a domain and stores the outcome.
    pub(super) async fn check(&self, row: DomainRow) -> Result<DomainRow, DomainError> {
        let texts = self.resolver.texts(&proof::record_name(&row.name)).await;
        let outcome = proof::examine(&row.name, &row.proof, texts);
        let now = self.clock.now();
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
