//! What keeps those who move channels out of each other's way.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use verge_protocol::host::HostLabel;

/// Who is moving which channel.
#[derive(Clone, Default)]
pub(crate) struct ChannelLocks {
    busy: Arc<Mutex<HashSet<HostLabel>>>,
    history: Arc<tokio::sync::Mutex<()>>,
}

/// The right to move a channel, until it is dropped.
pub(crate) struct ChannelGuard {
    channel_locks: ChannelLocks,
    label: HostLabel,
}

impl ChannelLocks {
    /// Takes the channel's guard; `None` while somebody else has it.
    pub(crate) fn take(&self, label: &HostLabel) -> Option<ChannelGuard> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(label.clone()).then(|| ChannelGuard { locks: self.clone(), label: label.clone() })
    }

    /// To be held from reading what paths were first released with until that is written: else two channels of a site could
    /// release different bytes as immutable at one path.
    pub(crate) async fn history(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.history).lock_owned().await
    }
}

impl ChannelGuard {
    /// Which channel.
    pub(crate) fn label(&self) -> &HostLabel {
        &self.label
    }
}

impl Drop for ChannelGuard {
    fn drop(&mut self) {
        self.locks.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_for_each_channel() {
        let locks = ChannelLocks::default();
        let (live, preview) = ("demo".parse().unwrap(), "pr-1--demo".parse().unwrap());
        let guard = locks.take(&live).unwrap();
        assert!(locks.take(&live).is_none());
        assert!(locks.take(&preview).is_some(), "channels never wait for one another");
        drop(guard);
        assert!(locks.take(&live).is_some());
    }
}
