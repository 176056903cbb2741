//! Pushes, as `verge push --force` makes them.

use std::path::Path;
use std::time::Duration;

use verge::Output;
use verge::channel::Lifetime;
use verge::client::Client;
use verge::output::OutputOptions;
use verge::push::{Push, PushError, Pushed};
use verge::rollout::Wait;
use verge::scan::Options;
use verge::upload::RetryPolicy;
use verge_protocol::ChannelName;
use verge_protocol::api::Provenance;

/// Pushes files, given as path and text, to the live channel of a site. If `wait`, until the edges have confirmed the release.
pub(crate) async fn push_files(
    client: &Client,
    site: &str,
    files: &[(&str, &str)],
    wait: bool,
) -> Result<Pushed, PushError> {
    let folder = folder_of(files);
    push_folder(client, site, folder.path(), wait).await
}

/// Pushes a folder to the live channel of a site. If `wait`, until the edges have confirmed the release.
pub(crate) async fn push_folder(client: &Client, site: &str, folder: &Path, wait: bool) -> Result<Pushed, PushError> {
    push(client, site, &ChannelName::live(), None, folder, wait).await
}

/// Pushes files to a channel that is deleted this long after, and waits until the edges have confirmed the release.
pub(crate) async fn push_preview(
    client: &Client,
    site: &str,
    channel: &str,
    lifetime: Lifetime,
    files: &[(&str, &str)],
) -> Result<Pushed, PushError> {
    let folder = folder_of(files);
    push(client, site, &channel.parse().unwrap(), Some(lifetime), folder.path(), true).await
}

async fn push(
    client: &Client,
    site: &str,
    channel: &ChannelName,
    lifetime: Option<Lifetime>,
    dir: &Path,
    wait: bool,
) -> Result<Pushed, PushError> {
    let push = Push {
        client,
        site: &site.parse().unwrap(),
        channel,
        lifetime,
        dir,
        options: Options { force: true, ..Options::default() },
        provenance: Provenance::default(),
        wait: if wait { Wait::All } else { Wait::No },
        retry: RetryPolicy { max_attempts: 20, initial_pause: Duration::from_millis(5) },
    };
    push.run(&Output::new(std::io::sink(), std::io::sink(), OutputOptions::default())).await
}

fn folder_of(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}
