//! Why a data directory cannot be used.

use std::io;
use std::path::PathBuf;

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It is locked by another process, or by another daemon of this one.
    #[error("data directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Other users of the machine can read it, and that cannot be changed.
    #[error(
        "data directory {} is open to other users of this machine (mode {mode:o}): it has keys and tokens; run `chmod o-rwx` on it as its owner, \
         or `chown` it to the user that runs this daemon",
        path.display()
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Why they were not changed.
        source: io::Error,
    },
    /// Other users of the machine can read it, and it has nothing of a daemon: perhaps it is the directory of something else.
    #[error(
        "{} is open to other users of this machine (mode {mode:o}), and not empty: set `data` to a directory of its own, or, if it is that, run \
         `chmod o-rwx` on it",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It cannot be created or written to.
    #[error("failed to open data directory {}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}
