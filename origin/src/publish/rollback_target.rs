//! The release that a rollback moves a channel to.

use std::collections::HashMap;

use verge_protocol::ReleaseNumber;
use verge_protocol::state::ChannelState;

use crate::store::{ChannelMove, ROLLBACK_MOVES_READ, Standing};

/// The release, with other files, that was live before the one that `moves` end with, the latest first. A move back to a release that was live
/// before undoes all moves since: what was undone is never gone back to, and two rollbacks go back two releases.
///
/// `None` too if `moves` are as many as are read, and the current release may have been live before the first of them: what was live before it
/// is not known then.
pub(crate) fn rollback_target(current: &ChannelState, moves: &[ChannelMove]) -> Option<ReleaseNumber> {
    if moves.len() >= ROLLBACK_MOVES_READ as usize && is_older_than_moves_before(current.release, moves) {
        return None;
    }
    let mut standing = Standing::default();
    for one in moves.iter().rev() {
        standing.moves_to(one.release);
    }
    let manifests: HashMap<_, _> = moves.iter().map(|one| (one.release, one.manifest)).collect();
    // The same files under another number would change nothing.
    standing.latest_first().find(|release| manifests[release] != current.manifest)
}

/// Whether a release with a greater number was live before this one first was.
fn is_older_than_moves_before(release: ReleaseNumber, moves: &[ChannelMove]) -> bool {
    moves.iter().rev().take_while(|one| one.release != release).any(|one| one.release > release)
}

#[cfg(test)]
mod tests {
    use verge_protocol::host::HostLabel;
    use verge_protocol::state::RolloutState;
    use verge_protocol::{Digest, Seq, Timestamp};

    use super::*;
    use crate::store::{Database, MOVES_READ, NewMove};

    /// `moves` are (release, files), the latest first; the channel points at the first.
    fn target(moves: &[(u64, &str)]) -> Option<u64> {
        let moves: Vec<ChannelMove> = moves
            .iter()
            .map(|(release, files)| ChannelMove {
                release: ReleaseNumber(*release),
                manifest: Digest::of(files.as_bytes()),
                moved: Timestamp(0),
                epoch: Seq(0),
            })
            .collect();
        let latest = &moves[0];
        let (release, manifest) = (latest.release, latest.manifest);
        let current = ChannelState { epoch: Seq(9), release, manifest, inherits: Vec::new() };
        rollback_target(&current, &moves).map(|release| release.0)
    }

    #[test]
    fn a_rollback_goes_to_the_release_with_other_files_that_was_live_before() {
        assert_eq!(target(&[(1, "a")]), None);
        assert_eq!(target(&[(3, "c"), (1, "a")]), Some(1), "v2 was on another channel");
        assert_eq!(target(&[(3, "b"), (2, "b"), (1, "a")]), Some(1), "v2 has the same files");
        assert_eq!(target(&[(2, "b"), (3, "c"), (2, "b"), (1, "a")]), Some(1), "a second rollback goes further back");
        assert_eq!(target(&[(1, "a"), (2, "b"), (1, "a")]), None);
        assert_eq!(target(&[(3, "c"), (1, "a"), (2, "b"), (1, "a")]), Some(1), "v2 was rolled back");
        assert_eq!(target(&[(3, "c"), (4, "d"), (2, "b")]), Some(4), "the promotion of v3 is undone");
        assert_eq!(target(&[(1, "a"), (2, "b")]), Some(2), "the promotion of an older release is undone");
        assert_eq!(
            target(&[(5, "b"), (4, "d"), (3, "b")]),
            Some(4),
            "a release with the files of an earlier one is new"
        );
    }

    #[test]
    fn release_that_may_have_been_live_before_the_moves_that_are_read_has_no_rollback_target() {
        let all = u64::from(ROLLBACK_MOVES_READ);
        // Moves to v1, v2, and so on up to `pushes`, and then to `last`.
        let target_after = |pushes: u64, last: &[u64]| {
            let releases: Vec<u64> = (1..=pushes).chain(last.iter().copied()).collect();
            let files: Vec<String> = releases.iter().map(u64::to_string).collect();
            let moves: Vec<(u64, &str)> = releases.into_iter().zip(files.iter().map(String::as_str)).rev().collect();
            target(&moves[..moves.len().min(ROLLBACK_MOVES_READ as usize)])
        };
        assert_eq!(target_after(65, &[1]), None, "v1 was the first");
        assert_eq!(target_after(all - 1, &[1]), None, "v1 was the first");
        assert_eq!(target_after(all, &[1]), None);
        assert_eq!(target_after(all, &[1, all + 1]), Some(1));
        assert_eq!(target_after(all, &[1, all + 1, 1]), None);
        assert_eq!(target_after(all, &[5]), Some(4));
        assert_eq!(target_after(all + 9, &[]), Some(all + 8));
    }

    #[tokio::test]
    async fn rollback_after_a_move_to_a_release_of_long_ago_goes_to_no_release_that_it_undid() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp(1000);
        let database = Database::open(&directory.path().join("origin.db"), now).await.unwrap();
        let label: HostLabel = "demo".parse().unwrap();
        database.create_site(&label.site, now).await.unwrap();
        let mut current: Option<ChannelState> = None;
        for release in (1..=u64::from(MOVES_READ) + 2).chain([2]) {
            let rollout = RolloutState {
                release: ReleaseNumber(release),
                manifest: Digest::of(&release.to_le_bytes()),
                expected: current.map(|state| state.epoch),
                idempotency_key: None,
                started: now,
                canary: None,
                author: None,
            };
            let new = NewMove { label: label.clone(), rollout };
            current = Some(database.move_channel(&new, now, |_, _| Vec::new()).await.unwrap().unwrap().1);
        }
        let moves = database.moves(&label.site, &label.channel).await.unwrap();
        assert_eq!(rollback_target(&current.unwrap(), &moves), Some(ReleaseNumber(1)));
    }
}
