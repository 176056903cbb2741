//! What has happened, and the invariants that it is checked against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use verge_edge::model::{Answer, ServedTable, Serving};
use verge_protocol::host::HostLabel;
use verge_protocol::report::EdgeReport;
use verge_protocol::{Digest, EdgeName, Generation, Seq, SiteName};

use crate::database::Database;
use crate::deletion_ledger::DeletionLedger;
use crate::invariant::{Failure, Invariant};
use crate::plant::Plant;
use crate::purge_ledger::PurgeLedger;
use crate::site::Build;

/// The move of a channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Move {
    label: HostLabel,
    epoch: Seq,
    manifest: Digest,
}

/// What an edge shows of a channel.
struct Shown {
    generation: Generation,
    what: Move,
}

/// What has happened.
#[derive(Default)]
pub(crate) struct Ledger {
    builds: BTreeMap<Digest, Arc<Build>>,
    /// Of each blob.
    sizes: BTreeMap<Digest, u64>,
    /// The paths that each site ever had.
    paths: BTreeMap<SiteName, BTreeSet<String>>,
    /// Each move that was ever committed, when first, and the manifests of those before it, the latest first.
    moves: BTreeMap<Move, (Duration, Vec<Digest>)>,
    /// Each rollout that was ever begun.
    rollouts: BTreeSet<(HostLabel, Duration, Digest)>,
    shown: BTreeMap<(usize, HostLabel), Shown>,
    /// What each edge showed in earlier generations, and may let channels inherit for a day.
    superseded: BTreeMap<(usize, HostLabel), BTreeSet<Move>>,
    /// When each edge lost what it had saved, or could not save.
    forgotten: BTreeMap<usize, Duration>,
    /// The channels that each edge has reported without lag since then.
    held: BTreeSet<(usize, HostLabel)>,
    /// The releases that edges were told to serve as canary edges.
    canaries: BTreeSet<(HostLabel, Digest, EdgeName)>,
    pub(crate) purges: PurgeLedger,
    pub(crate) deletions: DeletionLedger,
    /// The edges that have applied a deletion, or confirmed a purge, since the last [`Self::take_unchecked`].
    unchecked: BTreeSet<usize>,
    failure: Option<Failure>,
}

impl Ledger {
    pub(crate) fn fail(&mut self, invariant: Invariant, what: String) {
        self.failure.get_or_insert(Failure { invariant, what });
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    pub(crate) fn add_build(&mut self, build: &Arc<Build>) {
        self.sizes.extend(&build.blobs);
        self.paths.entry(build.site.clone()).or_default().extend(build.contents.keys().cloned());
        self.builds.insert(build.manifest, Arc::clone(build));
    }

    /// Everything that was ever pushed.
    pub(crate) fn builds(&self) -> impl Iterator<Item = &Arc<Build>> {
        self.builds.values()
    }

    pub(crate) fn build(&self, manifest: &Digest) -> &Arc<Build> {
        self.builds.get(manifest).expect("every manifest was built")
    }

    /// The size of a blob, in bytes.
    pub(crate) fn blob_size(&self, blob: &Digest) -> u64 {
        self.sizes.get(blob).copied().expect("every blob was built")
    }

    /// The number of the build, for a person to read.
    pub(crate) fn name(&self, manifest: &Digest) -> String {
        self.builds.get(manifest).map_or_else(|| "?".to_owned(), |build| format!("{}#{}", build.site, build.number))
    }

    /// A rollout was begun, or has come back with a copy of the origin's data, or a channel has: edges are about to serve the release.
    pub(crate) fn begun(&mut self, label: &HostLabel, now: Duration, manifest: Digest) {
        self.rollouts.insert((label.clone(), now, manifest));
        self.purges.allow(label, manifest);
    }

    /// Edges are told to serve a release as canary edges.
    pub(crate) fn canary_started(&mut self, label: &HostLabel, manifest: Digest, edges: &BTreeSet<EdgeName>) {
        self.canaries.extend(edges.iter().map(|edge| (label.clone(), manifest, edge.clone())));
    }

    /// A channel was moved, from the epoch `before` although its publisher knew `expected`. `earlier` are the manifests of its
    /// earlier moves, the latest first.
    pub(crate) fn committed(
        &mut self,
        label: &HostLabel,
        (epoch, manifest): (Seq, Digest),
        (before, expected): (Option<Seq>, Option<Seq>),
        earlier: Vec<Digest>,
        now: Duration,
    ) {
        // An origin that was restored may make a move once more that it has lost, by a write of the same number.
        let made = self.moves.entry(Move { label: label.clone(), epoch, manifest }).or_insert((now, Vec::new()));
        made.1 = earlier;
        self.purges.allow(label, manifest);
        self.deletions.created(label);
        if before != expected {
            self.fail(
                Invariant::Expected,
                format!("{label} moves to epoch {epoch} from {before:?}: expected {expected:?}"),
            );
        }
    }

    /// A channel was deleted by the write `seq`.
    pub(crate) fn deleted(&mut self, label: &HostLabel, seq: Seq) {
        self.deletions.deleted(label, seq);
        self.held.retain(|(_, of)| of != label);
    }

    /// The origin, which was in the generation `before`, was restored from a copy.
    pub(crate) fn restored(&mut self, before: Generation, database: &Database) {
        self.purges.restored(before, database);
        self.deletions.restored(database);
    }

    /// An edge lost what it has saved, or could not save.
    pub(crate) fn forget(&mut self, edge: usize, now: Duration) {
        self.forgotten.insert(edge, now);
        self.held.retain(|(of, _)| *of != edge);
        self.shown.retain(|(of, _), _| *of != edge);
        self.deletions.forget(edge);
    }

    /// An edge reports to an origin in this generation.
    pub(crate) fn reported(&mut self, edge: usize, report: &EdgeReport, generation: Generation) {
        let lags =
            |label: &HostLabel| report.lagging.iter().any(|lag| lag.site == label.site && lag.channel == label.channel);
        let is_held = |(of, label): &(usize, HostLabel), shown: &Shown| {
            let is_since = self.deletions.is_since(label, (shown.generation, shown.what.epoch), generation);
            *of == edge && is_since && !lags(label)
        };
        let held = self.shown.iter().filter(|(key, shown)| is_held(key, shown)).map(|(key, _)| key.clone());
        self.held.extend(held);
        if self.deletions.reported(edge, report, generation) {
            self.unchecked.insert(edge);
        }
        self.purges.reported(edge, report, generation);
    }

    /// Whether an edge has reported the channel without lag since it last lost its disk.
    pub(crate) fn has_held(&self, edge: usize, label: &HostLabel) -> bool {
        self.held.contains(&(edge, label.clone()))
    }

    /// When a channel was created, or created anew after its last deletion.
    pub(crate) fn created(&self, label: &HostLabel) -> Option<Duration> {
        let moves = self.moves.iter().filter(|(one, _)| one.label == *label);
        let moves = moves.filter(|(one, _)| !self.deletions.is_deleted_since(label, one.epoch));
        moves.map(|(_, (moved, _))| *moved).min()
    }

    /// Whether an edge has lost what it had saved at some time since.
    pub(crate) fn has_forgotten_since(&self, edge: usize, since: Duration) -> bool {
        self.forgotten.get(&edge).is_some_and(|at| *at >= since)
    }

    /// Readers see this table at an edge from now on.
    pub(crate) fn shows(
        &mut self,
        (edge, edge_name): (usize, &EdgeName),
        table: &ServedTable,
        serving: &[Serving],
        plant: Option<Plant>,
    ) {
        for row in serving {
            let Serving { label, generation, epoch, manifest } = row.clone();
            let what = Move { label: label.clone(), epoch, manifest };
            let release = table.release(&label).expect("the table is that of the rows");
            if release != manifest && !self.canaries.contains(&(label.clone(), release, edge_name.clone())) {
                let name = self.name(&release);
                self.fail(
                    Invariant::CanaryEdges,
                    format!("e{edge} serves {name} as {label}, and is no canary edge of it"),
                );
                return;
            }
            if !self.moves.contains_key(&what) {
                let name = self.name(&manifest);
                self.fail(
                    Invariant::Committed,
                    format!("e{edge} serves {name} as {label} at epoch {epoch}, which was not committed"),
                );
                return;
            }
            let key = (edge, label.clone());
            if let Some(before) = self.shown.remove(&key) {
                if before.generation == generation && before.what.epoch > epoch {
                    let was = format!("epoch {} of {}", before.what.epoch, before.generation);
                    self.fail(
                        Invariant::EpochsGrow,
                        format!("e{edge} serves {label} at epoch {epoch} of {generation}, before at {was}"),
                    );
                }
                if before.generation != generation && before.what.manifest != manifest {
                    self.superseded.entry(key.clone()).or_default().insert(before.what);
                }
            }
            self.check_withdrawn(edge, table, &what, plant);
            self.shown.insert(key, Shown { generation, what });
        }
        self.check_removed(edge, table);
    }

    /// The edges that have confirmed since the last call that they do not serve something any more.
    pub(crate) fn take_unchecked(&mut self) -> BTreeSet<usize> {
        let mut unchecked = self.purges.take_unchecked();
        unchecked.append(&mut self.unchecked);
        unchecked
    }

    /// Looks whether an edge serves what it must not any more.
    pub(crate) fn check_removed(&mut self, edge: usize, table: &ServedTable) {
        let labels = |site: &SiteName| {
            let labels: BTreeSet<_> =
                self.moves.keys().map(|one| &one.label).filter(|label| label.site == *site).collect();
            labels.into_iter().cloned().collect()
        };
        let paths = |site: &SiteName| &self.paths[site];
        let contents = |manifest: &Digest, path: &str| self.build(manifest).contents.get(path).copied();
        if let Some(label) = self.deletions.violation(Some(edge), table) {
            let what = format!("e{edge} serves {label}, and has applied its deletion");
            return self.fail(Invariant::Deleted, what);
        }
        let since_shown = |label: &HostLabel| {
            let shown = self.shown(edge, label).map(|(_, epoch)| epoch);
            let moves = self.moves.keys().filter(|one| one.label == *label && Some(one.epoch) >= shown);
            moves.map(|one| one.manifest).collect()
        };
        if let Some(what) = self.purges.violation(edge, table, labels, since_shown, paths, contents) {
            self.fail(Invariant::Purged, what);
        }
    }

    /// The epoch and generation that readers see, or saw last, of a channel.
    pub(crate) fn shown(&self, edge: usize, label: &HostLabel) -> Option<(Generation, Seq)> {
        let shown = self.shown.get(&(edge, label.clone()))?;
        Some((shown.generation, shown.what.epoch))
    }

    /// Of what a path has had, only what is served, what was served last, and what is coming may be seen.
    fn check_withdrawn(&mut self, edge: usize, table: &ServedTable, what: &Move, plant: Option<Plant>) {
        let Move { label, epoch, manifest } = what;
        let own = Arc::clone(self.build(manifest));
        let documents = self.paths.get(&label.site).into_iter().flatten().filter(|path| path.contains("document"));
        for path in documents.cloned().collect::<Vec<_>>() {
            let at = |manifest: &Digest| self.build(manifest).contents.get(&path).copied();
            let seen = match table.answer(label, &format!("/{path}")) {
                Answer::File(seen) => Some(seen),
                _ if plant == Some(Plant::EdgeFallsThroughToOlderReleases) => {
                    self.moves.get(what).and_then(|(_, earlier)| earlier.iter().rev().find_map(at))
                }
                _ => None,
            };
            let Some(seen) = seen else { continue };
            let chain = |one: &Move| {
                let earlier = self.moves.get(one).into_iter().flat_map(|(_, earlier)| earlier).copied();
                std::iter::once(one.manifest).chain(earlier).collect::<Vec<_>>()
            };
            let last = chain(what).iter().find_map(at);
            let superseded = self.superseded.get(&(edge, label.clone())).into_iter().flatten();
            let before_restore =
                superseded.filter_map(|one| chain(one).iter().find_map(at)).any(|digest| digest == seen);
            let shown = self.moves.get(what).map_or(Duration::MAX, |(moved, _)| *moved);
            let is_newer = |of: &HostLabel, at: Duration| of == label && at >= shown;
            let coming = self.rollouts.iter().filter(|(of, at, _)| is_newer(of, *at)).map(|(.., manifest)| manifest);
            let coming = coming.filter_map(at).any(|digest| digest == seen);
            if own.contents.get(&path) != Some(&seen) && last != Some(seen) && !before_restore && !coming {
                let what = format!(
                    "e{edge} serves withdrawn bytes of /{path} in {label} at epoch {epoch} ({})",
                    self.name(manifest)
                );
                self.fail(Invariant::Withdrawn, what);
                return;
            }
        }
    }
}
