//! Pushes, as `verge push --force` makes them unless said otherwise.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
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
use verge_protocol::canary::CanaryPlan;

/// What is asked of a push, beside its files.
struct Request {
    channel: ChannelName,
    lifetime: Option<Lifetime>,
    canary: Option<CanaryPlan>,
    wait: Wait,
    force: bool,
}

impl Request {
    /// A push to the live channel.
    fn live(wait: Wait) -> Self {
        Self { channel: ChannelName::live(), lifetime: None, canary: None, wait, force: true }
    }
}

/// Pushes files, given as path and text, to the live channel of a site. If `wait`, until the edges have confirmed the release.
pub(crate) async fn push_files(
    client: &Client,
    site: &str,
    files: &[(&str, &str)],
    wait: bool,
) -> Result<Pushed, PushError> {
    push_folder(client, site, write_files(files).path(), wait).await
}

/// Like [`push_files`], but makes no release of what is live already, as `verge push` without `--force`.
pub(crate) async fn push_changed_files(
    client: &Client,
    site: &str,
    files: &[(&str, &str)],
) -> Result<Pushed, PushError> {
    let request = Request { force: false, ..Request::live(Wait::All) };
    push_with(client, site, write_files(files).path(), request).await
}

/// Pushes a site of one page, and waits until the edges have confirmed the release.
pub async fn push_site(client: &Client, site: &str, text: &str) -> Pushed {
    push_files(client, site, &[("index.html", text)], true).await.unwrap()
}

/// Like [`push_files`], with a canary first.
pub(crate) async fn push_with_canary(
    client: &Client,
    site: &str,
    files: &[(&str, &str)],
    canary: CanaryPlan,
) -> Result<Pushed, PushError> {
    let request = Request { canary: Some(canary), ..Request::live(Wait::All) };
    push_with(client, site, write_files(files).path(), request).await
}

/// Pushes files to a channel that is deleted this long after, and waits until the edges have confirmed the release.
pub(crate) async fn push_preview(
    client: &Client,
    site: &str,
    channel: &str,
    lifetime: Lifetime,
    files: &[(&str, &str)],
) -> Result<Pushed, PushError> {
    let channel = channel.parse().unwrap();
    let request = Request { channel, lifetime: Some(lifetime), ..Request::live(Wait::All) };
    push_with(client, site, write_files(files).path(), request).await
}

fn write_files(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// Pushes a folder to the live channel of a site. If `wait`, until the edges have confirmed the release.
pub(crate) async fn push_folder(client: &Client, site: &str, folder: &Path, wait: bool) -> Result<Pushed, PushError> {
    push_with(client, site, folder, Request::live(if wait { Wait::All } else { Wait::No })).await
}

async fn push_with(client: &Client, site: &str, dir: &Path, request: Request) -> Result<Pushed, PushError> {
    let Request { channel, lifetime, canary, wait, force } = request;
    let push = Push {
        client,
        site: &site.parse().unwrap(),
        channel: &channel,
        lifetime,
        dir,
        options: Options { force, ..Options::default() },
        provenance: Provenance::default(),
        canary,
        wait,
        retry: RetryPolicy { max_attempts: 20, initial_pause: Duration::from_millis(5) },
    };
    push.run(&Output::new(std::io::sink(), std::io::sink(), OutputOptions::default())).await
}
