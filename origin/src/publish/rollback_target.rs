//! The release that a rollback moves a channel to.

use verge_protocol::ReleaseNumber;
use verge_protocol::state::ChannelState;

use crate::store::ChannelMove;

/// The newest older release that this channel has pointed at and that has other files: never one that was only on another channel, and
/// never the same files under another number. So two rollbacks go back two releases.
pub(crate) fn rollback_target(current: &ChannelState, moves: &[ChannelMove]) -> Option<ReleaseNumber> {
    let older = moves.iter().filter(|one| one.release < current.release && one.manifest != current.manifest);
    older.map(|one| one.release).max()
}

#[cfg(test)]
mod tests {
    use verge_protocol::{Digest, Seq, Timestamp};

    use super::*;

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
    fn a_rollback_goes_to_the_newest_older_release_of_the_channel_with_other_files() {
        assert_eq!(target(&[(1, "a")]), None);
        assert_eq!(target(&[(3, "c"), (1, "a")]), Some(1), "v2 was on another channel");
        assert_eq!(target(&[(3, "b"), (2, "b"), (1, "a")]), Some(1), "v2 has the same files");
        assert_eq!(target(&[(2, "b"), (3, "c"), (2, "b"), (1, "a")]), Some(1), "a second rollback goes further back");
        assert_eq!(target(&[(1, "a"), (2, "b"), (1, "a")]), None);
    }
}
