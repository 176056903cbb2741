//! What was told, what is held, and so what is served.
//!
//! A channel follows its last row as soon as the manifest of that row is held; until then it lags and serves what it did.
//! No channel waits for another. The end is the same whatever the order in which manifests come.

mod domains;
mod ingest;
mod saved_state;

#[cfg(test)]
mod convergence_tests;
#[cfg(test)]
mod test_support;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use verge_protocol::host::HostLabel;
use verge_protocol::report::Lag;
use verge_protocol::state::{ChannelState, Row};
use verge_protocol::{ChannelName, Digest, Position, SiteName, Timestamp};

use self::domains::Domains;
use self::ingest::Followed;
use crate::metrics::Traffic;
use crate::status::Applied;
use crate::table::{Channel, Moved, Resources, Table};

pub(super) use self::ingest::Notice;

/// Every channel that was told of, and every domain.
#[derive(Default)]
pub(super) struct Channels {
    position: Option<Position>,
    followed: BTreeMap<(SiteName, ChannelName), Followed>,
    domains: Domains,
    /// Rows that this version cannot read.
    unknown: BTreeMap<String, Row>,
    /// Rows that are no edge's concern: kept, for a version that makes something of them.
    others: BTreeMap<String, Row>,
    manifests: HashMap<Digest, Arc<Resources>>,
    failures: HashMap<Digest, String>,
    /// Whether a table made now would differ from the one made last.
    changed: bool,
}

impl Channels {
    /// A manifest is here.
    pub(super) fn hold(&mut self, resources: Arc<Resources>) {
        let id = resources.manifest();
        self.failures.remove(&id);
        self.manifests.insert(id, resources);
        let mut served = self.followed.values().filter_map(|followed| followed.served.as_ref());
        self.changed |= served.any(|told| told.state.manifests().any(|manifest| manifest == id));
    }

    /// A manifest could not be had this time.
    pub(super) fn fail(&mut self, id: Digest, reason: String) {
        self.failures.insert(id, reason);
    }

    /// Manifests that are needed and not held, the more urgent first: what channels point at, then what they inherit.
    pub(super) fn wanted(&self, now: Timestamp) -> Vec<Digest> {
        let mut seen = BTreeSet::new();
        let own = self.states().map(|state| state.manifest);
        let inherited = self.states().flat_map(|state| &state.inherits).filter(|inherited| now < inherited.until);
        own.chain(inherited.map(|inherited| inherited.manifest))
            .filter(|id| !self.manifests.contains_key(id) && seen.insert(*id))
            .collect()
    }

    fn states(&self) -> impl Iterator<Item = &ChannelState> {
        self.followed.values().flat_map(|followed| [&followed.told, &followed.served]).flatten().map(|told| &told.state)
    }

    /// Moves every channel on whose manifest is held. Returns whether a table made now would differ from the last.
    pub(super) fn settle(&mut self) -> bool {
        for followed in self.followed.values_mut() {
            let ready = followed.told.as_ref().is_some_and(|told| self.manifests.contains_key(&told.state.manifest));
            if ready && followed.served != followed.told {
                followed.served.clone_from(&followed.told);
                self.changed = true;
            }
        }
        std::mem::take(&mut self.changed)
    }

    /// Every manifest that something told or served names at `now`, held or not.
    pub(super) fn needed(&self, now: Timestamp) -> HashSet<Digest> {
        let inherited = self.states().flat_map(|state| &state.inherits).filter(|inherited| now < inherited.until);
        self.states().map(|state| state.manifest).chain(inherited.map(|inherited| inherited.manifest)).collect()
    }

    /// Forgets manifests that are no longer needed.
    pub(super) fn prune(&mut self, now: Timestamp) {
        let needed = self.needed(now);
        let before = self.manifests.len();
        self.manifests.retain(|id, _| needed.contains(id));
        self.failures.retain(|id, _| needed.contains(id));
        self.changed |= self.manifests.len() != before;
    }

    /// What is served. `traffic` tells where a site's requests are counted.
    pub(super) fn table(&self, traffic: impl Fn(&SiteName) -> Arc<Traffic>) -> Table {
        let mut coming = Vec::new();
        let mut served = Vec::new();
        for ((site, channel), followed) in &self.followed {
            let label = HostLabel { site: site.clone(), channel: channel.clone() };
            let Some((state, own)) = self.answering(followed) else {
                coming.push((label, traffic(site)));
                continue;
            };
            let inherited = state
                .inherits
                .iter()
                .filter_map(|inherited| Some((inherited.until, Arc::clone(self.manifests.get(&inherited.manifest)?))));
            served.push(Channel::new(label, state.release, Arc::clone(own), inherited.collect(), traffic(site)));
        }
        let mut table = Table::of(served.into_iter(), coming.into_iter(), self.position.is_some());
        for (domain, state) in self.domains.iter() {
            match self.domains.redirect(state) {
                Some(to) => table.forward(domain, Moved::new(to.clone(), traffic(&state.site))),
                None => table.show(domain, &state.site),
            }
        }
        table
    }

    /// What a channel answers with, if it can.
    fn answering<'a>(&'a self, followed: &'a Followed) -> Option<(&'a ChannelState, &'a Arc<Resources>)> {
        let state = &followed.served.as_ref()?.state;
        Some((state, self.manifests.get(&state.manifest)?))
    }

    /// How far that is.
    pub(super) fn applied(&self) -> Applied {
        let lag = |((site, channel), followed): (&(SiteName, ChannelName), &Followed)| {
            let (seq, reason) = match (&followed.refused, &followed.told) {
                (Some((row, reason)), _) => (row.seq, reason.clone()),
                (None, told) if followed.served == *told => return None,
                (None, told) => {
                    let told = told.as_ref()?;
                    let failure = self.failures.get(&told.state.manifest).cloned();
                    (told.row.seq, failure.unwrap_or_else(|| "its manifest is being fetched".to_owned()))
                }
            };
            Some(Lag { site: site.clone(), channel: channel.clone(), seq, reason })
        };
        let lagging = self.followed.iter().filter_map(lag).collect();
        let served = self.followed.values().filter(|followed| self.answering(followed).is_some()).count();
        Applied { position: self.position, lagging, channels: self.followed.len(), served, unknown: self.unknown.len() }
    }
}

#[cfg(test)]
mod tests {
    use verge_daemon::feed::Change;

    use super::test_support::{LATER, NOW, at, gone, hold, lagging, place, release, row, rows, serves};
    use super::*;

    #[test]
    fn a_channel_moves_when_its_manifest_is_here_and_waits_for_no_other() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]);
        assert!(hold(&mut channels, 1));
        assert_eq!((serves(&channels, "a"), serves(&channels, "b")), ("1 []".into(), String::new()));
        let reason = "its manifest is being fetched".to_owned();
        assert_eq!(lagging(&channels), [("b".into(), 2, reason)]);
        channels.fail(release(2).manifest(), "no way".into());
        assert_eq!(lagging(&channels), [("b".into(), 2, "no way".into())]);
        assert!(hold(&mut channels, 2));
        assert_eq!(lagging(&channels), []);
        rows(&mut channels, vec![row("b", 3, 3, &[2])]);
        assert_eq!(serves(&channels, "b"), "2 []");
        assert!(hold(&mut channels, 3));
        assert_eq!(serves(&channels, "b"), "3 [2]");
    }

    #[test]
    fn what_is_inherited_is_added_when_it_is_here_and_forgotten_when_it_expires() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 1, 2, &[1])]);
        assert_eq!(channels.wanted(NOW), [release(2).manifest(), release(1).manifest()]);
        assert_eq!(channels.wanted(LATER), [release(2).manifest()]);
        assert!(hold(&mut channels, 2));
        assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("2 []".into(), 0));
        assert!(hold(&mut channels, 1));
        assert_eq!(serves(&channels, "a"), "2 [1]");
        channels.prune(NOW);
        assert!(!channels.settle());
        channels.prune(LATER);
        assert!(channels.settle());
        assert_eq!(serves(&channels, "a"), "2 []");
        assert!(!hold(&mut channels, 9));
    }

    #[test]
    fn what_was_told_and_is_not_held_is_coming() {
        let mut channels = Channels::default();
        assert_eq!((place(&channels, "a"), channels.applied().can_serve()), ("unknown", false));
        rows(&mut channels, vec![]);
        assert_eq!((place(&channels, "a"), channels.applied().can_serve()), ("empty", true));
        channels.apply(Change::Rows(at(1, 2), vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]));
        assert!(channels.settle(), "a table that names what is coming is another");
        assert_eq!((place(&channels, "a"), place(&channels, "c")), ("coming", "empty"));
        assert!(!channels.applied().can_serve());
        hold(&mut channels, 1);
        assert_eq!((place(&channels, "a"), place(&channels, "b")), ("served", "coming"));
        assert!(channels.applied().can_serve());
        rows(&mut channels, vec![gone("b", 3)]);
        assert_eq!(place(&channels, "b"), "empty");
    }
}
