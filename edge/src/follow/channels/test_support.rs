//! Channels told and held, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_daemon::feed::Change;
use verge_protocol::state::{ChannelState, Inherited, Row};
use verge_protocol::{Generation, Json, Lifetime, Position, ReleaseNumber, Seq, Timestamp};

use super::{Channels, Notice};
use crate::table::{Channel, Place, Resources};
use crate::test_support::{manifest, resources, traffic};

pub(super) const NOW: Timestamp = Timestamp(1_000);
pub(super) const LATER: Timestamp = Timestamp(2_000);

/// The manifest of a release: one file that is named after it.
pub(super) fn release(number: u64) -> Arc<Resources> {
    resources(manifest(&[&format!("v{number}.js")], "", Lifetime::Immutable))
}

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

pub(super) fn gone(site: &str, seq: u64) -> Row {
    Row { key: format!("channel/{site}/live"), seq: Seq(seq), value: None }
}

pub(super) fn at(generation: u64, seq: u64) -> Position {
    Position { generation: Generation(generation), seq: Seq(seq) }
}

pub(super) fn rows(channels: &mut Channels, rows: Vec<Row>) -> Vec<Notice> {
    let seq = rows.iter().map(|row| row.seq.0).max().unwrap_or_default();
    let notices = channels.apply(Change::Rows(at(1, seq), rows));
    channels.settle();
    notices
}

pub(super) fn hold(channels: &mut Channels, number: u64) -> bool {
    channels.hold(release(number));
    channels.settle()
}

/// What each site serves: its release, and what it inherits, by the files found.
pub(super) fn served(channels: &Channels) -> BTreeMap<String, String> {
    let table = channels.table(|_| traffic());
    let show = |channel: &Arc<Channel>| {
        let found = |resources: &Arc<Resources>| {
            (1..10).find(|number| resources.get(&format!("v{number}.js")).is_some()).unwrap_or_default()
        };
        let inherited: Vec<u64> = channel.inherited(NOW).map(found).collect();
        (channel.label().to_string(), format!("{} {inherited:?}", found(channel.own())))
    };
    table.channels().map(show).collect()
}

pub(super) fn serves(channels: &Channels, site: &str) -> String {
    served(channels).remove(site).unwrap_or_default()
}

pub(super) fn lagging(channels: &Channels) -> Vec<(String, u64, String)> {
    let lags = channels.applied().lagging.into_iter();
    lags.map(|lag| (lag.site.to_string(), lag.seq.0, lag.reason)).collect()
}

/// What is at a label.
pub(super) fn place(channels: &Channels, label: &str) -> &'static str {
    match channels.table(|_| traffic()).label(label) {
        Place::Served(_) => "served",
        Place::Coming(Some(_)) => "coming",
        Place::Coming(None) => "unknown",
        Place::Moved(_) => "moved",
        Place::Empty => "empty",
    }
}
