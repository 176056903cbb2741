//! What `--repair` does about a finding.

use std::path::PathBuf;

use verge_protocol::{ChannelName, Digest, DomainName, ReleaseNumber, SiteName};

use super::row::{RawRow, Table};

/// A change that repairs a finding.
#[derive(Debug)]
pub(super) struct Repair {
    pub(super) change: Change,
    /// What it does, in the third person.
    pub(super) effect: String,
}

#[derive(Debug)]
pub(super) enum Change {
    /// Moves a blob to quarantine if it is corrupt, and deletes the rows that promise it.
    ForgetBlob(Digest),
    /// Moves the description of a build, a path within `objects`, to quarantine.
    SetAside(PathBuf),
    /// Changes rows that a running origin does not change, or not otherwise.
    Rows(Vec<Statement>),
    /// Changes rows that the change feed reads, or that a running origin may change at the same time.
    SharedRows(Vec<Statement>),
    /// Moves a channel to the release that it points at, so that its state is written anew.
    Channel(SiteName, ChannelName, ReleaseNumber, Digest),
    /// Writes the state of a domain anew, by its row; without one, a tombstone.
    Domain(DomainName),
}

impl Change {
    /// Whether it must not be made beside a running origin.
    pub(super) fn needs_stopped_origin(&self) -> bool {
        matches!(self, Self::SharedRows(_) | Self::Channel(..) | Self::Domain(_))
    }
}

/// An SQL statement and the values of its parameters.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Statement {
    pub(super) fn delete(row: &RawRow) -> Self {
        Self { sql: format!("delete from {} where rowid = ?", row.table.name), values: vec![Value::Integer(row.id)] }
    }

    pub(super) fn update<const N: usize>(row: &RawRow, columns: [(&str, Value); N]) -> Self {
        let (set, mut values): (Vec<String>, Vec<Value>) =
            columns.into_iter().map(|(column, value)| (format!("{column} = ?"), value)).unzip();
        values.push(Value::Integer(row.id));
        Self { sql: format!("update {} set {} where rowid = ?", row.table.name, set.join(", ")), values }
    }

    /// Inserts a row in place of any that has the same key.
    pub(super) fn put<const N: usize>(table: &Table, columns: [(&str, Value); N]) -> Self {
        let (names, values): (Vec<&str>, Vec<Value>) = columns.into_iter().unzip();
        let marks = vec!["?"; names.len()].join(", ");
        Self { sql: format!("insert or replace into {} ({}) values ({marks})", table.name, names.join(", ")), values }
    }
}

impl Repair {
    pub(super) fn new(change: Change, effect: impl Into<String>) -> Self {
        Self { change, effect: effect.into() }
    }

    /// Deletes a row.
    pub(super) fn delete(row: &RawRow, effect: impl Into<String>) -> Self {
        Self::new(Change::Rows(vec![Statement::delete(row)]), effect)
    }

    /// Deletes a row that a running origin may replace.
    pub(super) fn delete_shared(row: &RawRow, effect: impl Into<String>) -> Self {
        Self::new(Change::SharedRows(vec![Statement::delete(row)]), effect)
    }
}
