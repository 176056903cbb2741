//! Building a new snapshot each time zones, fleet state, health or the location database change.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use verge_daemon::Tasks;
use verge_protocol::DomainName;

use crate::caa;
use crate::dns::record::RecordSet;
use crate::fleet::{Fleet, Member, Policy};
use crate::fleet_state::FleetState;
use crate::geo::{Database, GeoLocator, LocationOverrides};
use crate::health::HealthTable;
use crate::https_names::HttpsNames;
use crate::metrics::EdgeCounters;
use crate::snapshot::Snapshot;
use crate::zone::{ZoneFile, ZoneSet};

/// What snapshots are built from.
pub(crate) struct Inputs {
    pub(crate) zones: watch::Receiver<Vec<Arc<ZoneFile>>>,
    pub(crate) database: watch::Receiver<Option<Arc<Database>>>,
    pub(crate) fleet_state: watch::Receiver<Arc<FleetState>>,
    pub(crate) health: watch::Receiver<Arc<HealthTable>>,
    /// The domains that have the names of sites below them.
    pub(crate) base_domains: Vec<DomainName>,
    pub(crate) overrides: Arc<LocationOverrides>,
    pub(crate) policy: Policy,
    pub(crate) edge_counters: EdgeCounters,
    /// The name of this name server.
    pub(crate) name_server: Box<str>,
}

/// Keeps the current snapshot up to date with its inputs.
pub(crate) struct SnapshotBuilder {
    inputs: Inputs,
    current: Arc<ArcSwap<Snapshot>>,
    replaced: watch::Sender<()>,
    /// The fleet state that catalogue and fleet were built from. Both use its region set ids.
    fleet_state: Arc<FleetState>,
}

/// An input that changed.
enum InputChange {
    FleetState,
    Zones,
    Health,
    Database,
}

impl SnapshotBuilder {
    /// Builds the first snapshot from the current inputs. Takes a moment for a hundred thousand names: call it where blocking is
    /// allowed.
    pub(crate) fn new(mut inputs: Inputs) -> Self {
        let fleet_state = Arc::clone(&inputs.fleet_state.borrow_and_update());
        let zone_set = zone_set(&inputs.zones.borrow_and_update(), &fleet_state, &inputs.base_domains);
        let database = inputs.database.borrow_and_update().clone();
        let locator = Arc::new(GeoLocator::new(Arc::clone(&inputs.overrides), database));
        let fleet = fleet(&fleet_state, &inputs.health.borrow_and_update(), inputs.policy);
        let edge_counters = (0..fleet.len()).map(|edge| inputs.edge_counters.of(fleet.name(edge))).collect();
        let fleet_is_known = fleet_state.position.is_some();
        let name_server = inputs.name_server.clone();
        let https_names = https_names(&fleet_state);
        let caa = caa(&fleet_state);
        let snapshot =
            Snapshot { zone_set, https_names, caa, fleet, edge_counters, locator, fleet_is_known, name_server };
        let (current, replaced) = (Arc::new(ArcSwap::from_pointee(snapshot)), watch::Sender::new(()));
        Self { inputs, current, replaced, fleet_state }
    }

    /// The current snapshot.
    pub(crate) fn current(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.current)
    }

    /// Notified after each replacement of the snapshot.
    pub(crate) fn replaced(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// Replaces the snapshot when its inputs change, until `tasks` drain.
    pub(crate) fn run(mut self, tasks: &Tasks) {
        let rebuild = async move {
            loop {
                let change = self.next_change().await;
                // Changes during a rebuild are in the next one: a hundred pushes at once make a few snapshots.
                let rebuilt = tokio::task::spawn_blocking(move || {
                    self.rebuild(&change);
                    self
                });
                match rebuilt.await {
                    Ok(builder) => self = builder,
                    Err(error) => {
                        return tracing::error!(%error, "building a snapshot crashed: answers no longer change");
                    }
                }
            }
        };
        drop(tasks.spawn("snapshot", tasks.draining().clone().run_until_cancelled_owned(rebuild)));
    }

    /// Waits for the next change. An input whose sender is gone, such as a database that is not configured, is ignored.
    async fn next_change(&mut self) -> InputChange {
        let Inputs { zones, database, fleet_state, health, .. } = &mut self.inputs;
        tokio::select! {
            Ok(()) = fleet_state.changed() => InputChange::FleetState,
            Ok(()) = zones.changed() => InputChange::Zones,
            Ok(()) = health.changed() => InputChange::Health,
            Ok(()) = database.changed() => InputChange::Database,
            else => std::future::pending().await,
        }
    }

    fn rebuild(&mut self, change: &InputChange) {
        let mut snapshot = Snapshot::clone(&self.current.load());
        match change {
            InputChange::FleetState => {
                let fleet_state = Arc::clone(&self.inputs.fleet_state.borrow_and_update());
                let before = std::mem::replace(&mut self.fleet_state, fleet_state);
                snapshot.fleet_is_known = self.fleet_state.position.is_some();
                if !self.fleet_state.shares_names_with(&before) {
                    snapshot.zone_set = self.zone_set();
                }
                if !Arc::ptr_eq(&self.fleet_state.certificates, &before.certificates) {
                    snapshot.https_names = https_names(&self.fleet_state);
                }
                snapshot.caa = caa(&self.fleet_state);
                self.rebuild_fleet(&mut snapshot);
            }
            InputChange::Zones => snapshot.zone_set = self.zone_set(),
            // From the fleet state whose region set ids the catalogue uses: a newer one has its own notification.
            InputChange::Health => self.rebuild_fleet(&mut snapshot),
            InputChange::Database => {
                let database = self.inputs.database.borrow_and_update().clone();
                snapshot.locator = Arc::new(GeoLocator::new(Arc::clone(&self.inputs.overrides), database));
            }
        }
        self.current.store(Arc::new(snapshot));
        self.replaced.send_replace(());
    }

    fn zone_set(&mut self) -> Arc<ZoneSet> {
        zone_set(&self.inputs.zones.borrow_and_update(), &self.fleet_state, &self.inputs.base_domains)
    }

    fn rebuild_fleet(&mut self, snapshot: &mut Snapshot) {
        snapshot.fleet = fleet(&self.fleet_state, &self.inputs.health.borrow_and_update(), self.inputs.policy);
        let counter = |edge| self.inputs.edge_counters.of(snapshot.fleet.name(edge));
        snapshot.edge_counters = (0..snapshot.fleet.len()).map(counter).collect();
    }
}

fn zone_set(zones: &[Arc<ZoneFile>], state: &FleetState, base_domains: &[DomainName]) -> Arc<ZoneSet> {
    let zone_set = ZoneSet::new(zones, &state.names(base_domains));
    let zone_set = zone_set.with_release_hosts(&state.release_names(base_domains));
    let zone_set = zone_set.with_challenges(state.challenge_texts());
    for notice in &zone_set.shadowed {
        tracing::warn!("{notice}");
    }
    Arc::new(zone_set)
}

fn caa(state: &FleetState) -> Option<Arc<RecordSet>> {
    state.caa.as_ref().map(|state| Arc::new(caa::records(&state.issuers)))
}

fn https_names(state: &FleetState) -> Arc<HttpsNames> {
    let confirmed = state.certificates.values().filter(|certificate| certificate.confirmed);
    Arc::new(HttpsNames::new(confirmed.map(|certificate| &certificate.names)))
}

fn fleet(state: &FleetState, health: &HealthTable, policy: Policy) -> Arc<Fleet> {
    let member = |(name, state): (&_, &_)| Member {
        conditions: health.conditions(name, state),
        name: Clone::clone(name),
        state: Clone::clone(state),
    };
    Arc::new(Fleet::new(state.edges.iter().map(member).collect(), &state.region_sets(), policy))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use verge_protocol::certificate::CertificateState;
    use verge_protocol::fleet::EdgeState;
    use verge_protocol::state::ParsedRow;
    use verge_protocol::{Digest, Timestamp};

    use super::*;
    use crate::dns::name::Name;

    #[test]
    fn names_speak_https_whose_certificate_every_edge_presents() {
        let mut state = FleetState::default();
        for (host, confirmed) in [("a.example", true), ("b.example", false)] {
            let certificate = CertificateState {
                names: [host.parse().unwrap()].into(),
                chain: String::new(),
                key: Digest::of(b""),
                not_before: Timestamp(0),
                not_after: Timestamp(1),
                confirmed,
            };
            state.apply(ParsedRow::Certificate(host.parse().unwrap(), Some(certificate)));
        }
        let contained = ["a.example", "b.example"].map(|host| {
            let name: DomainName = host.parse().unwrap();
            https_names(&state).contains(Name::from(&name).wire())
        });
        assert_eq!((state.certificates.len(), contained), (2, [true, false]));
    }

    #[tokio::test]
    async fn input_without_a_sender_does_not_stop_the_others() {
        let fleet_state = watch::Sender::new(Arc::new(FleetState::default()));
        // As without a database: the sender is dropped.
        let (_, database) = watch::channel(None);
        let (zones, health) = (watch::Sender::new(Vec::new()), watch::Sender::new(Arc::default()));
        let inputs = Inputs {
            zones: zones.subscribe(),
            database,
            fleet_state: fleet_state.subscribe(),
            health: health.subscribe(),
            base_domains: Vec::new(),
            overrides: Arc::default(),
            policy: Policy::default(),
            edge_counters: EdgeCounters::default(),
            name_server: "ns-1".into(),
        };
        let (builder, tasks) = (SnapshotBuilder::new(inputs), Tasks::default());
        let snapshots = builder.current();
        builder.run(&tasks);
        let state: EdgeState = serde_json::from_str(r#"{"addresses":["192.0.2.1"]}"#).unwrap();
        let mut edges = BTreeMap::new();
        for number in 1..=20 {
            edges.insert(format!("fra-{number}").parse().unwrap(), state.clone());
            fleet_state.send_replace(Arc::new(FleetState { edges: edges.clone().into(), ..FleetState::default() }));
            let until_named = async {
                while snapshots.load().fleet.len() < number {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), until_named).await.unwrap();
        }
        tasks.shutdown(Duration::from_secs(30)).await.unwrap();
    }
}
