//! Contents that sites must not serve any more, whatever release has them.

use std::collections::HashSet;
use std::sync::Arc;

use verge_protocol::Digest;

use super::Channels;

impl Channels {
    /// Marks what was erased in the manifests that have arrived.
    pub(super) fn erase(&mut self) {
        let sites = self.erasures.take_changed();
        if sites.is_empty() {
            return;
        }
        for resources in self.manifests.values_mut().filter(|resources| sites.contains(resources.site())) {
            *resources = self.erasures.contents().without_erased(Arc::clone(resources));
        }
        // What something waits for may have become complete.
        self.holdings.clear();
    }

    /// The blobs of everything that was erased, if they have changed since the last call.
    pub(in crate::follow) fn take_erased_blobs(&mut self) -> Option<HashSet<Digest>> {
        self.erasures.take_blobs()
    }
}
