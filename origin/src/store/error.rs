//! Errors of storage.

use std::error::Error;
use std::io;

/// A failure of the database or of the object store. Never caused by the request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("database query failed")]
    Database(#[from] sqlx::Error),
    #[error(
        "database migration failed (a database of an unreleased version cannot be migrated: use another data directory)"
    )]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("blob storage failed")]
    Objects(#[from] object_store::Error),
    #[error("failed to create the blob directory")]
    CreateDirectory(#[source] io::Error),
    #[error("failed to write a file to blob storage")]
    Write(#[source] io::Error),
    #[error("failed to sync blob storage to disk")]
    Sync(#[source] io::Error),
    #[error("failed to write the certificate of the API")]
    WriteCertificate(#[source] io::Error),
    #[error("invalid {what} in the database: {text:?}")]
    Malformed { what: &'static str, text: String },
}

/// `SQLite`'s result codes `SQLITE_FULL`, and `SQLITE_IOERR_SHMSIZE`: no room for the index of the write-ahead log.
const SQLITE_FULL: [i32; 2] = [13, 4874];

impl StoreError {
    /// Whether the disk, or a quota, is full.
    pub(crate) fn is_storage_full(&self) -> bool {
        if let Self::Database(sqlx::Error::Database(error)) = self {
            return error.code().and_then(|code| code.parse().ok()).is_some_and(|code| SQLITE_FULL.contains(&code));
        }
        let mut causes = std::iter::successors(Some(self as &dyn Error), |error| (*error).source());
        causes.any(|cause| {
            let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
            matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_recognized_wherever_it_is_in_the_chain() {
        let full = || Box::new(io::Error::from(io::ErrorKind::StorageFull));
        assert!(StoreError::Sync(*full()).is_storage_full());
        assert!(StoreError::Objects(object_store::Error::Generic { store: "files", source: full() }).is_storage_full());
        assert!(!StoreError::Sync(io::ErrorKind::PermissionDenied.into()).is_storage_full());
        assert!(!StoreError::Database(sqlx::Error::RowNotFound).is_storage_full());
    }
}
