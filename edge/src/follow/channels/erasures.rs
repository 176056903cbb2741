//! Contents that sites must not serve any more, whatever release has them.

use std::collections::HashSet;
use std::sync::Arc;

use verge_protocol::Digest;

use super::Channels;

impl Channels {
    /// Marks what was erased since the last call in the manifests that have arrived: one pass, however many contents that are.
    pub(super) fn mark_erased(&mut self) {
        let sites = self.erasures.take_changed();
        if sites.is_empty() {
            return;
        }
        for resources in self.manifests.values_mut().filter(|resources| sites.contains(resources.site())) {
            *resources = self.erasures.contents().without_erased(Arc::clone(resources));
        }
        // What something waits for may have become complete.
        self.holdings.clear();
        self.changed = true;
    }

    /// The blobs of everything that was erased, if they have changed since the last call.
    pub(in crate::follow) fn take_erased_blobs(&mut self) -> Option<HashSet<Digest>> {
        self.erasures.take_blobs()
    }
}

#[cfg(test)]
mod tests {
    use verge_daemon::feed::Change;
    use verge_protocol::state::{ErasedState, Row};
    use verge_protocol::{Json, Seq, Timestamp};

    use super::super::test_support::{NOW, add_release, apply_rows, at, release, row};
    use super::*;

    /// A change that erases a path of the site of all releases.
    fn erasure(seq: u64, path: &str) -> Change {
        let state = ErasedState { when: Timestamp(0), path: path.parse().unwrap(), blobs: Vec::new() };
        let key = format!("erased/demo/{}", Digest::of(path.as_bytes()));
        Change::Rows(at(1, seq), vec![Row { key, seq: Seq(seq), value: Some(Json::of(&state).unwrap()) }])
    }

    #[test]
    fn contents_erased_by_many_changes_are_marked_in_one_pass() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("demo", 1, 1, &[2, 3])]);
        for number in [1, 2, 3] {
            add_release(&mut channels, number);
        }
        channels.prune(NOW);
        let before = channels.manifests.clone();
        for seq in [2, 3] {
            channels.apply(erasure(seq, &format!("v{seq}.js")));
        }
        for (id, resources) in &before {
            assert!(Arc::ptr_eq(&channels.manifests[id], resources), "no change looks through the manifests");
        }
        channels.prune(NOW);
        let is_erased = |number: u64| {
            let resources = &channels.manifests[&release(number).manifest()];
            resources.get(&format!("v{number}.js")).unwrap().is_erased()
        };
        assert_eq!([1, 2, 3].map(is_erased), [false, true, true]);
        assert!(channels.advance(NOW), "readers see another table");
    }
}
