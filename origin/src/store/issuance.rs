//! Certificates, how their challenges are answered, and what became of orders.

use std::collections::BTreeMap;

use verge_protocol::certificate::{CertificateState, ChallengeState};
use verge_protocol::state::Key;
use verge_protocol::{DomainName, Position, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{column_values, state};

/// What became of orders for the certificate of a domain at one authority.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct IssuanceRow {
    /// When the last certificate was issued; 0: never.
    pub(crate) issued: Timestamp,
    pub(crate) failures: u32,
    pub(crate) first_failure: Timestamp,
    pub(crate) last_failure: Timestamp,
    pub(crate) retry_after: Timestamp,
    /// Why the last order failed.
    pub(crate) problem: Option<String>,
}

/// By domain and URL of the authority.
pub(crate) type IssuanceRows = BTreeMap<(DomainName, String), IssuanceRow>;

type Columns = (String, String, i64, i64, i64, i64, i64, Option<String>);

fn from_columns(columns: Columns) -> Result<((DomainName, String), IssuanceRow), StoreError> {
    let (domain, authority, issued, failures, first_failure, last_failure, retry_after, problem) = columns;
    let time = |millis| Ok::<_, StoreError>(Timestamp(column_values::unsigned("time", millis)?));
    let row = IssuanceRow {
        issued: time(issued)?,
        failures: u32::try_from(failures).unwrap_or_default(),
        first_failure: time(first_failure)?,
        last_failure: time(last_failure)?,
        retry_after: time(retry_after)?,
        problem,
    };
    Ok(((column_values::parse("domain", &domain)?, authority), row))
}

impl Database {
    /// Every certificate, by the domain that identifies it.
    pub(crate) async fn certificates(&self) -> Result<BTreeMap<DomainName, CertificateState>, StoreError> {
        state::all(&mut *self.read_connection().await?, "certificate").await
    }

    /// What became of orders.
    pub(crate) async fn issuances(&self) -> Result<IssuanceRows, StoreError> {
        let query = sqlx::query(
            "select domain, authority, issued, failures, first_failure, last_failure, retry_after, problem from issuance",
        );
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("issuance", rows, from_columns).into_iter().collect())
    }

    /// Records a failed order.
    pub(crate) async fn put_issuance(
        &self,
        domain: &DomainName,
        authority: &str,
        row: &IssuanceRow,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        put(&mut transaction, domain, authority, row).await?;
        transaction.commit().await
    }

    /// Stores an issued certificate in place of an earlier one, whose private key is deleted, and forgets failed orders, in one transaction.
    pub(crate) async fn put_certificate(
        &self,
        domain: &DomainName,
        authority: &str,
        certificate: &CertificateState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let key = Key::Certificate(domain.clone());
        if let Ok(Some(earlier)) = state::get::<CertificateState>(&mut transaction, &key).await {
            delete_key(&mut transaction, &earlier).await?;
        }
        state::set(&mut transaction, &key, Some(certificate)).await?;
        sqlx::query("delete from issuance where domain = $1").bind(domain.as_str()).execute(&mut *transaction).await?;
        let row = IssuanceRow { issued: now, ..IssuanceRow::default() };
        put(&mut transaction, domain, authority, &row).await?;
        transaction.commit().await
    }

    /// Tells the fleet how it answers the challenges of these domains; `None`: not any more. Returns the position of the write.
    pub(crate) async fn set_challenges(
        &self,
        challenges: &BTreeMap<DomainName, Option<ChallengeState>>,
    ) -> Result<Position, StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        for (domain, challenge) in challenges {
            state::set(&mut transaction, &Key::Challenge(domain.clone()), challenge.as_ref()).await?;
        }
        transaction.commit().await?;
        self.position().await
    }

    /// The domains with challenges.
    pub(crate) async fn challenges(&self) -> Result<BTreeMap<DomainName, ChallengeState>, StoreError> {
        state::all(&mut *self.read_connection().await?, "challenge").await
    }
}

async fn delete_key(transaction: &mut WriteTransaction, certificate: &CertificateState) -> Result<(), StoreError> {
    sqlx::query("delete from secret where name = $1")
        .bind(format!("key/{}", certificate.key))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn put(
    transaction: &mut WriteTransaction,
    domain: &DomainName,
    authority: &str,
    row: &IssuanceRow,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into issuance (domain, authority, issued, failures, first_failure, last_failure, retry_after, problem) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) \
         on conflict (domain, authority) do update set issued = excluded.issued, failures = excluded.failures, \
         first_failure = excluded.first_failure, last_failure = excluded.last_failure, \
         retry_after = excluded.retry_after, problem = excluded.problem",
    )
    .bind(domain.as_str())
    .bind(authority)
    .bind(column_values::signed(row.issued.0))
    .bind(i64::from(row.failures))
    .bind(column_values::signed(row.first_failure.0))
    .bind(column_values::signed(row.last_failure.0))
    .bind(column_values::signed(row.retry_after.0))
    .bind(row.problem.as_deref())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
