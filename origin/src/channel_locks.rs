//! Locks that serialize moves of a channel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;
use verge_protocol::IdempotencyKey;
use verge_protocol::host::HostLabel;

use crate::rollout::{ProgressLog, ProgressStream};

/// One lock per channel, and one for the history of fingerprinted paths. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct ChannelLocks {
    locked: Arc<Mutex<HashMap<HostLabel, Holder>>>,
    fingerprints: Arc<tokio::sync::Mutex<()>>,
}

/// The request that holds a lock.
struct Holder {
    key: Option<IdempotencyKey>,
    log: ProgressLog,
}

/// The right to move a channel, until dropped.
pub(crate) struct ChannelGuard {
    locks: ChannelLocks,
    label: HostLabel,
    log: ProgressLog,
}

/// The channel is locked.
pub(crate) enum Locked {
    /// By an earlier request with the same key, whose progress this is.
    BySameRequest(ProgressStream),
    /// By another request.
    ByOther,
}

impl ChannelLocks {
    /// Locks a channel for the request with this key.
    pub(crate) fn try_lock(&self, label: &HostLabel, key: Option<&IdempotencyKey>) -> Result<ChannelGuard, Locked> {
        let mut locked = self.lock();
        if let Some(holder) = locked.get(label) {
            let is_same = key.is_some() && holder.key.as_ref() == key;
            return Err(if is_same { Locked::BySameRequest(holder.log.follow()) } else { Locked::ByOther });
        }
        let log = ProgressLog::default();
        locked.insert(label.clone(), Holder { key: key.cloned(), log: log.clone() });
        Ok(ChannelGuard { locks: self.clone(), label: label.clone(), log })
    }

    /// The progress of the request that holds the lock; `None` if the channel is not locked.
    pub(crate) fn follow(&self, label: &HostLabel) -> Option<ProgressStream> {
        self.lock().get(label).map(|holder| holder.log.follow())
    }

    /// Locks the first bytes of fingerprinted paths. Hold it from reading them until the release is committed: otherwise two channels
    /// of a site could release different bytes as immutable at one path. Nothing is erased while it is held.
    pub(crate) async fn lock_fingerprints(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.fingerprints).lock_owned().await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HostLabel, Holder>> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChannelGuard {
    /// The locked channel.
    pub(crate) fn label(&self) -> &HostLabel {
        &self.label
    }

    /// The progress of what it is locked for.
    pub(crate) fn log(&self) -> &ProgressLog {
        &self.log
    }
}

impl Drop for ChannelGuard {
    fn drop(&mut self) {
        self.locks.lock().remove(&self.label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_locked_once_until_its_guard_is_dropped() {
        let locks = ChannelLocks::default();
        let (live, preview) = ("demo".parse().unwrap(), "pr-1--demo".parse().unwrap());
        let guard = locks.try_lock(&live, None).ok().unwrap();
        assert!(matches!(locks.try_lock(&live, None), Err(Locked::ByOther)));
        assert!(locks.try_lock(&preview, None).is_ok(), "channels never wait for one another");
        drop(guard);
        assert!(locks.follow(&live).is_none());
        assert!(locks.try_lock(&live, None).is_ok());
    }

    #[test]
    fn a_repeated_request_follows_the_first_one() {
        let locks = ChannelLocks::default();
        let (live, key) = ("demo".parse().unwrap(), "0a1b".parse().unwrap());
        let _guard = locks.try_lock(&live, Some(&key)).ok().unwrap();
        assert!(matches!(locks.try_lock(&live, Some(&key)), Err(Locked::BySameRequest(_))));
        assert!(matches!(locks.try_lock(&live, Some(&"0a1c".parse().unwrap())), Err(Locked::ByOther)));
    }
}
