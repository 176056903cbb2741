//! The release that a rollback moves a channel to.

use std::collections::HashMap;

use verge_protocol::state::ChannelState;
use verge_protocol::{ReleaseNumber, SiteName};

use crate::store::{ChannelMove, ChannelRow, Database, ROLLBACK_MOVES_READ, Standing, StoreError};

/// The release that a rollback goes to, which is the [release before](release_before); `None` too if that was deleted.
pub(crate) async fn rollback_target(
    database: &Database,
    site: &SiteName,
    channel: &ChannelRow,
) -> Result<Option<ReleaseNumber>, StoreError> {
    let Some(before) = release_before(database, site, channel).await? else { return Ok(None) };
    Ok(database.has_release(site, before).await?.then_some(before))
}

/// The release, with other files, that was live on a channel before its current one. A move back to a release that was live before undoes
/// all moves since: what was undone is never gone back to, and two rollbacks go back two releases.
///
/// `None` too if that is not known: the last [`ROLLBACK_MOVES_READ`] moves are read, and the current release, or one with the same files that
/// stands before it, was live before them.
async fn release_before(
    database: &Database,
    site: &SiteName,
    channel: &ChannelRow,
) -> Result<Option<ReleaseNumber>, StoreError> {
    let moves = database.moves(site, &channel.name).await?;
    let (same, target) = live_before(&channel.state, &moves);
    if moves.len() >= ROLLBACK_MOVES_READ as usize
        && let Some(oldest) = moves.last()
    {
        for release in same {
            if database.had_release_before(site, &channel.name, release, oldest.epoch).await? {
                return Ok(None);
            }
        }
    }
    Ok(target)
}

/// What was live before `current`, by moves of which the last one, the first element, went there: the releases with the same files, the
/// current one among them, and the one before these.
fn live_before(current: &ChannelState, moves: &[ChannelMove]) -> (Vec<ReleaseNumber>, Option<ReleaseNumber>) {
    let mut standing = Standing::default();
    for one in moves.iter().rev() {
        standing.moves_to(one.release);
    }
    let manifests: HashMap<_, _> = moves.iter().map(|one| (one.release, one.manifest)).collect();
    // The same files under another number would change nothing.
    let mut same = Vec::new();
    for release in standing.latest_first() {
        if manifests[&release] != current.manifest {
            return (same, Some(release));
        }
        same.push(release);
    }
    (same, None)
}

#[cfg(test)]
mod tests {
    use verge_protocol::host::HostLabel;
    use verge_protocol::state::RolloutState;
    use verge_protocol::{Digest, Seq, Timestamp};

    use super::*;
    use crate::store::NewMove;

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
        live_before(&current, &moves).1.map(|release| release.0)
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

    #[tokio::test]
    async fn release_that_was_live_before_the_moves_that_are_read_has_no_rollback_target() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1000)).await.unwrap();
        let label: HostLabel = "demo".parse().unwrap();
        database.create_site(&label.site, Timestamp(1000)).await.unwrap();
        let mut targets = Vec::new();
        let mut current: Option<ChannelState> = None;
        let all = u64::from(ROLLBACK_MOVES_READ);
        // The last one was pushed to another channel before.
        for release in (5..all + 5).chain([6, all + 9, 6, 4, all + 10, 5, all + 20]) {
            // One has the files of another.
            let files = if release == all + 20 { 5 } else { release };
            let rollout = RolloutState {
                release: ReleaseNumber(release),
                manifest: Digest::of(&files.to_le_bytes()),
                expected: current.map(|state| state.epoch),
                idempotency_key: None,
                started: Timestamp(1000),
                canary: None,
                author: None,
            };
            let new = NewMove { label: label.clone(), rollout };
            let moved = database.move_channel(&new, Timestamp(1000), |_, _| Vec::new()).await.unwrap().unwrap().1;
            if release <= 6 || release > all {
                let channel = ChannelRow { name: label.channel.clone(), state: moved.clone(), moved: Timestamp(1000) };
                let target = release_before(&database, &label.site, &channel).await.unwrap();
                targets.push((release, target.map(|target| target.0)));
            }
            current = Some(moved);
        }
        let expected =
            [(5, None), (6, Some(5)), (all + 1, Some(all)), (all + 2, Some(all + 1)), (all + 3, Some(all + 2))];
        assert_eq!(targets[..5], expected);
        let expected = [(all + 4, Some(all + 3)), (6, None), (all + 9, Some(6)), (6, None), (4, Some(6))];
        assert_eq!(targets[5..10], expected);
        assert_eq!(targets[10..], [(all + 10, Some(4)), (5, None), (all + 20, None)]);
    }
}
