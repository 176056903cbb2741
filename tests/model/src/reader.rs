//! Readers who take a page from one edge and the chunks that it names from others, each in its own time within seconds.
//!
//! A chunk must be found at an edge that is *live*, wherever the page came from, unless there is an [`Excuse`](crate::Excuse). Each is counted. An edge is
//! live if
//!
//! - it is in the fleet, and answers, and its health page says that readers may be sent to it;
//! - an origin got a report of it within the last 15 s, in which it was not draining;
//! - it has not lost its disk since it sent that report.
//!
//! *Found* means that the path is answered with the bytes that the page expects. That an edge has these bytes, or can get them, is
//! asked of edges that have reported to serve the release, or to be prepared for it, and whose disks have room for everything and have
//! lost nothing.
//!
//! A canary release counts as one that the channel was moved to, and one that was taken back as one that was replaced.
//!
//! Pages are abandoned if the origin is restored from an older copy or a day passes.

use std::collections::BTreeMap;
use std::time::Duration;

use verge_edge::model::Answer;
use verge_protocol::Digest;
use verge_protocol::host::HostLabel;
use verge_protocol::report::LIVE_SECONDS;

use crate::edge::Edge;
use crate::excuse;
use crate::invariant::Invariant;
use crate::origin::Origin;
use crate::outcome::Chunks;
use crate::page::Page;
use crate::plant::Plant;
use crate::world::{Event, World};

/// How long a page takes to load at most, in milliseconds.
const PAGE_MILLIS: usize = 20_000;

/// The pages that are being loaded, by number.
#[derive(Default)]
pub(crate) struct Readers {
    pages: BTreeMap<u64, Page>,
    /// What became of the chunks that were asked for.
    pub(crate) chunks: Chunks,
}

impl Readers {
    /// A reader takes the page of a channel from a live edge.
    pub(crate) fn open(&mut self, world: &mut World, edges: &[Edge], origin: &Origin, labels: &[HostLabel]) {
        let from = world.random.below(edges.len());
        let Some(label) = world.random.pick(labels).cloned() else { return };
        let Some(manifest) = edges[from].table().and_then(|table| table.release(&label)) else { return };
        if !is_live(world, origin, &edges[from]) {
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
    pub(crate) fn next_chunk(&mut self, world: &mut World, edges: &[Edge], origin: &Origin, number: u64) {
        let Some(page) = self.pages.get_mut(&number) else { return };
        let Some(chunk) = page.chunks.pop() else { return };
        let live: Vec<usize> = (0..edges.len()).filter(|index| is_live(world, origin, &edges[*index])).collect();
        let Some(at) = world.random.pick(&live).copied() else { return };
        self.chunks.asked += 1;
        self.chunks.at_another += u64::from(at != page.from);
        if let Some(excuse) = excuse::excuse(world, origin, &edges[at], page, &chunk) {
            *self.chunks.excused.entry(excuse).or_default() += 1;
            return;
        }
        self.chunks.checked += 1;
        if let Err(problem) = find(world, origin, &edges[at], page, &chunk) {
            let Page { from, label, manifest, .. } = page;
            let name = world.ledger.name(manifest);
            let served = edges[at].table().and_then(|table| table.release(label));
            let served = served.map(|served| world.ledger.name(&served));
            let what = format!(
                "e{at}, which serves {served:?}, answers /{chunk} of {name} in {label}, from e{from}, with: {problem}"
            );
            world.ledger.fail(Invariant::ChunksFound, what);
        }
    }
}

/// Looks for the chunk of a page at an edge. The error tells what a reader would get.
fn find(world: &World, origin: &Origin, edge: &Edge, page: &Page, chunk: &str) -> Result<(), &'static str> {
    let Page { label, manifest, .. } = page;
    let table = edge.table().ok_or("nothing")?;
    let build = world.ledger.build(manifest);
    let is_older = |served: Digest| world.ledger.build(&served).number < build.number;
    let hides = world.has(Plant::EdgeHidesWhatIsComing) && table.release(label).is_some_and(is_older);
    match table.answer(label, &format!("/{chunk}")) {
        Answer::NotFound => Err("404"),
        _ if hides => Err("404"),
        Answer::Gone => Err("410"),
        Answer::NotReady => Err("503"),
        Answer::File(digest) if build.contents.get(chunk) != Some(&digest) => Err("other bytes"),
        Answer::File(digest) if edge.claims(label, manifest) && !edge.can_send(origin, &digest) => {
            Err("it has no bytes")
        }
        Answer::File(_) => Ok(()),
    }
}

fn is_live(world: &World, origin: &Origin, edge: &Edge) -> bool {
    let Some(last) = origin.last_reports.get(&edge.index()) else { return false };
    let is_recent = world.now <= last.received + Duration::from_secs(LIVE_SECONDS);
    origin.is_member(edge.index())
        && (edge.is_available(world.now, origin) || world.has(Plant::EdgeTakesReadersAtOnce))
        && edge.process.as_ref().is_some_and(|process| !process.is_draining)
        && is_recent
        && !last.report.draining
        && !world.ledger.has_forgotten_since(edge.index(), last.sent)
}
