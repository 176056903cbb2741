//! The summary of a push, as text and as JSON.

use serde::Serialize;
use verge_protocol::{ChannelName, Digest, ReleaseNumber, Seq, SiteName, Timestamp};

use crate::command::render::{edges, link, row};
use crate::output::{Output, human};
use crate::push::{Push, Pushed};
use crate::rollout::{Confirmations, EdgeCheck};

/// `verge push --json`. Stable: fields are added, never renamed.
#[derive(Serialize)]
struct Line<'a> {
    site: &'a SiteName,
    channel: &'a ChannelName,
    release: ReleaseNumber,
    manifest: Digest,
    epoch: Seq,
    url: &'a str,
    /// When the channel is deleted, unless it is moved before.
    expires: Option<Timestamp>,
    files: u64,
    added: u64,
    changed: u64,
    removed: u64,
    unchanged: u64,
    bytes: u64,
    sent_bytes: u64,
    saved_bytes: u64,
    seconds: f64,
    edges: &'a Confirmations,
    /// Whether there is a new release: the channel did not serve exactly this build before.
    new_release: bool,
    checked: &'a [EdgeCheck],
    /// The release that another push or rollback has since moved the channel to, or is about to.
    replaced_by: Option<ReleaseNumber>,
    warnings: &'a [String],
}

/// The summary as one line of JSON.
pub(super) fn json(push: &Push<'_>, pushed: &Pushed) -> String {
    let released = &pushed.rollout.released;
    let line = Line {
        site: push.site,
        channel: push.channel,
        release: released.release,
        manifest: released.manifest,
        epoch: released.epoch,
        url: &released.url,
        expires: pushed.expires,
        files: pushed.files,
        added: pushed.changes.added,
        changed: pushed.changes.changed,
        removed: pushed.changes.removed,
        unchanged: pushed.changes.unchanged,
        bytes: pushed.bytes,
        sent_bytes: pushed.sent_bytes,
        saved_bytes: pushed.saved_bytes,
        seconds: (pushed.duration.as_secs_f64() * 1000.0).round() / 1000.0,
        edges: &pushed.rollout.confirmations,
        new_release: pushed.is_new,
        checked: &pushed.rollout.checked,
        replaced_by: pushed.rollout.replaced_by,
        warnings: &pushed.warnings,
    };
    serde_json::to_string(&line).expect("the summary can be serialized")
}

/// The summary as text.
pub(super) fn text(push: &Push<'_>, pushed: &Pushed, now: Timestamp, output: &Output) -> String {
    let style = &output.results_style();
    let released = &pushed.rollout.released;
    let name = style.clone().bold().apply_to(format!("{} {}", push.site, released.release));
    let state = match (pushed.is_new, push.channel.is_live()) {
        (false, _) => "has exactly these files: nothing to release".to_owned(),
        (true, true) => "is live".to_owned(),
        (true, false) => format!("is on {}", push.channel),
    };
    let mut lines = vec![format!("{name} {state}\n"), row("files", &files(pushed), style)];
    if pushed.is_new || pushed.sent_bytes > 0 {
        lines.push(row("sent", &sent(pushed), style));
    }
    lines.push(row("time", &human::duration(pushed.duration), style));
    if pushed.rollout.edges_are_known {
        lines.push(row("edges", &edges(&pushed.rollout, output), style));
    }
    if let Some(at) = pushed.expires {
        lines.push(row("ends", &human::until(now.age(at)), style));
    }
    lines.push(row("url", &link(&released.url, style), style));
    lines.join("\n")
}

fn files(pushed: &Pushed) -> String {
    let changes = pushed.changes;
    let differences: Vec<String> = [(changes.added, "new"), (changes.changed, "changed"), (changes.removed, "removed")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, kind)| format!("{} {kind}", human::number(number)))
        .collect();
    let differences = if differences.is_empty() { "no changes".to_owned() } else { differences.join(", ") };
    format!("{} ({}): {differences}", human::number(pushed.files), human::bytes(pushed.bytes))
}

fn sent(pushed: &Pushed) -> String {
    match (pushed.sent_bytes, pushed.saved_bytes) {
        (0, _) => "nothing, the origin already had all files".to_owned(),
        (sent, 0) => human::bytes(sent),
        (sent, saved) => format!("{}, {} already stored", human::bytes(sent), human::bytes(saved)),
    }
}
