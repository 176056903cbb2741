//! How each error is reported: message, hints and exit code.

use std::io;

use reqwest::StatusCode;
use verge_protocol::api::ErrorBody;
use verge_trust::TrustError;

use crate::client::{ClientError, NameServerError, Token};
use crate::endpoints::ConnectionError;
use crate::exit::Exit;
use crate::explain::ExplainError;
use crate::failure::Failure;
use crate::project::ProjectError;
use crate::promote::PromotionError;
use crate::push::{LimitsExceeded, PushError};
use crate::rollback::RollbackError;
use crate::rollout::RolloutError;
use crate::unicode_domain;
use crate::upload::{SourceError, UploadError};

/// What to do about an error of the origin's API, in terms of this command line. `None`: the hint of the origin, if it has one, is
/// shown.
fn hint_for(code: &str) -> Option<&'static str> {
    Some(match code {
        "invalid_token" => Token::SOURCES_HINT,
        "forbidden" => "use a token that allows this",
        "unknown_site" => "use `verge sites` to list sites; the first push creates a site",
        "unknown_release" => "use `verge releases` to list releases",
        "unknown_channel" => "use `verge channels` to list channels",
        "unknown_edge" => "use `verge edges` to list edges, or `verge edges add` to configure one",
        "unknown_name_server" => "use `verge dns servers` to list name servers",
        "unknown_domain" => "use `verge domains` to list domains",
        "unknown_host" => {
            "use `verge sites` and `verge domains` to see where sites answer. Edges may have further base domains, which the origin does not \
             know, such as verge.test of `verge up`: give the URL of the site"
        }
        "unknown_route" => "this command needs a newer version of the origin",
        "unknown_certificate" => "use `verge certs` to list certificates",
        "address_taken" => "if the other edge no longer exists, remove it with `verge edges remove NAME`",
        "domain_taken" => "to move the domain to this site, remove it first with `verge domains remove DOMAIN`",
        "redirected_to" => "first remove the redirecting domain, or change its redirect",
        "unknown_redirect_target" => "add the target first with `verge domains add TARGET --site SITE`",
        "conflict" => "use `verge releases` to see the current release, then run the command again",
        "channel_deleted" => "to create the channel anew, run the command again",
        "channel_busy" => "wait for it to finish, then run the command again",
        "in_use" => "first push a release without these bytes to each of these channels, or delete it",
        "release_in_use" => "make another release live first; tabs opened before need this one for a day more",
        "too_early" => "run the command again in some seconds",
        "unreadable" => {
            "no blob is removed while it is not known what is needed: run `verge-origin verify` on the origin"
        }
        "erased" => {
            "use `verge log` to see what was erased, when and by whom; `verge rollback --to` names a release without it"
        }
        "missing_blobs" => "push again",
        "not_removed" => "run the command again until it succeeds; the log of the origin has the cause",
        "shutting_down" => "run the command again when the origin is back",
        "storage_full" => "make room on the origin's disk, then run the command again",
        "internal" => "check the log of the origin",
        _ => return None,
    })
}

fn client_hint(error: &ClientError) -> Option<String> {
    let hint = match error {
        ClientError::Unreachable { .. } => {
            "check that the origin is running and that VERGE_ORIGIN is its URL, or run `verge up` to start one on this machine"
        }
        ClientError::Untrusted { error: TrustError::Name(_), origin } => {
            return Some(format!(
                "if it presents its identity key, run `verge login {origin}`, or set VERGE_PIN to what `verge-origin pin` prints on its machine"
            ));
        }
        ClientError::Untrusted { error: TrustError::Pin(_), .. } => {
            "only if the pins agree there, run `verge login` again, or set VERGE_PIN or --pin to the new one"
        }
        ClientError::ConnectionLost { .. } | ClientError::Stalled { .. } => {
            "run the command again: blobs that were uploaded are not sent again"
        }
        ClientError::UnexpectedResponse { .. } => "check that VERGE_ORIGIN is the URL of an origin's API",
        ClientError::Gateway { .. } => return None,
        ClientError::Refused { status, body: ErrorBody { code, hint, .. } } => {
            let code = match *status {
                Some(StatusCode::UNAUTHORIZED) => "invalid_token",
                Some(StatusCode::FORBIDDEN) => "forbidden",
                _ => code,
            };
            return hint_for(code).map(str::to_owned).or_else(|| hint.clone());
        }
    };
    Some(hint.to_owned())
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Unreachable { .. }
            | ClientError::Untrusted { .. }
            | ClientError::ConnectionLost { .. }
            | ClientError::Stalled { .. } => Exit::Unreachable,
            ClientError::Refused { status, .. } => match status.map(|status| status.as_u16()) {
                // 429: the token is invalid, and was sent too often.
                Some(401 | 403 | 429) => Exit::NotAllowed,
                Some(400 | 413 | 422) => Exit::Refused,
                Some(409) => Exit::Conflict,
                Some(502..=504) => Exit::Unreachable,
                _ => Exit::Failure,
            },
            ClientError::Gateway { status, .. } if matches!(status.as_u16(), 502..=504) => Exit::Unreachable,
            ClientError::Gateway { .. } | ClientError::UnexpectedResponse { .. } => Exit::Failure,
        };
        let failure = Self::new(exit, &error).hint(client_hint(&error));
        let message = unicode_domain::show_in(&failure.message);
        let hints = failure.hints.iter().map(|hint| unicode_domain::show_in(hint)).collect();
        Self { message, hints, ..failure }
    }
}

impl From<ExplainError> for Failure {
    fn from(error: ExplainError) -> Self {
        match error {
            ExplainError::Client(error) => error.into(),
            error => Self::new(Exit::Usage, &error),
        }
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
            ConnectionError::NoToken(_) | ConnectionError::InvalidToken { .. } => Exit::NotAllowed,
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
            PushError::Scan(error) => {
                let (details, hints) = (error.details(), error.hints());
                Self { details, hints, ..Self::new(Exit::Refused, &error) }
            }
            PushError::LimitsExceeded(LimitsExceeded(ref details)) => {
                let hint = "exclude files with .assetsignore, or raise the limits of the origin";
                Self { details: details.clone(), ..Self::new(Exit::Refused, &error) }.hint(Some(hint))
            }
            PushError::Shrunk(_) => {
                let hint = "push the directory that your build tool writes to, or use --force";
                Self::new(Exit::Refused, &error).hint(Some(hint))
            }
            PushError::Client(error) => error.into(),
            PushError::Upload(error) => error.into(),
            PushError::Rollout(error) => error.into(),
        }
    }
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Client(error) => error.into(),
            UploadError::Source(error @ (SourceError::Changed(_) | SourceError::Unreadable { .. })) => {
                Self::new(Exit::Failure, &error).hint(Some("push again when the build has finished"))
            }
            UploadError::Source(error @ SourceError::Unknown(_)) => Self::new(Exit::Failure, &error),
            UploadError::NotStored(_) => Self::new(Exit::Failure, &error).hint(hint_for("internal")),
        }
    }
}

impl From<RolloutError> for Failure {
    fn from(error: RolloutError) -> Self {
        match error {
            RolloutError::Conflict(_) => {
                Self::new(Exit::Conflict, &error).hint(Some("run the command again to replace that release"))
            }
            RolloutError::OutcomeUnknown { .. } => Self::new(Exit::Unreachable, &error)
                .hint(Some("`verge log` says what the origin has done; to run the same command again does no harm")),
            RolloutError::Client(error) => error.into(),
        }
    }
}

impl From<RollbackError> for Failure {
    fn from(error: RollbackError) -> Self {
        match error {
            RollbackError::NoChannel { .. } => Self::new(Exit::Failure, &error).hint(hint_for("unknown_channel")),
            RollbackError::NoRelease { .. } => Self::new(Exit::Failure, &error).hint(hint_for("unknown_release")),
            RollbackError::NoPrevious { .. } => Self::new(Exit::Failure, &error)
                .hint(Some("`verge rollback --to RELEASE` goes to any release; `verge releases` lists them")),
            RollbackError::Client(error) => error.into(),
            RollbackError::Rollout(error) => error.into(),
        }
    }
}

impl From<PromotionError> for Failure {
    fn from(error: PromotionError) -> Self {
        match error {
            PromotionError::NoChannel { .. } => {
                Self::new(Exit::Failure, &error).hint(Some("use `verge channels` to list channels"))
            }
            PromotionError::NoRelease { .. } => Self::new(Exit::Failure, &error).hint(hint_for("unknown_release")),
            PromotionError::Client(error) => error.into(),
            PromotionError::Rollout(error) => error.into(),
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
                .hint(Some("if another `verge up` is running, use --port to select other ports, or --port 0 for free ones")),
            ClusterError::Data(DataDirError::InUse(_)) => Self::new(Exit::Failure, &error)
                .hint(Some("if another `verge up` is running, use --data to select another directory, or --temp for a temporary one")),
            _ => Self::new(Exit::Failure, &error),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        let failure = Self::new(Exit::Failure, &error);
        Self { message: format!("unexpected response from the origin: {}", failure.message), ..failure }
            .hint(Some("check that the origin has the same version; use --json to see the response"))
    }
}

/// Only writing to stdout fails with such an error in a command.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let failure = Self::new(Exit::Failure, &error);
        Self { message: format!("failed to write to stdout: {}", failure.message), ..failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_one_exit_code() {
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
    fn hint_for_a_code_replaces_the_hint_of_the_origin() {
        let hint = |code: &str| {
            let body = ErrorBody { code: code.into(), message: "m".into(), hint: Some("ask differently".into()) };
            Failure::from(ClientError::Refused { status: Some(StatusCode::NOT_FOUND), body }).hints
        };
        assert_eq!(hint("unknown_release"), ["use `verge releases` to list releases"]);
        assert_eq!(hint("invalid_settings"), ["ask differently"]);
    }

    #[test]
    fn domain_in_an_error_of_the_origin_is_shown_as_people_write_it() {
        let message = "`xn--bcher-kva.example` is a domain of site `demo`".to_owned();
        let body = ErrorBody { code: "domain_taken".into(), message, hint: None };
        let failure = Failure::from(ClientError::Refused { status: Some(StatusCode::CONFLICT), body });
        assert_eq!(failure.message, "`bücher.example` is a domain of site `demo`");
    }

    #[test]
    fn unknown_outcome_is_reported_with_its_cause() {
        let source = ClientError::ConnectionLost { reason: "connection reset".into() };
        let failure = Failure::from(RolloutError::OutcomeUnknown { channel: "live".parse().unwrap(), source });
        assert_eq!(failure.exit, Exit::Unreachable);
        assert_eq!(
            failure.message,
            "cannot tell whether live was updated: lost the connection to the origin: connection reset"
        );
    }
}
