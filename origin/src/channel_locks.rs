//! Locks that serialize moves of a channel.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use verge_protocol::host::HostLabel;

/// One lock per channel, and one for the history of fingerprinted paths. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct ChannelLocks {
    locked: Arc<Mutex<HashSet<HostLabel>>>,
    fingerprints: Arc<tokio::sync::Mutex<()>>,
}

/// The right to move a channel, until dropped.
pub(crate) struct ChannelGuard {
    locks: ChannelLocks,
    label: HostLabel,
}

impl ChannelLocks {
    /// Locks a channel; `None` if it is locked.
    pub(crate) fn try_lock(&self, label: &HostLabel) -> Option<ChannelGuard> {
        let mut locked = self.locked.lock().unwrap_or_else(PoisonError::into_inner);
        locked.insert(label.clone()).then(|| ChannelGuard { locks: self.clone(), label: label.clone() })
    }

    /// Locks the first bytes of fingerprinted paths. Hold it from reading them until the release is committed: otherwise two channels
    /// of a site could release different bytes as immutable at one path.
    pub(crate) async fn lock_fingerprints(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.fingerprints).lock_owned().await
    }
}

impl ChannelGuard {
    /// The locked channel.
    pub(crate) fn label(&self) -> &HostLabel {
        &self.label
    }
}

impl Drop for ChannelGuard {
    fn drop(&mut self) {
        self.locks.locked.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_locked_once_until_its_guard_is_dropped() {
        let locks = ChannelLocks::default();
        let (live, preview) = ("demo".parse().unwrap(), "pr-1--demo".parse().unwrap());
        let guard = locks.try_lock(&live).unwrap();
        assert!(locks.try_lock(&live).is_none());
        assert!(locks.try_lock(&preview).is_some(), "channels never wait for one another");
        drop(guard);
        assert!(locks.try_lock(&live).is_some());
    }
}
