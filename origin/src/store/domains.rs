//! Domains of sites.

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use verge_protocol::fleet::DomainState;
use verge_protocol::state::Key;
use verge_protocol::{DomainName, SiteName, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{column_values, state};

/// A domain that was claimed for a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DomainRow {
    pub(crate) name: DomainName,
    pub(crate) site: SiteName,
    pub(crate) redirect_to: Option<DomainName>,
    /// The text that the TXT record must have.
    pub(crate) proof: String,
    /// When it was last claimed.
    pub(crate) claimed: Timestamp,
    /// When the TXT record was first found; until then the domain is not served.
    pub(crate) proven: Option<Timestamp>,
    /// Why the last check did not find the TXT record.
    pub(crate) problem: Option<String>,
}

/// Every domain, by name.
pub(crate) type DomainRows = BTreeMap<DomainName, DomainRow>;

impl DomainRow {
    /// A proven domain whose own row is damaged, by what edges serve: it stays the site's, and stays served. Its next claim stores a
    /// new proof.
    fn of_served(name: &DomainName, DomainState { site, redirect_to }: DomainState) -> Self {
        let (name, claimed, proven) = (name.clone(), Timestamp(0), Some(Timestamp(0)));
        Self { name, site, redirect_to, proof: String::new(), claimed, proven, problem: None }
    }

    /// The value that edges and name servers receive; `None` until the domain is proven.
    fn state(&self) -> Option<DomainState> {
        self.proven?;
        Some(DomainState { site: self.site.clone(), redirect_to: self.redirect_to.clone() })
    }
}

type Columns = (String, String, Option<String>, String, i64, Option<i64>, Option<String>);

fn from_columns(columns: Columns) -> Result<DomainRow, StoreError> {
    let (name, site, redirect_to, proof, claimed, proven, problem) = columns;
    let time = |millis| Ok::<_, StoreError>(Timestamp(column_values::unsigned("time", millis)?));
    Ok(DomainRow {
        name: column_values::parse("domain", &name)?,
        site: column_values::parse("site name", &site)?,
        redirect_to: redirect_to.map(|target| column_values::parse("domain", &target)).transpose()?,
        proof,
        claimed: time(claimed)?,
        proven: proven.map(time).transpose()?,
        problem,
    })
}

async fn all(connection: &mut AnyConnection) -> Result<DomainRows, StoreError> {
    let query = sqlx::query("select name, site, redirect_to, proof, claimed, proven, problem from domain");
    let rows = column_values::sound_rows("domain", column_values::fetch_all(connection, query).await?, from_columns);
    Ok(rows.into_iter().map(|row| (row.name.clone(), row)).collect())
}

impl Database {
    /// Every domain.
    pub(crate) async fn domains(&self) -> Result<DomainRows, StoreError> {
        all(&mut *self.read_connection().await?).await
    }

    /// Replaces the row of a domain by what `decide` makes of all rows (`None` deletes it), and updates its value in `state`, in one
    /// transaction. An error of `decide` changes nothing.
    pub(crate) async fn set_domain<E: From<StoreError>>(
        &self,
        name: &DomainName,
        decide: impl FnOnce(&DomainRows) -> Result<Option<DomainRow>, E>,
    ) -> Result<Option<DomainRow>, E> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let mut rows = all(&mut transaction).await?;
        let key = Key::Domain(name.clone());
        if !rows.contains_key(name)
            && let Ok(Some(served)) = state::get::<DomainState>(&mut transaction, &key).await
        {
            rows.insert(name.clone(), DomainRow::of_served(name, served));
        }
        let row = decide(&rows)?;
        match &row {
            Some(row) => put(&mut transaction, row).await?,
            None => delete(&mut transaction, name).await?,
        }
        let state = row.as_ref().and_then(DomainRow::state);
        state::set(&mut transaction, &Key::Domain(name.clone()), state.as_ref()).await?;
        transaction.commit().await?;
        Ok(row)
    }

    /// Writes the value of a domain in `state` by its row, even if that changes nothing: in place of a damaged one.
    pub(crate) async fn rewrite_domain_state(&self, name: &DomainName) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let state = all(&mut transaction).await?.remove(name).and_then(|row| row.state());
        state::rewrite(&mut transaction, &Key::Domain(name.clone()), state.as_ref()).await?;
        transaction.commit().await
    }
}

async fn put(transaction: &mut WriteTransaction, row: &DomainRow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into domain (name, site, redirect_to, proof, claimed, proven, problem) values ($1, $2, $3, $4, $5, $6, $7) \
         on conflict (name) do update set site = excluded.site, redirect_to = excluded.redirect_to, \
         proof = excluded.proof, claimed = excluded.claimed, proven = excluded.proven, problem = excluded.problem",
    )
    .bind(row.name.as_str())
    .bind(row.site.as_str())
    .bind(row.redirect_to.as_ref().map(DomainName::as_str))
    .bind(row.proof.as_str())
    .bind(column_values::signed(row.claimed.0))
    .bind(row.proven.map(|at| column_values::signed(at.0)))
    .bind(row.problem.as_deref())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn delete(transaction: &mut WriteTransaction, name: &DomainName) -> Result<(), StoreError> {
    sqlx::query("delete from domain where name = $1").bind(name.as_str()).execute(&mut **transaction).await?;
    Ok(())
}
