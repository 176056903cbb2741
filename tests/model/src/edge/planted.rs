//! What an edge makes of the feed with a planted bug.

use verge_daemon::feed::Change;
use verge_protocol::host::HostLabel;
use verge_protocol::state::{ChannelState, Key, ParsedRow, RolloutState, Row};
use verge_protocol::{EdgeName, Json};

use crate::plant::Plant;
use crate::world::World;

/// What an edge makes of a change, with a planted bug.
pub(super) fn change(world: &World, edge: &EdgeName, change: &mut Change) {
    let (Change::Snapshot { rows, .. } | Change::Rows(_, rows)) = change;
    match world.plant {
        Some(Plant::EdgeServesWhatIsComing) => rows.iter_mut().for_each(serve_rollout),
        Some(Plant::EdgeJoinsEveryCanary) => rows.iter_mut().for_each(|row| join_canary(row, edge)),
        Some(Plant::EdgeIgnoresErasures) => rows.retain(|row| !row.key.starts_with("erased/")),
        Some(Plant::EdgeIgnoresEndsOfCanaries) => {
            rows.retain(|row| row.value.is_some() || !row.key.starts_with("rollout/"));
        }
        Some(Plant::EdgeIgnoresDeletions) => {
            rows.retain(|row| row.value.is_some() || !row.key.starts_with("channel/"));
        }
        _ => {}
    }
}

/// The channel and the value of the row of a rollout.
fn rollout(row: &Row) -> Option<(HostLabel, RolloutState)> {
    match row.parse() {
        Ok(ParsedRow::Rollout(label, state)) => Some((label, state?)),
        _ => None,
    }
}

/// Makes the row of a channel of the row of a rollout.
fn serve_rollout(row: &mut Row) {
    let Some((HostLabel { site, channel }, state)) = rollout(row) else { return };
    let (epoch, inherits) = (row.seq, Vec::new());
    let state = ChannelState { epoch, release: state.release, manifest: state.manifest, inherits };
    let value = Json::of(&state).expect("plain data serializes");
    *row = Row { key: Key::Channel(site, channel).to_string(), seq: row.seq, value: Some(value) };
}

/// Adds an edge to the canary edges of a rollout, if there are any.
fn join_canary(row: &mut Row, edge: &EdgeName) {
    let Some((_, mut state)) = rollout(row) else { return };
    if let Some(canary) = state.canary.as_mut().filter(|canary| !canary.edges.is_empty()) {
        canary.edges.insert(edge.clone());
        row.value = Some(Json::of(&state).expect("plain data serializes"));
    }
}
