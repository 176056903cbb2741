//! Names of certificates whose control an authority could not verify.

use std::collections::BTreeMap;

use verge_protocol::{CertificateName, Timestamp};

use super::column_values;
use super::database::Database;
use super::error::StoreError;
use super::write_transaction::WriteTransaction;

/// The failures of a name since a certificate with it was last issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedName {
    pub(crate) failures: u32,
    pub(crate) first_failure: Timestamp,
    pub(crate) last_failure: Timestamp,
    /// Why the last order failed.
    pub(crate) problem: String,
}

/// By name.
pub(crate) type FailedNames = BTreeMap<CertificateName, FailedName>;

type Columns = (String, i64, i64, i64, String);

fn from_columns(columns: Columns) -> Result<(CertificateName, FailedName), StoreError> {
    let (name, failures, first_failure, last_failure, problem) = columns;
    let time = |millis| Ok::<_, StoreError>(Timestamp(column_values::unsigned("time", millis)?));
    let failed = FailedName {
        failures: u32::try_from(failures).unwrap_or_default(),
        first_failure: time(first_failure)?,
        last_failure: time(last_failure)?,
        problem,
    };
    Ok((column_values::parse("name of a certificate", &name)?, failed))
}

impl Database {
    /// The names that failed.
    pub(crate) async fn failed_names(&self) -> Result<FailedNames, StoreError> {
        let query = sqlx::query("select name, failures, first_failure, last_failure, problem from failed_name");
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("failed_name", rows, from_columns).into_iter().collect())
    }

    /// Records names that failed.
    pub(crate) async fn put_failed_names(&self, failed: &FailedNames) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for (name, failed) in failed {
            sqlx::query(
                "insert into failed_name (name, failures, first_failure, last_failure, problem) \
                 values ($1, $2, $3, $4, $5) on conflict (name) do update set failures = excluded.failures, \
                 first_failure = excluded.first_failure, last_failure = excluded.last_failure, problem = excluded.problem",
            )
            .bind(name.to_string())
            .bind(i64::from(failed.failures))
            .bind(column_values::signed(failed.first_failure.0))
            .bind(column_values::signed(failed.last_failure.0))
            .bind(failed.problem.as_str())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// Forgets the failures of names.
    pub(crate) async fn delete_failed_names(&self, names: &[CertificateName]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        delete(&mut transaction, names).await?;
        transaction.commit().await
    }
}

/// Forgets the failures of names.
pub(super) async fn delete<'a>(
    transaction: &mut WriteTransaction,
    names: impl IntoIterator<Item = &'a CertificateName>,
) -> Result<(), StoreError> {
    for name in names {
        sqlx::query("delete from failed_name where name = $1")
            .bind(name.to_string())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
