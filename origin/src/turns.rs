//! What keeps those who move channels out of each other's way.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use verge_protocol::host::HostLabel;

/// Who is moving which channel.
#[derive(Clone, Default)]
pub(crate) struct Turns {
    busy: Arc<Mutex<HashSet<HostLabel>>>,
    history: Arc<tokio::sync::Mutex<()>>,
}

/// The right to move a channel, until it is dropped.
pub(crate) struct Turn {
    turns: Turns,
    label: HostLabel,
}

impl Turns {
    /// Takes the channel's turn; `None` while somebody else has it.
    pub(crate) fn take(&self, label: &HostLabel) -> Option<Turn> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(label.clone()).then(|| Turn { turns: self.clone(), label: label.clone() })
    }

    /// To be held from reading what paths were first released with until that is written: else two channels of a site could
    /// release different bytes as immutable at one path.
    pub(crate) async fn history(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.history).lock_owned().await
    }
}

impl Turn {
    /// Which channel.
    pub(crate) fn label(&self) -> &HostLabel {
        &self.label
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_for_each_channel() {
        let turns = Turns::default();
        let (live, preview) = ("demo".parse().unwrap(), "pr-1--demo".parse().unwrap());
        let turn = turns.take(&live).unwrap();
        assert!(turns.take(&live).is_none());
        assert!(turns.take(&preview).is_some(), "channels never wait for one another");
        drop(turn);
        assert!(turns.take(&live).is_some());
    }
}
