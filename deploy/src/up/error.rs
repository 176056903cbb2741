//! Errors of a cluster.

use std::time::Duration;

use verge_daemon::data_dir::DataDirError;
use verge_daemon::listen::ListenError;

use super::authority::AuthorityError;
use crate::client::{ClientError, SetupError};

/// How long edges and name server may take to catch up with the origin after the start.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a cluster cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A port cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// A daemon does not start.
    #[error("failed to start {daemon}: {reason}")]
    Start {
        /// The daemon.
        daemon: String,
        /// Why, with all causes.
        reason: String,
    },
    /// A request to the origin failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// There is no certificate for TLS.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// These edges do not answer over TLS.
    #[error("these edges did not answer over TLS within {limit} s: {0}", limit = START_TIMEOUT.as_secs())]
    NotEncrypted(String),
    /// The name server does not answer with all edges for these names.
    #[error("the name server did not answer for {0} within {limit} s", limit = START_TIMEOUT.as_secs())]
    NotAnswered(String),
    /// These edges do not catch up.
    #[error("these edges did not catch up with the origin within {limit} s: {0}", limit = START_TIMEOUT.as_secs())]
    Lagging(String),
}

/// Turns the error of a daemon's start into a [`ClusterError`].
pub(super) fn start_failed<E: Into<anyhow::Error>>(daemon: impl Into<String>) -> impl FnOnce(E) -> ClusterError {
    move |error| match error.into().downcast() {
        Ok(data) => ClusterError::Data(data),
        Err(error) => ClusterError::Start { daemon: daemon.into(), reason: format!("{error:#}") },
    }
}
