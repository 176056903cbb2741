//! The command that a new machine runs to join the fleet.

use serde_json::{Value, json};
use verge_protocol::api::{IssuedJoinSecret, TokenOwner};
use verge_protocol::{JoinCode, Timestamp};

use super::context::Context;
use crate::cli::JoinArgs;
use crate::client::{Client, ServerUrl};
use crate::endpoints::{self, ConnectionError};
use crate::failure::Failure;

/// A join code, and how to use it.
pub(super) struct Join {
    /// The command for the machine.
    pub(super) command: String,
    code: JoinCode,
    expires: Timestamp,
}

impl Join {
    /// Makes a join code for an edge or a name server. `options` are appended to the command.
    pub(super) async fn make(
        owner: TokenOwner,
        args: &JoinArgs,
        options: &str,
        client: &Client,
        context: &Context<'_>,
    ) -> Result<Self, Failure> {
        let mut origins = args
            .join_url
            .iter()
            .map(|url| url.parse())
            .collect::<Result<Vec<ServerUrl>, _>>()
            .map_err(ConnectionError::from)?;
        if origins.is_empty() {
            origins.push(client.origin().clone());
        }
        let connection = context.cli.global.connection_options();
        for origin in &origins {
            endpoints::check_encrypted(origin, &connection)?;
        }
        let IssuedJoinSecret { secret, expires, pin } = client.issue_join_secret(&owner).await?;
        // What is verified by name here is so there.
        let pin = client.pin().or_else(|| pin.filter(|_| !client.origin().is_encrypted()));
        if origins.iter().all(ServerUrl::is_loopback) {
            context
                .output
                .warn(format_args!("the join code works on this machine only: others cannot reach {}", origins[0]));
            context
                .output
                .hint("use --join-url https://ADDRESS:PORT with an address and a port of `tls_listen` of the origin");
        }
        let is_plain = |origin: &ServerUrl| !origin.is_encrypted() && !origin.is_loopback();
        let insecure = if origins.iter().any(is_plain) { " --insecure" } else { "" };
        let program = match owner {
            TokenOwner::NameServer(_) => "verge-geodns",
            TokenOwner::Edge(_) | TokenOwner::Admin => "verge-edge",
        };
        let code = JoinCode { owner, origins: origins.iter().map(ToString::to_string).collect(), pin, secret };
        Ok(Self { command: format!("{program} join {code}{options}{insecure}"), code, expires })
    }

    /// Explains the command, which is printed next.
    pub(super) fn print_notice(&self, context: &Context<'_>) {
        context
            .output
            .info(format_args!("run this once on the machine of {}, before {}:", self.code.owner, self.expires));
    }

    /// As a part of the result.
    pub(super) fn json(&self) -> Value {
        json!({ "command": self.command, "code": self.code.to_string(), "expires": self.expires, "pin": self.code.pin })
    }
}
