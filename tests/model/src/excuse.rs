//! Which chunks must be found at a live edge, and of which nothing is claimed.

use std::time::Duration;

use verge_protocol::Digest;

use crate::edge::Edge;
use crate::origin::Origin;
use crate::outcome::Excuse;
use crate::page::Page;
use crate::world::World;

/// Inheritance ends a day after a release was replaced; here a little earlier, since clocks are set back.
const KEPT_FOR: Duration = Duration::from_hours(12);
/// After so many more moves of the channel nothing is claimed, of which not more than eight releases are inherited.
const MOVES_MAX: usize = 7;

/// Why nothing is claimed of the `chunk` of a page at an edge; `None`: it must be found there.
pub(crate) fn excuse(world: &World, origin: &Origin, edge: &Edge, page: &Page, chunk: &str) -> Option<Excuse> {
    let at = edge.index();
    let Page { label, manifest, generation, .. } = page;
    let ledger = &world.ledger;
    let left = origin.left_behind.get(&(at, label.clone(), *manifest));
    if left.is_some_and(|left| !edge.has_caught_up_since(world, left.at)) {
        return Some(Excuse::LeftBehind);
    }
    let is_known = ledger.created(label).is_some_and(|created| edge.has_caught_up_since(world, created));
    if !ledger.has_held(at, label) && !is_known {
        return Some(Excuse::NotHeld);
    }
    let lives = origin.database.lives(label);
    let place = lives.iter().position(|life| life.manifest == *manifest);
    if place.is_none() && !origin.database.is_coming(label, *manifest) {
        return Some(Excuse::Unknown);
    }
    let end = place.and_then(|place| lives[place].end);
    if place.is_some_and(|place| place > MOVES_MAX) || end.is_some_and(|(_, time)| time.age(world.wall()) > KEPT_FOR) {
        return Some(Excuse::Old);
    }
    let content: Option<Digest> = ledger.build(manifest).contents.get(chunk).copied();
    let end = end.map(|(seq, _)| seq);
    if content.is_some_and(|content| ledger.purges.may_be_missing((&label.site, chunk), content, end, *generation)) {
        return Some(Excuse::Purged);
    }
    let is_other_history = ledger.shown(at, label).map(|(generation, _)| generation) != *generation;
    is_other_history.then_some(Excuse::OtherHistory)
}
