//! Canaries: this edge may be one of the few that serve a release before its channel points at it.
//!
//! Nothing of it is saved: after a restart the edge follows the rollout's row again.

use std::collections::BTreeMap;

use verge_protocol::host::HostLabel;
use verge_protocol::state::RolloutState;
use verge_protocol::{ChannelName, Digest, EdgeName, SiteName};

use super::Channels;
use super::tracked_channel::TrackedChannel;
use crate::follow::holding::Holding;
use crate::metrics::CanaryCounters;
use crate::status::MeasuredRelease;

impl Channels {
    /// Sets the name of this edge.
    pub(in crate::follow) fn set_name(&mut self, name: EdgeName) {
        self.name = Some(name);
    }

    /// The rollout whose release this edge serves as a canary edge, in place of what the channel points at.
    pub(super) fn canary_of(&self, key: &(SiteName, ChannelName)) -> Option<&RolloutState> {
        let state = &self.rollouts.get(key)?.state;
        let is_chosen = self
            .name
            .as_ref()
            .is_some_and(|name| state.canary.as_ref().is_some_and(|canary| canary.edges.contains(name)));
        let is_held = self.manifests.contains_key(&state.manifest)
            && self.holdings.get(&state.manifest).is_some_and(Holding::is_complete);
        Some(state).filter(|_| is_chosen && is_held)
    }

    /// The manifest of the release that readers get.
    pub(super) fn shown(&self, key: &(SiteName, ChannelName), tracked: &TrackedChannel) -> Option<Digest> {
        let served = self.serving(tracked)?.0.manifest;
        Some(self.canary_of(key).map_or(served, |rollout| rollout.manifest))
    }

    /// Begins and ends the counting of responses, by what the rows say now. Returns whether anything changed.
    pub(super) fn update_canaries(&mut self) -> bool {
        let mut canaries = BTreeMap::new();
        let mut changed = false;
        for (key, rollout) in &self.rollouts {
            let has_begun = rollout.state.canary.as_ref().is_some_and(|canary| !canary.edges.is_empty());
            let shown = self.tracked.get(key).filter(|_| has_begun).and_then(|tracked| self.shown(key, tracked));
            let Some(manifest) = shown else { continue };
            let counting = self.canaries.get(key).filter(|(counted, _)| *counted == manifest);
            changed |= counting.is_none();
            canaries
                .insert(key.clone(), (manifest, counting.map(|(_, counters)| counters.clone()).unwrap_or_default()));
        }
        changed |= canaries.len() != self.canaries.len();
        self.canaries = canaries;
        changed
    }

    /// The counters of a channel, if one of its releases has a canary.
    pub(super) fn canary_counters(&self, key: &(SiteName, ChannelName)) -> Option<&CanaryCounters> {
        self.canaries.get(key).map(|(_, counters)| counters)
    }

    /// All canaries.
    pub(super) fn canaries(&self) -> Vec<MeasuredRelease> {
        let measured =
            |(key, (manifest, counters)): (&(SiteName, ChannelName), &(Digest, CanaryCounters))| MeasuredRelease {
                label: HostLabel { site: key.0.clone(), channel: key.1.clone() },
                manifest: *manifest,
                counters: counters.clone(),
            };
        self.canaries.iter().map(measured).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use verge_protocol::canary::{Canary, CanaryPlan};
    use verge_protocol::state::Row;

    use super::super::test_support::{
        add_release, apply_rows, release, restart, rollout, rollout_tombstone, row, serves, set_holding,
    };
    use super::*;

    /// The row of the rollout of a release with these canary edges.
    fn canary(site: &str, seq: u64, number: u64, edges: &[&str]) -> Row {
        let mut row = rollout(site, seq, number);
        let mut state: RolloutState = row.value.as_ref().unwrap().read().unwrap();
        let plan = CanaryPlan { edges: "1".parse().unwrap(), seconds: 60 };
        state.canary = Some(Canary { plan, edges: edges.iter().map(|edge| edge.parse().unwrap()).collect() });
        row.value = Some(serde_json::to_value(state).unwrap().into());
        row
    }

    fn edge(name: &str) -> Channels {
        let mut channels = Channels { name: Some(name.parse().unwrap()), ..Channels::default() };
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), rollout("a", 2, 2)]);
        add_release(&mut channels, 1);
        add_release(&mut channels, 2);
        channels
    }

    #[test]
    fn canary_is_served_by_its_edges_until_it_ends_and_inherits_the_release_before() {
        let (mut chosen, mut other) = (edge("x"), edge("y"));
        for channels in [&mut chosen, &mut other] {
            assert_eq!((serves(channels, "a"), channels.canaries().len()), ("1 [2]".into(), 0));
            apply_rows(channels, vec![canary("a", 3, 2, &["x"])]);
        }
        assert_eq!((serves(&chosen, "a"), serves(&other, "a")), ("2 [1]".into(), "1 [2]".into()));
        let shown = |channels: &Channels| channels.canaries()[0].manifest;
        assert_eq!((shown(&chosen), shown(&other)), (release(2).manifest(), release(1).manifest()));
        assert!(chosen.applied_state().lagging.is_empty());

        let mut again = restart(&chosen);
        again.name = chosen.name.clone();
        add_release(&mut again, 1);
        assert_eq!(serves(&again, "a"), "1 []", "until it is known to be on disk");
        add_release(&mut again, 2);
        set_holding(&mut again, 2, true);
        assert_eq!(serves(&again, "a"), "2 [1]");

        apply_rows(&mut chosen, vec![rollout_tombstone("a", 4)]);
        assert_eq!((serves(&chosen, "a"), chosen.canaries().len()), ("1 []".into(), 0));
        apply_rows(&mut again, vec![row("a", 4, 2, &[1]), rollout_tombstone("a", 5)]);
        assert_eq!((serves(&again, "a"), again.canaries().len()), ("2 [1]".into(), 0));
    }

    #[test]
    fn counting_begins_with_the_canary_and_goes_on_over_later_changes() {
        let mut channels = edge("y");
        apply_rows(&mut channels, vec![canary("a", 3, 2, &["x"])]);
        let key = ("a".parse().unwrap(), "live".parse().unwrap());
        channels.canary_counters(&key).unwrap().count_response(StatusCode::NOT_FOUND);
        apply_rows(&mut channels, vec![row("b", 4, 1, &[])]);
        let counts = channels.canaries()[0].counters.counts();
        assert_eq!((counts.responses, counts.not_found, counts.server_errors), (1, 1, 0));
    }
}
