//! Which of the releases that a channel was moved to still stand.

use std::collections::HashMap;

use verge_protocol::ReleaseNumber;

/// The releases that a channel was moved to, in order, but for those that a move back to one before them has undone.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    releases: Vec<ReleaseNumber>,
    places: HashMap<ReleaseNumber, usize>,
}

impl Standing {
    /// Follows a move. Whether it goes back to a release that stands, and so undoes the moves since; a move to the last one undoes nothing.
    pub(crate) fn moves_to(&mut self, release: ReleaseNumber) -> bool {
        let Some(&place) = self.places.get(&release) else {
            self.places.insert(release, self.releases.len());
            self.releases.push(release);
            return false;
        };
        let goes_back = place + 1 < self.releases.len();
        for undone in self.releases.drain(place + 1..) {
            self.places.remove(&undone);
        }
        goes_back
    }

    /// The releases, the latest first.
    pub(crate) fn latest_first(&self) -> impl Iterator<Item = ReleaseNumber> {
        self.releases.iter().rev().copied()
    }
}
