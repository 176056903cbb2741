//! Domains that are to show sites.

use std::collections::BTreeMap;

use sqlx::{Any, Executor, Transaction};
use verge_protocol::fleet::DomainState;
use verge_protocol::state::Key;
use verge_protocol::{DomainName, SiteName, Timestamp};

use super::{Database, StoreError, column, database, signed, state, unsigned};

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DomainRow {
    pub(crate) name: DomainName,
    pub(crate) site: SiteName,
    pub(crate) redirect_to: Option<DomainName>,
    /// What a TXT record has to say.
    pub(crate) proof: String,
    /// When somebody last wanted it.
    pub(crate) asked: Timestamp,
    pub(crate) proven: Option<Timestamp>,
    /// Why the proof was not seen when it was last looked for.
    pub(crate) problem: Option<String>,
}

/// Every domain.
pub(crate) type Domains = BTreeMap<DomainName, DomainRow>;

impl DomainRow {
    /// What edges and name servers are told of it: nothing before it is proven.
    fn state(&self) -> Option<DomainState> {
        self.proven?;
        Some(DomainState { site: self.site.clone(), redirect_to: self.redirect_to.clone() })
    }
}

type Columns = (String, String, Option<String>, String, i64, Option<i64>, Option<String>);

fn domain(columns: Columns) -> Result<DomainRow, StoreError> {
    let (name, site, redirect_to, proof, asked, proven, problem) = columns;
    let time = |millis| Ok::<_, StoreError>(Timestamp(unsigned("a time", millis)?));
    Ok(DomainRow {
        name: column("a domain", &name)?,
        site: column("a site name", &site)?,
        redirect_to: redirect_to.map(|target| column("a domain", &target)).transpose()?,
        proof,
        asked: time(asked)?,
        proven: proven.map(time).transpose()?,
        problem,
    })
}

async fn all<'e>(executor: impl Executor<'e, Database = Any>) -> Result<Domains, StoreError> {
    let rows = sqlx::query_as("select name, site, redirect_to, proof, asked, proven, problem from domain")
        .fetch_all(executor)
        .await?;
    rows.into_iter().map(|columns| domain(columns).map(|row| (row.name.clone(), row))).collect()
}

impl Database {
    /// Every domain.
    pub(crate) async fn domains(&self) -> Result<Domains, StoreError> {
        all(self.read()).await
    }

    /// Gives a domain the row that `decide` makes of all rows, or none, in one transaction; an error of it changes nothing. The
    /// table that edges and name servers follow goes along.
    pub(crate) async fn set_domain<E: From<StoreError>>(
        &self,
        name: &DomainName,
        decide: impl FnOnce(&Domains) -> Result<Option<DomainRow>, E>,
    ) -> Result<Option<DomainRow>, E> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let wanted = decide(&all(&mut *transaction).await?)?;
        match &wanted {
            Some(row) => put(&mut transaction, row).await?,
            None => delete(&mut transaction, name).await?,
        }
        let state = wanted.as_ref().and_then(DomainRow::state);
        state::set(&mut transaction, &Key::Domain(name.clone()), state.as_ref()).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(wanted)
    }
}

async fn put(transaction: &mut Transaction<'static, Any>, row: &DomainRow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into domain (name, site, redirect_to, proof, asked, proven, problem) values ($1, $2, $3, $4, $5, $6, $7) \
         on conflict (name) do update set site = excluded.site, redirect_to = excluded.redirect_to, \
         proof = excluded.proof, asked = excluded.asked, proven = excluded.proven, problem = excluded.problem",
    )
    .bind(row.name.as_str())
    .bind(row.site.as_str())
    .bind(row.redirect_to.as_ref().map(DomainName::as_str))
    .bind(row.proof.as_str())
    .bind(signed(row.asked.0))
    .bind(row.proven.map(|at| signed(at.0)))
    .bind(row.problem.as_deref())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn delete(transaction: &mut Transaction<'static, Any>, name: &DomainName) -> Result<(), StoreError> {
    sqlx::query("delete from domain where name = $1").bind(name.as_str()).execute(&mut **transaction).await?;
    Ok(())
}
