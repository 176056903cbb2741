//! Reading and writing columns. Only this program writes them, so a value that does not parse is corruption
//! ([`StoreError::Malformed`]).

use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::error::StoreError;

/// Parses a text column.
pub(super) fn parse<T: FromStr>(what: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Malformed { what, text: text.to_owned() })
}

/// Parses a text column that holds JSON.
pub(super) fn parse_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Malformed { what, text: text.to_owned() })
}

/// Reads an integer column that is never negative.
pub(super) fn unsigned(what: &'static str, number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Malformed { what, text: number.to_string() })
}

/// The value of an integer column. SQL integers are signed; the numbers stored stay far below the limit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
