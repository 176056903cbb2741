//! Rollouts for tests.

use verge_protocol::Content;
use verge_protocol::api::Provenance;
use verge_protocol::host::HostLabel;

use super::{MoveTarget, NewRelease, NewRollout};

/// A rollout of a new release with this content, in the request with this key, to a channel that does not exist.
pub(super) fn new_rollout(label: &HostLabel, key: &str, text: &'static str) -> NewRollout {
    let release = NewRelease {
        manifest: Content::cut(&text.into()).0,
        files: 1,
        bytes: 8,
        provenance: Provenance::default(),
        fingerprints: Vec::new(),
        warnings: Vec::new(),
        lifetime: None,
    };
    NewRollout {
        label: label.clone(),
        expected: None,
        target: MoveTarget::New(release),
        idempotency_key: Some(key.parse().unwrap()),
        canary: None,
        author: None,
    }
}
