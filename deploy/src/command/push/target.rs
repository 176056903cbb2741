//! The channel that a push updates, and how long it exists.

use std::path::Path;

use verge_protocol::ChannelName;

use crate::channel::preview::{self, PreviewError};
use crate::channel::{ChannelArg, Lifetime, Preview};
use crate::cli;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::git;
use crate::project::Settings;

/// The channel that a push updates.
pub(super) struct Target {
    /// The channel.
    pub(super) channel: ChannelName,
    /// What it was named after, unless its own name was given.
    pub(super) source: Option<String>,
    /// How long it exists after this push; `None`: as the last push said.
    pub(super) lifetime: Option<Lifetime>,
}

/// The target: with `--preview` by CI and the repository of `dir`, else as given or configured.
pub(super) async fn find(
    arguments: &cli::Push,
    settings: &Settings,
    environment: &Environment,
    dir: &Path,
) -> Result<Target, Failure> {
    let (channel, source) = if arguments.preview {
        let dir = dir.to_owned();
        let branches = tokio::task::spawn_blocking(move || git::branches(&dir)).await.unwrap_or_default();
        let Preview { channel, source } = preview::choose(&environment.ci, &branches)?;
        (channel, Some(source))
    } else {
        let ChannelArg { name, branch } = arguments.channel.channel(settings.channel.as_ref());
        (name, branch.map(|branch| format!("`{branch}`")))
    };
    let configured = settings.preview.expires.filter(|_| arguments.preview);
    let lifetime = arguments.expires.or(configured);
    if channel.is_live() && matches!(lifetime, Some(Lifetime::For(_))) {
        let message = "channel `live` cannot expire".to_owned();
        let failure = Failure { exit: Exit::Usage, message, details: Vec::new(), hints: Vec::new() };
        return Err(failure.hint(Some("use --expires with --preview, or with another --channel")));
    }
    Ok(Target { channel, source, lifetime })
}

impl From<PreviewError> for Failure {
    fn from(error: PreviewError) -> Self {
        Self::new(Exit::Refused, &error).hint(Some(error.hint()))
    }
}
