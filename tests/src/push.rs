//! Pushes, as `verge push --force` makes them.

use std::path::Path;
use std::time::Duration;

use verge::Output;
use verge::client::Client;
use verge::output::OutputOptions;
use verge::push::{Push, PushError, Pushed};
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
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    push_folder(client, site, folder.path(), wait).await
}

/// Pushes a folder to the live channel of a site. If `wait`, until the edges have confirmed the release.
pub(crate) async fn push_folder(client: &Client, site: &str, folder: &Path, wait: bool) -> Result<Pushed, PushError> {
    let push = Push {
        lifetime: None,
        client,
        site: &site.parse().unwrap(),
        channel: &ChannelName::live(),
        dir: folder,
        options: Options { force: true, ..Options::default() },
        provenance: Provenance::default(),
        wait,
        retry: RetryPolicy { max_attempts: 20, initial_pause: Duration::from_millis(5) },
    };
    push.run(&Output::new(std::io::sink(), std::io::sink(), OutputOptions::default())).await
}
