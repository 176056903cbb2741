//! Every error that a command can meet, and how it is told: message, hints, exit code.

use std::io;

use crate::client::{ClientError, NameServerError};
use crate::connection::ConnectionError;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::follow::FollowError;
use crate::project::ProjectError;
use crate::push::PushError;
use crate::rollback::RollbackError;
use crate::upload::{SourceError, UploadError};

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Unreachable { .. } | ClientError::Cut { .. } | ClientError::Stalled { .. } => {
                Exit::Unreachable
            }
            ClientError::Refused { status, .. } => match status.map(|status| status.as_u16()) {
                Some(401 | 403) => Exit::NotAllowed,
                Some(400 | 413 | 422) => Exit::Refused,
                Some(409) => Exit::Conflict,
                Some(502..=504) => Exit::Unreachable,
                _ => Exit::Failure,
            },
            ClientError::Gateway { status, .. } if matches!(status.as_u16(), 502..=504) => Exit::Unreachable,
            ClientError::Gateway { .. } | ClientError::Foreign { .. } => Exit::Failure,
        };
        Self::new(exit, &error).hint(error.hint())
    }
}

impl From<NameServerError> for Failure {
    fn from(error: NameServerError) -> Self {
        let exit = match &error {
            NameServerError::Unreachable { .. } | NameServerError::Closed { .. } | NameServerError::Timeout { .. } => {
                Exit::Unreachable
            }
            NameServerError::Rejected(_) => Exit::Refused,
            NameServerError::NotNameServer { .. } => Exit::Failure,
        };
        Self::new(exit, &error).hint(error.hint())
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        let exit = match &error {
            ConnectionError::NoToken(_) => Exit::NotAllowed,
            _ => Exit::Usage,
        };
        Self::new(exit, &error).hint(error.hint())
    }
}

impl From<ProjectError> for Failure {
    fn from(error: ProjectError) -> Self {
        Self::new(Exit::Usage, &error).hint(error.hint())
    }
}

impl From<PushError> for Failure {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Folder(refused) => {
                let (details, hints) = (refused.details(), refused.hints());
                Self { details, hints, ..Self::new(Exit::Refused, &refused) }
            }
            PushError::TooMuch(ref excess) => {
                let hint = "leave files out with .assetsignore, or raise the origin's limits";
                Self { details: excess.clone(), ..Self::new(Exit::Refused, &error) }.hint(Some(hint))
            }
            PushError::Shrunk { .. } => {
                let hint = "is it the folder that the build writes to? --force pushes it as it is";
                Self::new(Exit::Refused, &error).hint(Some(hint))
            }
            PushError::Client(error) => error.into(),
            PushError::Upload(error) => error.into(),
            PushError::Follow(error) => error.into(),
        }
    }
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Client(error) => error.into(),
            UploadError::Source(error @ (SourceError::Changed(_) | SourceError::Unreadable { .. })) => {
                Self::new(Exit::Failure, &error).hint(Some("push again when the build has ended"))
            }
            UploadError::Source(error @ SourceError::Unknown(_)) => Self::new(Exit::Failure, &error),
            UploadError::NotKept(_) => Self::new(Exit::Failure, &error).hint(Some("look at the origin's log")),
        }
    }
}

impl From<FollowError> for Failure {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Conflict(_) => {
                Self::new(Exit::Conflict, &error).hint(Some("push again, if yours should come after it"))
            }
            FollowError::Unsure { .. } => {
                Self::new(Exit::Unreachable, &error).hint(Some("`verge releases` tells; if it has not, run it again"))
            }
            FollowError::Client(error) => error.into(),
        }
    }
}

impl From<RollbackError> for Failure {
    fn from(error: RollbackError) -> Self {
        match error {
            RollbackError::NoChannel { .. } => Self::new(Exit::Failure, &error).hint(Some("`verge sites` lists them")),
            RollbackError::NoRelease { .. } | RollbackError::NothingOlder { .. } => {
                Self::new(Exit::Failure, &error).hint(Some("`verge releases` lists them"))
            }
            RollbackError::Client(error) => error.into(),
            RollbackError::Follow(error) => error.into(),
        }
    }
}

#[cfg(feature = "up")]
impl From<crate::up::ClusterError> for Failure {
    fn from(error: crate::up::ClusterError) -> Self {
        use crate::up::ClusterError;
        use verge_daemon::data_dir::DataDirError;
        use verge_daemon::listen::ListenError;

        match error {
            ClusterError::Client(error) => error.into(),
            ClusterError::Listen(ListenError::Taken { .. }) => Self::new(Exit::Failure, &error)
                .hint(Some("is another `verge up` running? --port names others, --port 0 takes free ones")),
            ClusterError::Data(DataDirError::InUse(_)) => Self::new(Exit::Failure, &error)
                .hint(Some("is another `verge up` running? --data names another folder, --temp takes one of its own")),
            _ => Self::new(Exit::Failure, &error),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        let failure = Self::new(Exit::Failure, &error);
        Self { message: format!("the origin's answer cannot be understood: {}", failure.message), ..failure }
            .hint(Some("is it of another version of Verge? --json shows it as it is"))
    }
}

/// Nothing but writing to stdout gives such an error to a command.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let failure = Self::new(Exit::Failure, &error);
        Self { message: format!("failed to write to stdout: {}", failure.message), ..failure }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use verge_protocol::api::ErrorBody;

    use super::*;

    #[test]
    fn a_status_has_one_exit_code() {
        let exit = |status: u16| {
            let body = ErrorBody { code: "x".into(), message: "m".into(), hint: Some("h".into()) };
            let error = ClientError::Refused { status: Some(StatusCode::from_u16(status).unwrap()), body };
            let failure = Failure::from(error);
            assert_eq!((failure.message.as_str(), failure.hints.len()), ("m", 1));
            failure.exit
        };
        assert_eq!([401, 403].map(exit), [Exit::NotAllowed; 2]);
        assert_eq!([400, 413, 422].map(exit), [Exit::Refused; 3]);
        assert_eq!(exit(409), Exit::Conflict);
        assert_eq!([404, 410, 500].map(exit), [Exit::Failure; 3]);
        assert_eq!([502, 503, 504].map(exit), [Exit::Unreachable; 3]);
    }

    #[test]
    fn what_is_not_known_is_said_so() {
        let source = ClientError::Cut { reason: "connection reset".into() };
        let failure = Failure::from(FollowError::Unsure { channel: "live".parse().unwrap(), source });
        assert_eq!(failure.exit, Exit::Unreachable);
        assert_eq!(
            failure.message,
            "it is not known whether live has moved: the connection to the origin was cut: connection reset"
        );
    }
}
