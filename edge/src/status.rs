//! What an edge says of itself.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use verge_daemon::feed::LastSeen;
use verge_protocol::report::Lag;
use verge_protocol::{EdgeName, Position};

/// How far an edge serves what the origin says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Every row up to here is served, or named in `lagging`. `None` until a whole table was told.
    pub position: Option<Position>,
    /// Channels that serve an older release than they should, or none.
    pub lagging: Vec<Lag>,
    /// Channels that were told of.
    pub channels: usize,
    /// Those of them that answer, with whatever release.
    pub served: usize,
    /// Keys that this version cannot read, channels aside: those lag.
    pub unknown: usize,
}

impl Applied {
    /// Whether readers are better sent here than elsewhere: it was told what there is, and serves some of it, if there is any.
    pub fn can_serve(&self) -> bool {
        self.served > 0 || self.position.is_some() && self.channels == 0
    }
}

/// What health, reports and metrics are made of.
#[derive(Clone)]
pub(crate) struct Status {
    pub(crate) edge: EdgeName,
    pub(crate) applied: watch::Receiver<Applied>,
    pub(crate) last_seen: LastSeen,
    /// Cancelled when no more readers should be sent here.
    pub(crate) draining: CancellationToken,
}

impl Status {
    /// Whether it has anything to serve, however old.
    pub(crate) fn can_serve(&self) -> bool {
        self.applied.borrow().can_serve()
    }
}
