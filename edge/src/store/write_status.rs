//! Whether writes to disk succeed.

use std::io;
use std::sync::{Mutex, PoisonError};

/// The result of the last write. Logs when it changes, so that a full disk is reported once, not once a write.
#[derive(Default)]
pub(super) struct WriteStatus(Mutex<Option<WriteFailure>>);

/// Why a write failed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WriteFailure {
    text: String,
    is_full: bool,
}

impl WriteStatus {
    /// Why the last write failed; `None` if it succeeded, or there was none.
    pub(super) fn failure(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|failure| failure.text.clone())
    }

    /// Whether the last write failed because the disk was full.
    pub(super) fn is_full(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|failure| failure.is_full)
    }

    /// Records the result of a write.
    pub(super) fn record(&self, result: &io::Result<()>) {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                if failure.take().is_some() {
                    tracing::info!("the disk can be written again");
                }
            }
            Err(error) => {
                let before = failure.replace(WriteFailure { text: text(error), is_full: is_full(error) });
                if before != *failure {
                    tracing::error!(%error, "failed to write to disk: serving from memory and from origins");
                }
            }
        }
    }
}

/// Whether the file system, or a quota, has no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The text of the error without the path of the temporary file that `tempfile` appends, which differs from write to write.
fn text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" at path ").map_or(text.as_str(), |(cause, _)| cause).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_reported_until_a_write_succeeds() {
        let status = WriteStatus::default();
        assert_eq!(status.failure(), None);
        status.record(&Err(io::Error::other("input/output error")));
        status.record(&Err(io::Error::from_raw_os_error(28)));
        assert_eq!(status.failure().as_deref(), Some("No space left on device (os error 28)"));
        status.record(&Ok(()));
        assert_eq!(status.failure(), None);
    }
}
