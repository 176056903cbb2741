//! Rows and manifests for the tests of channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_daemon::feed::{Change, MissingKeys, RowEvent, RowRecord};
use verge_daemon::saved_state::Loaded;
use verge_protocol::state::{ChannelState, Inherited, Row};
use verge_protocol::{Checkpoint, Generation, History, Json, Lifetime, Position, ReleaseNumber, Seq, Timestamp};

use super::Channels;
use crate::store::StateRecord;
use crate::table::{Channel, HostRoute, Resources};
use crate::test_support::{manifest, resources, traffic};

pub(super) const NOW: Timestamp = Timestamp(1_000);
pub(super) const LATER: Timestamp = Timestamp(2_000);

/// The manifest of a release: one file named after it.
pub(super) fn release(number: u64) -> Arc<Resources> {
    resources(manifest(&[&format!("v{number}.js")], "", Lifetime::Immutable))
}

/// A row that points the live channel of `site` at a release.
pub(super) fn row(site: &str, seq: u64, number: u64, inherits: &[u64]) -> Row {
    let inherited = |number: &u64| Inherited { manifest: release(*number).manifest(), until: LATER };
    let state = ChannelState {
        epoch: Seq(seq),
        release: ReleaseNumber(number),
        manifest: release(number).manifest(),
        inherits: inherits.iter().map(inherited).collect(),
    };
    let value = Json::of(&state).unwrap();
    Row { key: format!("channel/{site}/live"), seq: Seq(seq), value: Some(value) }
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
    let to_save = channels.to_save();
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

pub(super) fn add_manifest(channels: &mut Channels, number: u64) -> bool {
    channels.add_manifest(release(number));
    channels.advance(NOW)
}

/// The release that each site serves, and those it inherits from, identified by their files.
pub(super) fn served(channels: &Channels) -> BTreeMap<String, String> {
    let table = channels.build_table(|_| traffic());
    let show = |channel: &Arc<Channel>| {
        let number_of = |resources: &Arc<Resources>| {
            (1..10).find(|number| resources.get(&format!("v{number}.js")).is_some()).unwrap_or_default()
        };
        let inherited: Vec<u64> = channel.inherited(NOW).map(number_of).collect();
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
