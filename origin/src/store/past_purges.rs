//! The purges of a site so far.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection};
use verge_protocol::purge::Purge;
use verge_protocol::{Seq, SiteName};

use super::column_values;
use super::error::StoreError;

/// The last purges of a site, the latest first, at most `limit`.
pub(super) async fn of_site(
    connection: &mut AnyConnection,
    site: &SiteName,
    limit: usize,
) -> Result<Vec<Purge>, StoreError> {
    let query = sqlx::query("select seq, scope from purge where site = $1 order by seq desc limit $2")
        .bind(site.as_str())
        .bind(column_values::signed(limit as u64));
    fetch(connection, query).await
}

/// The last purge of each scope of a site since the write `since`, the latest first.
pub(super) async fn since(
    connection: &mut AnyConnection,
    site: &SiteName,
    since: Seq,
) -> Result<Vec<Purge>, StoreError> {
    let query = sqlx::query(
        "select max(seq) as last, scope from purge where site = $1 and seq > $2 group by scope order by last desc",
    )
    .bind(site.as_str())
    .bind(column_values::signed(since.0));
    fetch(connection, query).await
}

async fn fetch(connection: &mut AnyConnection, query: Query<'_, Any, AnyArguments>) -> Result<Vec<Purge>, StoreError> {
    let rows = column_values::fetch_all(connection, query).await?;
    let parse = |(seq, scope): (i64, String)| {
        let seq = Seq(column_values::unsigned("sequence number", seq)?);
        Ok(Purge { seq, scope: column_values::parse("scope", &scope)? })
    };
    Ok(column_values::sound_rows("purge", rows, parse))
}

#[cfg(test)]
mod tests {
    use verge_protocol::Timestamp;

    use super::*;
    use crate::store::Database;

    #[tokio::test]
    async fn purges_since_a_write_are_the_last_of_each_scope_however_many_came_after() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1)).await.unwrap();
        let sites: [SiteName; 2] = ["demo".parse().unwrap(), "other".parse().unwrap()];
        for site in &sites {
            database.create_site(site, Timestamp(1)).await.unwrap();
        }
        let mut transaction = database.begin().await.unwrap();
        let many = (0..2000).map(|number| (&sites[0], 100 + number, format!("d/{}", number % 1500)));
        let few = [(&sites[0], 10, "before"), (&sites[0], 20, "p"), (&sites[0], 21, "p"), (&sites[1], 30, "q")];
        for (site, seq, scope) in few.map(|(site, seq, scope)| (site, seq, scope.to_owned())).into_iter().chain(many) {
            sqlx::query("insert into purge (site, seq, scope, made) values ($1, $2, $3, 1)")
                .bind(site.as_str())
                .bind(seq)
                .bind(scope)
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        let purges = since(&mut transaction, &sites[0], Seq(10)).await.unwrap();
        assert_eq!(purges.len(), 1501);
        assert_eq!(purges[0], Purge { seq: Seq(2099), scope: "d/499".parse().unwrap() });
        assert_eq!(purges[1500], Purge { seq: Seq(21), scope: "p".parse().unwrap() });
        transaction.rollback().await.unwrap();
        database.close().await;
    }
}
