//! Rows and manifests for the tests of channels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use verge_daemon::feed::{Change, MissingKeys, RowEvent, RowRecord};
use verge_daemon::saved_state::Loaded;
use verge_protocol::state::{ChannelState, Inherited, RolloutState, Row};
use verge_protocol::{Checkpoint, Generation, History, Json, Lifetime, Position, ReleaseNumber, Seq, Timestamp};

use super::Channels;
use crate::follow::holding::Holding;
use crate::store::StateRecord;
use crate::table::{Channel, HostRoute, Priority, Resources};
use crate::test_support::{manifest, resources, traffic};

/// The time since the start of the process.
pub(super) const NOW: Duration = Duration::from_secs(1);

/// The manifest of a release: one file named after it.
pub(super) fn release(number: u64) -> Arc<Resources> {
    static RELEASES: LazyLock<Vec<Arc<Resources>>> = LazyLock::new(|| {
        let release = |number| resources(manifest(&[&format!("v{number}.js")], "", Lifetime::Immutable));
        (0..10).map(release).collect()
    });
    Arc::clone(&RELEASES[usize::try_from(number).unwrap()])
}

/// A row that points the live channel of `site` at a release.
pub(super) fn row(site: &str, seq: u64, number: u64, inherits: &[u64]) -> Row {
    let inherited = |number: &u64| Inherited::new(release(*number).manifest(), Timestamp(1));
    let state = ChannelState {
        epoch: Seq(seq),
        release: ReleaseNumber(number),
        manifest: release(number).manifest(),
        inherits: inherits.iter().map(inherited).collect(),
    };
    let value = Json::of(&state).unwrap();
    Row { key: format!("channel/{site}/live"), seq: Seq(seq), value: Some(value) }
}

/// A row of a rollout of a release to the live channel of `site`.
pub(super) fn rollout(site: &str, seq: u64, number: u64) -> Row {
    let release_number = ReleaseNumber(number);
    let manifest = release(number).manifest();
    let state = RolloutState {
        release: release_number,
        manifest,
        expected: None,
        idempotency_key: None,
        started: Timestamp(0),
        canary: None,
        author: None,
    };
    Row { key: format!("rollout/{site}/live"), seq: Seq(seq), value: Some(Json::of(&state).unwrap()) }
}

/// The row of a rollout that has ended.
pub(super) fn rollout_tombstone(site: &str, seq: u64) -> Row {
    Row { key: format!("rollout/{site}/live"), seq: Seq(seq), value: None }
}

/// The row of a removed channel.
pub(super) fn tombstone(site: &str, seq: u64) -> Row {
    Row { key: format!("channel/{site}/live"), seq: Seq(seq), value: None }
}

pub(super) fn at(generation: u64, seq: u64) -> Checkpoint {
    let position = Position { generation: Generation(generation), seq: Seq(seq) };
    Checkpoint { position, history: History::default() }
}

/// A snapshot of the same history.
pub(super) fn snapshot(at: Checkpoint, rows: Vec<Row>) -> Change {
    Change::Snapshot { at, rows, missing: MissingKeys::Deleted }
}

pub(super) fn apply_rows(channels: &mut Channels, rows: Vec<Row>) -> Vec<RowEvent> {
    let seq = rows.iter().map(|row| row.seq.0).max().unwrap_or_default();
    apply_rows_at(channels, at(1, seq), rows)
}

pub(super) fn apply_rows_at(channels: &mut Channels, at: Checkpoint, rows: Vec<Row>) -> Vec<RowEvent> {
    let events = channels.apply(Change::Rows(at, rows));
    channels.advance(NOW);
    events
}

/// The channels of the next process, through the state file.
pub(super) fn restart(channels: &Channels) -> Channels {
    Channels::restore(saved(channels)).0
}

/// What the next process reads.
pub(super) fn saved(channels: &Channels) -> Loaded<StateRecord> {
    let to_save = channels.to_save(NOW);
    let json = serde_json::to_string(&to_save.records().collect::<Vec<_>>()).unwrap();
    Loaded { records: serde_json::from_str(&json).unwrap(), is_complete: true }
}

/// The rows that are saved, and those saved as refused.
pub(super) fn saved_rows(channels: &Channels) -> (Vec<Row>, Vec<Row>) {
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    for record in saved(channels).records {
        match record {
            StateRecord::Feed(RowRecord::Row(stored)) => rows.push(stored.row),
            StateRecord::Feed(RowRecord::Refused(stored)) => refused.push(stored.row),
            _ => {}
        }
    }
    (rows, refused)
}

/// A manifest arrives; the blobs are missing.
pub(super) fn add_manifest(channels: &mut Channels, number: u64) -> bool {
    channels.add_manifest(release(number));
    channels.advance(NOW)
}

/// The only blob of a release is on disk, or missing, if that matters: as the apply task sets it.
pub(super) fn set_holding(channels: &mut Channels, number: u64, is_complete: bool) -> bool {
    look_up(channels, number, is_complete);
    channels.advance(NOW)
}

/// [`set_holding`] of a release whose blob is missing because the origin does not have it.
pub(super) fn set_absent(channels: &mut Channels, number: u64) -> bool {
    set(channels, number, |bytes| Holding { is_absent_at_origin: true, ..missing(bytes) });
    channels.advance(NOW)
}

/// [`set_holding`] before the channels advance.
pub(super) fn look_up(channels: &mut Channels, number: u64, is_complete: bool) {
    let held = |bytes| Holding { missing_files: 0, missing_bytes: 0, ..missing(bytes) };
    set(channels, number, |bytes| if is_complete { held(bytes) } else { missing(bytes) });
}

fn set(channels: &mut Channels, number: u64, holding: impl FnOnce(u64) -> Holding) {
    let release = release(number);
    if !channels.awaited_releases().iter().any(|awaited| awaited.manifest() == release.manifest()) {
        return;
    }
    channels.set_holding(release.manifest(), holding(release.blobs().bytes()));
}

/// The holding of a release of one blob of so many bytes, which is missing.
fn missing(bytes: u64) -> Holding {
    Holding {
        files: 1,
        bytes,
        missing_files: 1,
        missing_bytes: bytes,
        left_out_files: 0,
        left_out_bytes: 0,
        has_manifest: true,
        is_absent_at_origin: false,
        problem: None,
    }
}

/// A release arrives as a whole.
pub(super) fn add_release(channels: &mut Channels, number: u64) -> bool {
    let changed = add_manifest(channels, number);
    changed | set_holding(channels, number, true)
}

/// The releases whose blobs are kept on disk, and their priorities.
pub(super) fn wanted(channels: &Channels) -> BTreeSet<(Priority, u64)> {
    let blobs = channels.wanted().blobs();
    let numbers = (1..10).map(|number| (blobs.priority(&release(number).blobs().as_slice()[0].digest), number));
    numbers.filter(|(priority, _)| *priority != Priority::Unreferenced).collect()
}

/// How many bytes of its release each rollout has, of how many, and whether it is prepared.
pub(super) fn preparations(channels: &Channels) -> Vec<(String, u64, u64, bool)> {
    let all = channels.applied_state().preparations.into_iter();
    all.map(|one| (one.site.to_string(), one.done, one.total, one.prepared)).collect()
}

/// The release that each site serves, and those it inherits from, identified by their files.
pub(super) fn served(channels: &Channels) -> BTreeMap<String, String> {
    let table = channels.build_table(|_| traffic());
    let show = |channel: &Arc<Channel>| {
        let number_of = |resources: &Arc<Resources>| {
            (1..10).find(|number| resources.get(&format!("v{number}.js")).is_some()).unwrap_or_default()
        };
        let inherited: Vec<u64> = channel.inherited_releases().map(number_of).collect();
        (channel.label().to_string(), format!("{} {inherited:?}", number_of(channel.own())))
    };
    table.channels().map(show).collect()
}

pub(super) fn serves(channels: &Channels, site: &str) -> String {
    served(channels).remove(site).unwrap_or_default()
}

pub(super) fn lagging(channels: &Channels) -> Vec<(String, u64, String)> {
    let lags = channels.applied_state().lagging.into_iter();
    lags.map(|lag| (lag.site.to_string(), lag.seq.0, lag.reason)).collect()
}

/// The kind of entry that a label has in the table.
pub(super) fn entry(channels: &Channels, label: &str) -> &'static str {
    match channels.build_table(|_| traffic()).label(label) {
        HostRoute::Served(_) => "served",
        HostRoute::Pending(Some(_)) => "pending",
        HostRoute::Pending(None) => "unknown",
        HostRoute::Redirect(_) => "redirect",
        HostRoute::NotFound => "not found",
    }
}
