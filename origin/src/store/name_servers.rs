//! Name servers.

use verge_protocol::api::TokenOwner;
use verge_protocol::{NameServerName, Timestamp};

use super::database::Database;
use super::error::StoreError;
use super::{column_values, join_codes};

impl Database {
    /// Every name server that has a token, by name, and when the token was issued.
    pub(crate) async fn name_servers(&self) -> Result<Vec<(NameServerName, Timestamp)>, StoreError> {
        let query = "select name_server, created from token where name_server is not null order by name_server";
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, sqlx::query(query)).await?;
        let parse = |(name, issued): (String, i64)| {
            let name = column_values::parse("name server name", &name)?;
            Ok((name, Timestamp(column_values::unsigned("time", issued)?)))
        };
        Ok(column_values::sound_rows("token", rows, parse))
    }

    /// Deletes the token and the join code of a name server. True if it had either.
    pub(crate) async fn remove_name_server(&self, name: &NameServerName) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let removed = sqlx::query("delete from token where name_server = $1")
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await?;
        let had_code = join_codes::delete(&mut transaction, &TokenOwner::NameServer(name.clone())).await?;
        transaction.commit().await?;
        Ok(removed.rows_affected() > 0 || had_code)
    }
}
