//! Rows as they are in the database, whatever their columns hold.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row as _, Sqlite, TypeInfo as _, ValueRef as _};

/// A table, and the columns that are read of it; the first `key` columns identify a row for people.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key: usize,
    pub(super) columns: &'static [&'static str],
}

pub(super) static COUNTER: Table = Table { name: "counter", key: 1, columns: &["id", "generation", "seq", "floor"] };
pub(super) static SITE: Table = Table { name: "site", key: 1, columns: &["name", "created"] };
pub(super) static TOKEN: Table =
    Table { name: "token", key: 3, columns: &["edge", "name_server", "digest", "created"] };
pub(super) static BLOB: Table = Table { name: "blob", key: 2, columns: &["site", "digest", "size"] };
pub(super) static CONTENT: Table = Table { name: "content", key: 1, columns: &["digest", "blobs"] };
pub(super) static BUILD: Table = Table { name: "build", key: 2, columns: &["site", "id", "used"] };
pub(super) static MANIFEST: Table = Table { name: "manifest", key: 1, columns: &["id", "content"] };
pub(super) static RELEASE: Table = Table {
    name: "release",
    key: 2,
    columns: &[
        "site",
        "number",
        "manifest",
        "files",
        "bytes",
        "created",
        "author",
        "message",
        "git_commit",
        "idempotency_key",
        "warnings",
    ],
};
pub(super) static CHANNEL_MOVE: Table = Table {
    name: "channel_move",
    key: 3,
    columns: &["site", "channel", "epoch", "release", "manifest", "moved", "idempotency_key", "author"],
};
pub(super) static CHANNEL_LIFETIME: Table =
    Table { name: "channel_lifetime", key: 3, columns: &["site", "channel", "release", "seconds"] };
pub(super) static CHANNEL_DELETION: Table =
    Table { name: "channel_deletion", key: 3, columns: &["site", "channel", "seq", "deleted", "author", "expired"] };
pub(super) static DELETED_RELEASE: Table = Table {
    name: "deleted_release",
    key: 2,
    columns: &[
        "site",
        "number",
        "manifest",
        "files",
        "bytes",
        "created",
        "author",
        "message",
        "git_commit",
        "deleted",
        "deleted_by",
    ],
};
pub(super) static UNUSED_BLOB: Table = Table { name: "unused_blob", key: 1, columns: &["digest"] };
pub(super) static FINGERPRINT: Table =
    Table { name: "fingerprint", key: 2, columns: &["site", "path", "digest", "immutable", "changed"] };
pub(super) static ENCODING: Table =
    Table { name: "encoding", key: 3, columns: &["digest", "coding", "level", "content"] };
pub(super) static ENCODING_BLOB: Table = Table { name: "encoding_blob", key: 2, columns: &["digest", "content"] };
pub(super) static DOMAIN: Table = Table {
    name: "domain",
    key: 1,
    columns: &["name", "site", "redirect_to", "proof", "claimed", "proven", "problem"],
};
pub(super) static ERASURE: Table =
    Table { name: "erasure", key: 2, columns: &["site", "content", "path", "author", "message", "made"] };
pub(super) static ERASED_BLOB: Table = Table { name: "erased_blob", key: 2, columns: &["site", "digest"] };
pub(super) static PURGE: Table =
    Table { name: "purge", key: 2, columns: &["site", "seq", "scope", "author", "message", "made"] };
pub(super) static SECRET: Table = Table { name: "secret", key: 1, columns: &["name", "master", "sealed", "made"] };
pub(super) static EDGE_KEY: Table = Table { name: "edge_key", key: 1, columns: &["edge", "public_key", "bound"] };
pub(super) static JOIN_CODE: Table =
    Table { name: "join_code", key: 2, columns: &["edge", "name_server", "digest", "expires", "used", "public_key"] };
pub(super) static ISSUANCE: Table = Table {
    name: "issuance",
    key: 2,
    columns: &["domain", "authority", "issued", "failures", "first_failure", "last_failure", "retry_after", "problem"],
};
pub(super) static FAILED_NAME: Table =
    Table { name: "failed_name", key: 1, columns: &["name", "failures", "first_failure", "last_failure", "problem"] };
pub(super) static AUTHORITY_LIMIT: Table =
    Table { name: "authority_limit", key: 1, columns: &["authority", "refused", "since", "retry_after", "problem"] };
pub(super) static REKEY: Table = Table { name: "rekey", key: 1, columns: &["domain", "key"] };
pub(super) static STATE: Table = Table { name: "state", key: 1, columns: &["key", "seq", "value"] };
pub(super) static HISTORY: Table = Table { name: "history", key: 1, columns: &["seq", "digest"] };
pub(super) static DIVERGENCE: Table =
    Table { name: "divergence", key: 1, columns: &["generation", "had", "seen", "subscriber", "noticed"] };

/// The value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    /// A value of a kind that is never written.
    Other(&'static str),
}

/// A row of a table.
#[derive(Clone)]
pub(super) struct RawRow {
    pub(super) table: &'static Table,
    pub(super) id: i64,
    cells: Vec<Cell>,
}

/// What a column holds, or why it is damaged.
pub(super) type Parsed<T> = Result<T, String>;

impl RawRow {
    /// Reads a row whose first column is its row id, and whose others are those of `table`.
    pub(super) fn read(table: &'static Table, row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let cells = (1..=table.columns.len()).map(|index| cell(row, index)).collect::<Result<_, _>>()?;
        Ok(Self { table, id: row.try_get(0)?, cells })
    }

    fn cell(&self, column: &str) -> &Cell {
        let index = self.table.columns.iter().position(|name| *name == column);
        &self.cells[index.expect("the table has the column")]
    }

    fn unexpected(&self, column: &str, expected: &str) -> String {
        format!("its `{column}` is {}: expected {expected}", self.cell(column))
    }

    /// A text column.
    pub(super) fn text(&self, column: &str) -> Parsed<&str> {
        match self.cell(column) {
            Cell::Text(text) => Ok(text),
            _ => Err(self.unexpected(column, "a text")),
        }
    }

    /// A text column that holds a name, a digest or the like.
    pub(super) fn parse<T: FromStr>(&self, column: &str) -> Parsed<T> {
        self.text(column)?.parse().map_err(|_| self.unexpected(column, "a valid one"))
    }

    /// A text column that holds JSON.
    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Parsed<T> {
        serde_json::from_str(self.text(column)?).map_err(|_| self.unexpected(column, "valid JSON"))
    }

    /// An integer column that is never negative.
    pub(super) fn number(&self, column: &str) -> Parsed<u64> {
        match self.cell(column) {
            Cell::Integer(number) if *number >= 0 => Ok(number.unsigned_abs()),
            _ => Err(self.unexpected(column, "a number")),
        }
    }

    /// A column that may be null, read by `read` if it is not.
    pub(super) fn optional<'a, T>(
        &'a self,
        column: &'a str,
        read: impl FnOnce(&'a Self, &'a str) -> Parsed<T>,
    ) -> Parsed<Option<T>> {
        if *self.cell(column) == Cell::Null { Ok(None) } else { read(self, column).map(Some) }
    }
}

/// The table, and what identifies the row.
impl fmt::Display for RawRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.table.columns.iter().zip(&self.cells).take(self.table.key);
        let key = key.filter(|(_, cell)| **cell != Cell::Null).map(|(name, cell)| format!("{name} {cell}"));
        write!(formatter, "row of {} with {}", self.table.name, key.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 80;
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Integer(number) => number.fmt(formatter),
            Self::Text(text) => {
                let shown: String = text.chars().take(SHOWN_MAX).collect();
                let rest = if shown.len() < text.len() { "…" } else { "" };
                write!(formatter, "`{}{rest}`", shown.escape_debug())
            }
            Self::Other(kind) => formatter.write_str(kind),
        }
    }
}

fn cell(row: &SqliteRow, index: usize) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let kind = value.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" => Cell::Integer(<i64 as Decode<Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?),
        "TEXT" => {
            let bytes = <&[u8] as Decode<Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?;
            std::str::from_utf8(bytes)
                .map_or(Cell::Other("a text that is not UTF-8"), |text| Cell::Text(text.to_owned()))
        }
        "BLOB" => Cell::Other("bytes"),
        _ => Cell::Other("a fraction"),
    })
}
