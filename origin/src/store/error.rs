//! Errors of storage.

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
    CreateDirectory(#[source] std::io::Error),
    #[error("failed to sync blob storage to disk")]
    Sync(#[source] std::io::Error),
    #[error("invalid {what} in the database: {text:?}")]
    Malformed { what: &'static str, text: String },
}
