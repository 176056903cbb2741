//! Access tokens, by digest.

use std::fmt;

use verge_protocol::{Digest, EdgeName, NameServerName, Timestamp};

use super::{Database, StoreError, column, signed, unsigned};

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The administrator's.
    Admin,
    /// An edge's.
    Edge(EdgeName),
    /// That of a node which answers DNS.
    NameServer(NameServerName),
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => formatter.write_str("the administrator"),
            Self::Edge(edge) => write!(formatter, "edge {edge}"),
            Self::NameServer(node) => write!(formatter, "node {node}"),
        }
    }
}

impl Holder {
    /// What the columns `edge` and `node` hold.
    fn columns(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Admin => (None, None),
            Self::Edge(edge) => (Some(edge.as_str()), None),
            Self::NameServer(node) => (None, Some(node.as_str())),
        }
    }
}

impl Database {
    /// Keeps a token. Everybody has one: an earlier one stops working.
    pub(crate) async fn put_token(&self, digest: Digest, holder: &Holder, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let (edge, node) = holder.columns();
        let earlier = match holder {
            Holder::Admin => sqlx::query("delete from token where edge is null and node is null"),
            Holder::Edge(_) => sqlx::query("delete from token where edge = $1").bind(edge),
            Holder::NameServer(_) => sqlx::query("delete from token where node = $1").bind(node),
        };
        earlier.execute(&mut *transaction).await?;
        sqlx::query(
            "insert into token (digest, edge, node, created) values ($1, $2, $3, $4) on conflict (digest) do nothing",
        )
        .bind(digest.to_string())
        .bind(edge)
        .bind(node)
        .bind(signed(now.0))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whose token it is; `None`: nobody's.
    pub(crate) async fn token(&self, digest: Digest) -> Result<Option<Holder>, StoreError> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as("select edge, node from token where digest = $1")
                .bind(digest.to_string())
                .fetch_optional(self.read())
                .await?;
        row.map(|columns| match columns {
            (Some(edge), _) => Ok(Holder::Edge(column("an edge name", &edge)?)),
            (None, Some(node)) => Ok(Holder::NameServer(column("a node name", &node)?)),
            (None, None) => Ok(Holder::Admin),
        })
        .transpose()
    }

    /// Every node that has a token, by name, with when it was issued.
    pub(crate) async fn nodes(&self) -> Result<Vec<(NameServerName, Timestamp)>, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("select node, created from token where node is not null order by node")
                .fetch_all(self.read())
                .await?;
        rows.iter().map(|(name, at)| Ok((column("a node name", name)?, Timestamp(unsigned("a time", *at)?)))).collect()
    }

    /// Takes away a node's token: whether it had one.
    pub(crate) async fn remove_node(&self, node: &NameServerName) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let removed =
            sqlx::query("delete from token where node = $1").bind(node.as_str()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(removed.rows_affected() > 0)
    }

    /// Every edge that has a token, by name.
    pub(crate) async fn edges_with_token(&self) -> Result<Vec<EdgeName>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("select edge from token where edge is not null order by edge")
            .fetch_all(self.read())
            .await?;
        rows.iter().map(|(name,)| column("an edge name", name)).collect()
    }
}
