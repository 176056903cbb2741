//! Ingesting rows of the feed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use verge_daemon::feed::{Change, Keep, RowEvent, RowHandler, RowStore, StoredRow};
use verge_protocol::host::HostLabel;
use verge_protocol::https::SiteHttps;
use verge_protocol::state::{Key, ParsedRow};
use verge_protocol::{ChannelName, SiteName};

use super::domains::VerifiedDomains;
use super::known_erasures::Erasures;
use super::known_purges::Purges;
use super::tracked_channel::{AcceptedRow, Rollout, TrackedChannel};
use super::{CatchUp, Channels};
use crate::challenges::Challenges;
use crate::release_hosts::Releases;
use crate::table::HttpsPolicy;
use crate::tls::FleetCertificates;

impl Channels {
    /// Ingests a change of the feed. Returns what an operator should know.
    pub(crate) fn apply(&mut self, change: Change) -> Vec<RowEvent> {
        // The first position makes the table complete: unknown hosts turn from 503 to 404.
        self.changed |= self.rows.position().is_none();
        self.unsaved = true;
        let (rows, mut ingest) = self.ingest();
        let changes = rows.apply(change, &mut ingest);
        self.end_earlier_rollouts();
        // The first change of a process brings all that the origin has.
        if self.catch_up == CatchUp::Begun {
            self.catch_up = CatchUp::Read(self.references().collect());
        }
        if std::mem::take(&mut self.is_new) {
            self.purges.set_all_done();
        }
        changes.events
    }

    /// The rows, and what they are ingested into.
    pub(super) fn ingest(&mut self) -> (&mut RowStore, Ingest<'_>) {
        let ingest = Ingest {
            tracked: &mut self.tracked,
            rollouts: &mut self.rollouts,
            domains: &mut self.domains,
            https: &mut self.https,
            releases: &self.releases,
            purges: &mut self.purges,
            erasures: &mut self.erasures,
            challenges: &self.challenges,
            certificates: &self.certificates,
            changed: &mut self.changed,
        };
        (&mut self.rows, ingest)
    }

    /// Drops the rollouts of an earlier history: the origin of the present one knows nothing of them, and would never end them.
    pub(super) fn end_earlier_rollouts(&mut self) {
        let generation = self.rows.position().map(|position| position.generation);
        let before = self.rollouts.len();
        self.rollouts.retain(|_, rollout| Some(rollout.stored.generation) == generation);
        self.changed |= self.rollouts.len() != before;
    }
}

/// What rows are ingested into.
pub(super) struct Ingest<'a> {
    pub(super) tracked: &'a mut BTreeMap<(SiteName, ChannelName), TrackedChannel>,
    pub(super) rollouts: &'a mut BTreeMap<(SiteName, ChannelName), Rollout>,
    pub(super) domains: &'a mut VerifiedDomains,
    pub(super) https: &'a mut BTreeMap<SiteName, HttpsPolicy>,
    pub(super) releases: &'a Releases,
    pub(super) purges: &'a mut Purges,
    pub(super) erasures: &'a mut Erasures,
    pub(super) challenges: &'a Challenges,
    pub(super) certificates: &'a FleetCertificates,
    pub(super) changed: &'a mut bool,
}

impl RowHandler for Ingest<'_> {
    fn handles(&self, key: &Key) -> bool {
        matches!(
            key,
            Key::Channel(..)
                | Key::Rollout(..)
                | Key::Release(..)
                | Key::Domain(_)
                | Key::Site(_)
                | Key::Purge(_)
                | Key::Erased(..)
                | Key::Challenge(_)
                | Key::Certificate(_)
                | Key::TicketSecret
        )
    }

    fn apply(&mut self, parsed: ParsedRow, row: &Arc<StoredRow>) -> Result<Keep, String> {
        match parsed {
            ParsedRow::Channel(HostLabel { site, channel }, None) => {
                *self.changed |= self.tracked.remove(&(site, channel)).is_some();
            }
            ParsedRow::Channel(HostLabel { site, channel }, Some(state)) => {
                let tracked = self.track(site, channel);
                let known = [&tracked.accepted, &tracked.served].into_iter().flatten();
                let comparable = known.filter(|known| known.stored.generation == row.generation);
                let newest = comparable.map(|known| known.state.epoch).max();
                if let Some(newest) = newest.filter(|newest| state.epoch < *newest) {
                    return Err(format!("epoch {} is older than the known epoch {newest}", state.epoch));
                }
                tracked.refused = None;
                tracked.accepted = Some(AcceptedRow { stored: Arc::clone(row), state });
                // While it lags, it inherits from the release that it is about to serve.
                *self.changed = true;
            }
            ParsedRow::Rollout(HostLabel { site, channel }, state) => {
                let rollout = state.map(|state| Rollout { stored: Arc::clone(row), state });
                match rollout {
                    Some(rollout) => self.rollouts.insert((site, channel), rollout),
                    None => self.rollouts.remove(&(site, channel)),
                };
                *self.changed = true;
            }
            ParsedRow::Domain(domain, state) => *self.changed |= self.domains.apply(domain, state),
            ParsedRow::Release(site, number, state) => {
                self.releases.apply(site, number, state.map(|state| state.manifest));
                // Saved in a file of their own.
                return Ok(Keep::Nothing);
            }
            ParsedRow::Purge(site, state) => {
                self.purges.apply(site, row.generation, state);
                *self.changed = true;
            }
            ParsedRow::Erased(site, content, state) => {
                self.erasures.apply(site, content, state);
            }
            ParsedRow::Challenge(domain, state) => self.challenges.apply(&domain, state),
            ParsedRow::Certificate(domain, state) => self.certificates.apply(domain, row.row.seq, state),
            ParsedRow::TicketSecret(state) => self.certificates.apply_ticket_secret(state),
            ParsedRow::Site(site, state) => {
                let https = state.map(|state| state.https).unwrap_or_default();
                if https == SiteHttps::default() {
                    *self.changed |= self.https.remove(&site).is_some();
                } else {
                    self.https.insert(site, HttpsPolicy::new(&https));
                    *self.changed = true;
                }
            }
            ParsedRow::Edge(..) | ParsedRow::Caa(..) => {}
        }
        Ok(Keep::Row)
    }

    fn own_keys(&self) -> Vec<String> {
        self.releases.keys()
    }

    fn refused(&mut self, key: Key, row: &StoredRow, reason: &str) {
        if let Key::Channel(site, channel) = key {
            self.track(site, channel).refused = Some((row.row.seq, reason.to_owned()));
        }
    }

    fn retain(&mut self, keys: &BTreeSet<&str>) {
        self.releases.retain(keys);
        *self.changed |= self.domains.retain_keys(keys);
        let before = self.https.len();
        self.https.retain(|site, _| keys.contains(&*format!("site/{site}")));
        *self.changed |= self.https.len() != before;
        self.challenges.retain_keys(keys);
        self.certificates.retain_keys(keys);
        self.purges.retain(|key| keys.contains(key));
        self.erasures.retain(|key| keys.contains(key));
        let before = (self.tracked.len(), self.rollouts.len());
        self.tracked.retain(|(site, channel), _| keys.contains(&*format!("channel/{site}/{channel}")));
        self.rollouts.retain(|(site, channel), _| keys.contains(&*format!("rollout/{site}/{channel}")));
        *self.changed |= (self.tracked.len(), self.rollouts.len()) != before;
    }
}

impl Ingest<'_> {
    /// The channel, tracked from now on. A new one changes the table: it is pending.
    fn track(&mut self, site: SiteName, channel: ChannelName) -> &mut TrackedChannel {
        self.tracked.entry((site, channel)).or_insert_with(|| {
            *self.changed = true;
            TrackedChannel::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use verge_protocol::state::Row;
    use verge_protocol::{Json, Seq};

    use super::super::test_support::{
        NOW, add_release, apply_rows, at, lagging, restart, row, saved_rows, served, serves, set_holding, snapshot,
        tombstone,
    };
    use super::*;

    #[test]
    fn row_with_a_lower_epoch_is_refused_within_its_generation() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 5, 2, &[])]);
        add_release(&mut channels, 1);
        add_release(&mut channels, 2);
        let mut older = row("a", 4, 1, &[]);
        older.seq = Seq(6);
        assert!(matches!(&apply_rows(&mut channels, vec![older.clone()])[..], [RowEvent::Refused { .. }]));
        assert_eq!(serves(&channels, "a"), "2 []");
        assert_eq!(lagging(&channels), [("a".into(), 6, "epoch 4 is older than the known epoch 5".into())]);
        let restored = restart(&channels);
        assert_eq!(lagging(&restored)[0].1, 6);
        channels.apply(snapshot(at(2, 6), vec![older]));
        set_holding(&mut channels, 1, true);
        assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("1 [2]".into(), 0));
    }

    #[test]
    fn snapshot_removes_keys_that_it_does_not_contain() {
        let mut channels = Channels::default();
        let future = Row { key: "future/key".into(), seq: Seq(3), value: Some(json!(1).into()) };
        let events = apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 1, &[]), future.clone()]);
        assert_eq!(events, [RowEvent::UnknownKey("future/key".into())]);
        assert_eq!(apply_rows(&mut channels, vec![future]), []);
        add_release(&mut channels, 1);
        assert_eq!(channels.applied_state().unknown, 1);
        channels.apply(snapshot(at(2, 1), vec![row("b", 2, 1, &[])]));
        assert!(channels.advance(NOW));
        assert_eq!(served(&channels).into_keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(channels.applied_state().unknown, 0);
        apply_rows(&mut channels, vec![tombstone("b", 3)]);
        assert!(served(&channels).is_empty());
    }

    #[test]
    fn rows_of_edges_and_sites_are_kept_without_an_event() {
        let mut channels = Channels::default();
        let other =
            |key: &str, seq, value: Option<Value>| Row { key: key.into(), seq: Seq(seq), value: value.map(Json::from) };
        let kept_rows = vec![
            other("edge/fra-1", 1, Some(json!({ "port": 80 }))),
            other("edge/fra-2", 2, Some("from the future".into())),
            other("site/a", 3, Some(json!({}))),
            other("site/b", 4, Some(json!({ "regions": ["eu"] }))),
        ];
        assert_eq!(apply_rows(&mut channels, kept_rows.clone()), []);
        let applied = channels.applied_state();
        assert_eq!((applied.position, applied.unknown, applied.lagging), (Some(at(1, 4).position), 0, vec![]));
        let mut restored = restart(&channels);
        let kept = |channels: &Channels| saved_rows(channels).0;
        assert_eq!(kept(&restored), kept_rows);
        assert_eq!(apply_rows(&mut restored, vec![other("edge/fra-2", 5, None), other("site/b", 6, None)]), []);
        assert_eq!(kept(&restored), [kept_rows[0].clone(), kept_rows[2].clone()]);
        restored.apply(snapshot(at(2, 1), vec![]));
        assert_eq!((kept(&restored), restored.applied_state().position), (vec![], Some(at(2, 1).position)));
    }

    #[test]
    fn channel_with_an_invalid_row_keeps_serving_and_lags() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[])]);
        add_release(&mut channels, 1);
        let odd = Row { key: "channel/a/live".into(), seq: Seq(2), value: Some(json!("odd").into()) };
        assert!(matches!(&apply_rows(&mut channels, vec![odd])[..], [RowEvent::Refused { .. }]));
        assert_eq!((serves(&channels, "a"), lagging(&channels)[0].1), ("1 []".into(), 2));
        let mut restored = restart(&channels);
        add_release(&mut restored, 1);
        assert_eq!((serves(&restored, "a"), lagging(&restored)[0].1), ("1 []".into(), 2));
    }
}
