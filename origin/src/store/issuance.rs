//! Certificates, how their challenges are answered, and what became of orders.

use std::collections::{BTreeMap, BTreeSet};

use verge_protocol::certificate::{CaaState, CertificateState, ChallengeState};
use verge_protocol::state::Key;
use verge_protocol::{CertificateName, Digest, DomainName, Position, Seq, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::failed_names;
use super::secrets::{self, SecretRow};
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
    /// Every certificate, by the domain that identifies it, with the write that made its row.
    pub(crate) async fn certificates(&self) -> Result<BTreeMap<DomainName, (Seq, CertificateState)>, StoreError> {
        state::all_written(&mut *self.read_connection().await?, "certificate").await
    }

    /// The domains that edges serve, as they know them, even if their values are damaged.
    pub(crate) async fn served_domains(&self) -> Result<BTreeSet<DomainName>, StoreError> {
        let keys = state::keys_of(&mut *self.read_connection().await?, "domain").await?;
        let domain = |key| if let Key::Domain(domain) = key { Some(domain) } else { None };
        Ok(keys.into_iter().filter_map(domain).collect())
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

    /// Forgets the failures of a name, and the failed orders for the certificate of `domain`, which it is in, and for one of its own. What an
    /// authority asked to wait stays.
    pub(crate) async fn forget_failed_orders(
        &self,
        name: &CertificateName,
        domain: &DomainName,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        failed_names::delete(&mut transaction, [name]).await?;
        sqlx::query("update issuance set failures = 0, first_failure = 0, last_failure = 0 where domain in ($1, $2)")
            .bind(domain.as_str())
            .bind(name.domain().as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Stores an issued certificate with its private key in place of an earlier certificate, and forgets failed orders and the failures of its
    /// names, in one transaction.
    /// It counts as confirmed if the earlier one did and has all its names.
    pub(crate) async fn put_certificate(
        &self,
        domain: &DomainName,
        authority: &str,
        certificate: CertificateState,
        private_key: &SecretRow,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        secrets::put(&mut transaction, private_key, now).await?;
        let key = Key::Certificate(domain.clone());
        let earlier = state::get::<CertificateState>(&mut transaction, &key).await.ok().flatten();
        let confirmed =
            earlier.is_some_and(|earlier| earlier.confirmed && earlier.names.is_superset(&certificate.names));
        let certificate = CertificateState { confirmed, ..certificate };
        state::set(&mut transaction, &key, Some(&certificate)).await?;
        put_issued(&mut transaction, domain, authority, &certificate.names, now).await?;
        transaction.commit().await
    }

    /// Records that a certificate was issued that no edge has, and forgets failed orders and the failures of its names.
    pub(crate) async fn put_issued(
        &self,
        domain: &DomainName,
        authority: &str,
        names: &BTreeSet<CertificateName>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        put_issued(&mut transaction, domain, authority, names, now).await?;
        transaction.commit().await
    }

    /// Records whether all edges present the certificate with this key.
    pub(crate) async fn set_certificate_confirmed(
        &self,
        domain: &DomainName,
        key: Digest,
        confirmed: bool,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let row = Key::Certificate(domain.clone());
        let current: Option<CertificateState> = state::get(&mut transaction, &row).await?;
        if let Some(current) = current.filter(|current| current.key == key) {
            state::set(&mut transaction, &row, Some(&CertificateState { confirmed, ..current })).await?;
        }
        transaction.commit().await
    }

    /// What name servers say of who may issue certificates; `None` also if the row is damaged.
    pub(crate) async fn caa(&self) -> Result<Option<CaaState>, StoreError> {
        match state::get(&mut *self.read_connection().await?, &Key::Caa).await {
            Err(StoreError::Malformed { .. }) => Ok(None),
            read => read,
        }
    }

    /// Has name servers say who may issue certificates; `None`: they say nothing.
    pub(crate) async fn set_caa(&self, new: Option<&CaaState>) -> Result<(), StoreError> {
        // On a full disk, nothing is written that is there.
        if state::get(&mut *self.read_connection().await?, &Key::Caa).await.is_ok_and(|current| current.as_ref() == new)
        {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        state::set(&mut transaction, &Key::Caa, new).await?;
        transaction.commit().await
    }

    /// Records which certificates, with these keys, are to get other ones.
    pub(crate) async fn put_rekeys(&self, keys: &BTreeMap<DomainName, Digest>) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for (domain, key) in keys {
            let query =
                "insert into rekey (domain, key) values ($1, $2) on conflict (domain) do update set key = excluded.key";
            sqlx::query(query).bind(domain.as_str()).bind(key.to_string()).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// The keys that are to be replaced, by the domain of the certificate.
    pub(crate) async fn rekeys(&self) -> Result<BTreeMap<DomainName, Digest>, StoreError> {
        let query = sqlx::query("select domain, key from rekey");
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let parse = |(domain, key): (String, String)| {
            Ok((column_values::parse("domain", &domain)?, column_values::parse("digest", &key)?))
        };
        Ok(column_values::sound_rows("rekey", rows, parse).into_iter().collect())
    }

    /// Ends the certificate of edges with this key, and forgets what became of orders for it, unless the domain is now that of the certificate
    /// of the API (`is_of_api`). Its private key stays.
    pub(crate) async fn end_certificate(
        &self,
        domain: &DomainName,
        key: Digest,
        is_of_api: bool,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let row = Key::Certificate(domain.clone());
        let current: Option<CertificateState> = state::get(&mut transaction, &row).await?;
        if current.is_some_and(|current| current.key == key) {
            state::set(&mut transaction, &row, None::<&CertificateState>).await?;
            if !is_of_api {
                delete_issuances(&mut transaction, domain).await?;
            }
        }
        transaction.commit().await
    }

    /// Deletes the private keys that no certificate has, and returns how many there were. If a row of a certificate is damaged, or
    /// the keys of the certificates are not `current`, nothing is deleted.
    pub(crate) async fn delete_unused_keys(&self, current: &BTreeSet<Digest>) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let rows = state::keys_of(&mut transaction, "certificate").await?.len();
        let sound: BTreeMap<DomainName, CertificateState> = state::all(&mut transaction, "certificate").await?;
        let used: BTreeSet<Digest> = sound.values().map(|certificate| certificate.key).collect();
        let mut deleted = 0;
        if sound.len() == rows && used == *current {
            for key in secrets::certificate_keys(&mut transaction).await?.difference(&used) {
                secrets::delete_certificate_key(&mut transaction, *key).await?;
                deleted += 1;
            }
        }
        transaction.commit().await?;
        Ok(deleted)
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

async fn put_issued(
    transaction: &mut WriteTransaction,
    domain: &DomainName,
    authority: &str,
    names: &BTreeSet<CertificateName>,
    now: Timestamp,
) -> Result<(), StoreError> {
    // An authority that has asked to wait is not asked earlier because another one has issued. The certificate is of one alone.
    let forgotten = "update issuance set issued = 0, failures = 0, first_failure = 0, last_failure = 0, problem = null \
         where domain = $1";
    sqlx::query(forgotten).bind(domain.as_str()).execute(&mut **transaction).await?;
    sqlx::query("delete from rekey where domain = $1").bind(domain.as_str()).execute(&mut **transaction).await?;
    failed_names::delete(transaction, names).await?;
    let row = IssuanceRow { issued: now, ..IssuanceRow::default() };
    put(transaction, domain, authority, &row).await
}

/// Forgets what became of orders for a certificate, and that its key was to be replaced.
async fn delete_issuances(transaction: &mut WriteTransaction, domain: &DomainName) -> Result<(), StoreError> {
    for query in ["delete from issuance where domain = $1", "delete from rekey where domain = $1"] {
        sqlx::query(query).bind(domain.as_str()).execute(&mut **transaction).await?;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn end_of_a_certificate_of_edges_forgets_no_orders_of_the_api() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1)).await.unwrap();
        let domain: DomainName = "origin.example".parse().unwrap();
        let key = Digest::of(b"key");
        for is_of_api in [true, false] {
            let certificate = CertificateState {
                names: [CertificateName::Host(domain.clone())].into(),
                chain: String::new(),
                key,
                not_before: Timestamp(1),
                not_after: Timestamp(2),
                confirmed: false,
            };
            let secret =
                SecretRow { name: format!("key/{key}"), master: "master".to_owned(), sealed: "sealed".to_owned() };
            database.put_certificate(&domain, "authority", certificate, &secret, Timestamp(1)).await.unwrap();
            let failed = IssuanceRow { failures: 3, ..IssuanceRow::default() };
            database.put_issuance(&domain, "authority", &failed).await.unwrap();
            database.end_certificate(&domain, key, is_of_api).await.unwrap();
            assert!(database.certificates().await.unwrap().is_empty());
            assert_eq!(database.issuances().await.unwrap().len(), usize::from(is_of_api));
        }
        database.close().await;
    }

    #[tokio::test]
    async fn certificate_of_one_authority_ends_no_wait_that_another_has_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1)).await.unwrap();
        let domain: DomainName = "example.com".parse().unwrap();
        let limited = IssuanceRow {
            issued: Timestamp(1),
            failures: 3,
            retry_after: Timestamp(9),
            problem: Some("too many".to_owned()),
            ..IssuanceRow::default()
        };
        database.put_issuance(&domain, "first", &limited).await.unwrap();
        let names = [CertificateName::Host(domain.clone())].into();
        database.put_issued(&domain, "second", &names, Timestamp(2)).await.unwrap();
        let first = &database.issuances().await.unwrap()[&(domain, "first".to_owned())];
        assert_eq!((first.failures, first.retry_after, first.problem.as_deref()), (0, Timestamp(9), None));
        assert_eq!(first.issued, Timestamp(0), "its certificate was replaced");
        database.close().await;
    }
}
