//! The answerer of one UDP thread or one TCP connection: answers from the current snapshot, counts, rate-limits and logs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use tokio::time::Instant;

use crate::answer;
use crate::dns::query::NameBuffer;
use crate::dns::rate_limiter::{RateLimitAction, RateLimiter};
use crate::dns::transport::{Answerer, Transport};
use crate::metrics::QueryCounters;
use crate::query_log::QueryLog;
use crate::snapshot::Snapshot;

/// Answers queries from the current snapshot, without locks or I/O.
pub(crate) struct Service {
    snapshots: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    transport: Transport,
    name: NameBuffer,
    /// `None` over TCP, where source addresses cannot be forged.
    limiter: Option<RateLimiter>,
    counts: Arc<QueryCounters>,
    log: QueryLog,
    started: Instant,
    now: Duration,
}

impl Service {
    pub(crate) fn new(
        snapshots: Arc<ArcSwap<Snapshot>>,
        transport: Transport,
        limiter: Option<RateLimiter>,
        counts: Arc<QueryCounters>,
        log: QueryLog,
    ) -> Self {
        let started = Instant::now();
        let (snapshots, name) = (Cache::new(snapshots), NameBuffer::default());
        Self { snapshots, transport, name, limiter, counts, log, started, now: Duration::ZERO }
    }
}

impl Answerer for Service {
    fn begin(&mut self) {
        self.now = self.started.elapsed();
    }

    fn answer(&mut self, packet: &[u8], peer: SocketAddr, buffer: &mut [u8]) -> Option<usize> {
        let snapshot = self.snapshots.load();
        let peer = peer.ip().to_canonical();
        let Some(summary) = answer::answer(packet, peer, self.transport, snapshot, &mut self.name, buffer) else {
            self.counts.ignored();
            return None;
        };
        let first = summary.selection.and_then(|selection| snapshot.edge_counters.get(selection.edges().first()?.edge));
        if let Some(count) = first {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.answered(&summary, self.transport);
        self.log.answered(&summary, peer, self.transport);
        let limiter = self.limiter.as_mut();
        let action = limiter.map(|limiter| limiter.check(self.now, peer, summary.rcode, summary.rate_limit_key));
        match action {
            None | Some(RateLimitAction::Send) => Some(summary.length),
            Some(RateLimitAction::Slip) => {
                self.counts.limited(RateLimitAction::Slip);
                answer::slip(packet, &mut self.name, buffer)
            }
            Some(RateLimitAction::Drop) => {
                self.counts.limited(RateLimitAction::Drop);
                None
            }
        }
    }
}
