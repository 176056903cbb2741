//! The access log: where it is written, and how.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The access log of an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogConfig {
    /// Where lines are written.
    pub destination: LogDestination,
    /// The format of a line.
    pub format: AccessLogFormat,
}

/// Where lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogDestination {
    /// Standard output.
    Stdout,
    /// A file, which is created if it does not exist, and again when it is moved or deleted.
    File(PathBuf),
}

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLogFormat {
    /// An object with all that is known.
    #[default]
    Json,
    /// The format `combined` of Apache and nginx.
    Combined,
}

/// The section of a configuration file. Unknown fields are errors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "`edge.sample.toml` and `AccessLogConfig` explain every setting")]
pub struct RawAccessLog {
    pub path: PathBuf,
    #[serde(default)]
    pub format: AccessLogFormat,
}

/// The path is empty.
#[derive(Debug, thiserror::Error)]
#[error("invalid `path` ``: expected a file, such as \"/var/log/verge/access.log\", or \"-\" for standard output")]
pub struct AccessLogPathError;

/// The directory of the file does not exist.
#[derive(Debug, thiserror::Error)]
#[error("invalid `path` `{}` in the section `[access_log]`: its directory does not exist; create it, for the user that runs verge-edge", .0.display())]
pub struct NoLogDirectory(PathBuf);

impl AccessLogConfig {
    /// Checks that there is a directory for the file.
    pub(crate) fn check(&self) -> Result<(), NoLogDirectory> {
        let LogDestination::File(path) = &self.destination else { return Ok(()) };
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        if directory.is_none_or(Path::is_dir) { Ok(()) } else { Err(NoLogDirectory(path.clone())) }
    }
}

impl TryFrom<RawAccessLog> for AccessLogConfig {
    type Error = AccessLogPathError;

    fn try_from(RawAccessLog { path, format }: RawAccessLog) -> Result<Self, AccessLogPathError> {
        let destination = match path {
            path if path.as_os_str() == "-" => LogDestination::Stdout,
            path if path.as_os_str().is_empty() => return Err(AccessLogPathError),
            path => LogDestination::File(path),
        };
        Ok(Self { destination, format })
    }
}
