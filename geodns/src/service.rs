//! What one thread, or one connection, answers with: the snapshot of the moment, and those who count, limit and log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use tokio::time::Instant;

use crate::answer::{self, Transport};
use crate::dns::limit::{Limiter, Verdict};
use crate::dns::query::NameBuffer;
use crate::dns::udp::Answerer;
use crate::metrics::QueryCounters;
use crate::query_log::QueryLog;
use crate::snapshot::Snapshot;

/// Answers questions from the last snapshot. The way to an answer takes no lock and waits for nothing.
pub(crate) struct Service {
    snapshots: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    transport: Transport,
    name: NameBuffer,
    /// Over TCP nobody is limited: an answer goes to who asked.
    limiter: Option<Limiter>,
    counts: Arc<QueryCounters>,
    log: QueryLog,
    started: Instant,
    now: Duration,
}

impl Service {
    pub(crate) fn new(
        snapshots: Arc<ArcSwap<Snapshot>>,
        transport: Transport,
        limiter: Option<Limiter>,
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
        let Some(answered) = answer::answer(packet, peer, self.transport, snapshot, &mut self.name, buffer) else {
            self.counts.ignored();
            return None;
        };
        let first =
            answered.selection.and_then(|selection| snapshot.edge_counters.get(selection.edges().first()?.edge));
        if let Some(count) = first {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.answered(&answered, self.transport);
        self.log.answered(&answered, peer, self.transport);
        let limiter = self.limiter.as_mut();
        let verdict = limiter.map(|limiter| limiter.check(self.now, peer, answered.rcode, answered.about));
        match verdict {
            None | Some(Verdict::Send) => Some(answered.length),
            Some(Verdict::Slip) => {
                self.counts.limited(Verdict::Slip);
                answer::slip(packet, &mut self.name, buffer)
            }
            Some(Verdict::Drop) => {
                self.counts.limited(Verdict::Drop);
                None
            }
        }
    }
}
