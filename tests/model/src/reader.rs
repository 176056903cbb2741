//! Readers who take a page from one edge and the chunks that it names from others, each in its own time within seconds.
//!
//! A chunk must be found at an edge that is *live*, wherever the page came from. An edge is live if
//!
//! - it answers, and an origin got a report of it within the last 15 s, in which it was not draining;
//! - it has not lost its disk since it sent that report;
//! - no origin has moved the channel to the release of the page, or to a later one, without it: a rollout that goes on without an
//!   edge names it as lagging. Such page loads are counted, see [`crate::Statistics`].
//! - it has reported the channel without lag since it last lost its disk. A channel of which an edge has not heard is a host that does
//!   not exist; its first release is served before it is held.
//! - the path was not purged since the release of the page was replaced, nor its bytes erased.
//! - it is not fetching manifests, if the page is of an earlier release: an edge that comes back with an empty disk, or that was left
//!   behind, confirms the latest release before it has the manifests of those that the channel inherits. (A limit of the design.)
//! - it is in the same generation of the origin as the edge that gave the page.
//!
//! *Found* means that the path is answered with the bytes that the page expects. That an edge has these bytes, or can get them, is
//! asked of edges that have reported to serve the release, or to be prepared for it, and whose disks have room for everything and have
//! lost nothing.
//!
//! A canary release counts as one that the channel was moved to, and one that was taken back as one that was replaced.
//!
//! Pages are abandoned if the origin is restored from an older copy or a day passes; after seven more moves of the channel, of which
//! not more than eight are inherited; and if their release was replaced a day ago, as when an edge lags for so long.

use std::collections::BTreeMap;
use std::time::Duration;

use verge_edge::model::Answer;
use verge_protocol::host::HostLabel;
use verge_protocol::report::LIVE_SECONDS;
use verge_protocol::{Digest, Generation};

use crate::edge::Edge;
use crate::invariant::Invariant;
use crate::origin::Origin;
use crate::plant::Plant;
use crate::world::{Event, World};

/// Inheritance ends a day after a release was replaced; here a little earlier, since clocks are set back.
const KEPT_FOR: Duration = Duration::from_hours(12);
/// How long a page takes to load at most, in milliseconds.
const PAGE_MILLIS: usize = 20_000;

/// A page that is being loaded.
struct Page {
    from: usize,
    label: HostLabel,
    manifest: Digest,
    generation: Option<Generation>,
    chunks: Vec<String>,
}

/// The pages that are being loaded, by number.
#[derive(Default)]
pub(crate) struct Readers {
    pages: BTreeMap<u64, Page>,
    /// Chunks that were asked for, those of another edge than that of the page, and those of which nothing is claimed because the edge was left behind.
    pub(crate) asked: u64,
    pub(crate) at_another: u64,
    pub(crate) excused: u64,
    pub(crate) unheld: u64,
}

impl Readers {
    /// A reader takes the page of a channel from a live edge.
    pub(crate) fn open(&mut self, world: &mut World, edges: &[Edge], origin: &Origin, labels: &[HostLabel]) {
        let from = world.random.below(edges.len());
        let Some(label) = world.random.pick(labels).cloned() else { return };
        let Some(manifest) = edges[from].table().and_then(|table| table.release(&label)) else { return };
        if !is_live(world, origin, &edges[from], from) {
            return;
        }
        world.log(|ledger| format!("a reader gets {} from e{from}", ledger.name(&manifest)));
        let chunks = world.ledger.build(&manifest).chunks.clone();
        let page = world.number();
        for _ in &chunks {
            let delay =
                if world.random.percent(50) { world.random.latency() } else { world.random.millis(0, PAGE_MILLIS) };
            world.after(delay, Event::Chunk { page });
        }
        let generation = world.ledger.shown(from, &label).map(|(generation, _)| generation);
        self.pages.insert(page, Page { from, label, manifest, generation, chunks });
    }

    /// No page is claimed to load any more.
    pub(crate) fn abandon(&mut self) {
        self.pages.clear();
    }

    /// Asks a random live edge for the next chunk of a page.
    pub(crate) fn next_chunk(&mut self, world: &mut World, edges: &[Edge], origin: &Origin, page: u64) {
        let Some(Page { from, label, manifest, generation, chunks }) = self.pages.get_mut(&page) else { return };
        let Some(chunk) = chunks.pop() else { return };
        let at = world.random.below(edges.len());
        let edge = &edges[at];
        let Some(table) = edge.table().filter(|_| is_live(world, origin, edge, at)) else { return };
        self.asked += 1;
        self.at_another += u64::from(at != *from);
        let is_left_behind = is_left_behind(origin, at, label, manifest);
        if is_left_behind || !world.ledger.has_held(at, label) {
            self.excused += u64::from(is_left_behind);
            self.unheld += u64::from(!is_left_behind);
            return;
        }
        let lives = origin.database.lives(label);
        let since = lives.iter().position(|life| life.manifest == *manifest);
        if since.is_none() && !origin.database.is_coming(label, *manifest) {
            return;
        }
        let end = since.and_then(|since| lives[since].end);
        let since = since.unwrap_or_default();
        if since > 7 || end.is_some_and(|(_, time)| time.age(world.wall()) > KEPT_FOR) {
            return;
        }
        let end = end.map(|(seq, _)| seq);
        let expected = world.ledger.build(manifest).contents.get(&chunk).copied();
        if expected.is_some_and(|content| world.ledger.purges.may_be_missing(&label.site, &chunk, content, end)) {
            return;
        }
        let is_other_history = world.ledger.shown(at, label).map(|(generation, _)| generation) != *generation;
        if is_other_history || since > 0 && edge.is_fetching_manifests() {
            self.unheld += 1;
            return;
        }
        let mut answer = table.answer(label, &format!("/{chunk}"));
        if world.has(Plant::EdgeHidesWhatIsComing)
            && table
                .release(label)
                .is_some_and(|served| world.ledger.build(&served).number < world.ledger.build(manifest).number)
        {
            answer = Answer::NotFound;
        }
        let found = match answer {
            Answer::File(digest) if Some(digest) == expected => {
                if edge.claims(label, manifest) && !edge.can_send(origin, &digest) {
                    Err("it has no bytes")
                } else {
                    Ok(())
                }
            }
            Answer::File(_) => Err("other bytes"),
            Answer::NotFound => Err("404"),
            Answer::Gone => Err("410"),
            Answer::NotReady => Err("503"),
        };
        if let Err(problem) = found {
            let name = world.ledger.name(manifest);
            let served = table.release(label).map(|served| world.ledger.name(&served));
            let what = format!(
                "e{at}, which serves {served:?}, answers /{chunk} of {name} in {label}, from e{from}, with: {problem}"
            );
            world.ledger.fail(Invariant::ChunksFound, what);
        }
    }
}

fn is_live(world: &World, origin: &Origin, edge: &Edge, index: usize) -> bool {
    let Some(last) = origin.last_reports.get(&index) else { return false };
    let is_recent = world.now <= last.received + Duration::from_secs(LIVE_SECONDS);
    edge.process.as_ref().is_some_and(|process| !process.is_draining)
        && is_recent
        && !last.report.draining
        && !world.ledger.has_forgotten_since(index, last.sent)
}

/// Whether the channel was moved to the release without the edge.
fn is_left_behind(origin: &Origin, edge: usize, label: &HostLabel, manifest: &Digest) -> bool {
    origin.left_behind.contains_key(&(edge, label.clone(), *manifest))
}
