//! What an edge says of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verge_protocol::report::Lag;
use verge_protocol::{EdgeName, Position};

/// How far an edge serves what the origin says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Every row up to here is served, or named in `lagging`. `None` until the first snapshot is complete.
    pub position: Option<Position>,
    /// Channels that serve an older release than they should, or none.
    pub lagging: Vec<Lag>,
    /// Channels that were told of.
    pub channels: usize,
    /// Those of them that answer, with whatever release.
    pub served: usize,
    /// Keys of kinds that this version does not know.
    pub unknown: usize,
}

impl Applied {
    /// Whether readers are better sent here than elsewhere: it was told what there is, and serves some of it, if there is any.
    pub fn can_serve(&self) -> bool {
        self.position.is_some() && (self.channels == 0 || self.served > 0)
    }
}

/// When an origin was last heard. Clones share it.
#[derive(Clone)]
pub(crate) struct Heard {
    start: Instant,
    /// Milliseconds after `start`, plus one; 0: never.
    last: Arc<AtomicU64>,
}

impl Heard {
    /// Not heard yet.
    pub(crate) fn never() -> Self {
        Self { start: Instant::now(), last: Arc::default() }
    }

    /// Heard just now.
    pub(crate) fn now(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(millis + 1, Ordering::Relaxed);
    }

    /// How long ago; `None` if never.
    pub(crate) fn ago(&self) -> Option<Duration> {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed).checked_sub(1)?);
        Some(self.start.elapsed().saturating_sub(last))
    }
}

/// What health, reports and metrics are made of.
#[derive(Clone)]
pub(crate) struct Status {
    pub(crate) edge: EdgeName,
    pub(crate) applied: watch::Receiver<Applied>,
    pub(crate) heard: Heard,
    pub(crate) draining: CancellationToken,
}

impl Status {
    /// Whether it has anything to serve, however old.
    pub(crate) fn can_serve(&self) -> bool {
        self.applied.borrow().can_serve()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_since_the_last_word() {
        let heard = Heard::never();
        assert_eq!(heard.ago(), None);
        heard.now();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(heard.ago(), Some(Duration::from_secs(3)));
    }
}
