//! Queries by zone, type and code. Each thread counts by itself, so that none waits for another; whoever looks adds them up.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::EdgeCounts;
use crate::answer::AnswerSummary;
use crate::dns::message::Rcode;
use crate::dns::rate_limiter::RateLimitAction;
use crate::dns::record::RecordType;
use crate::dns::transport::Transport;

/// Types that are counted by their name; all others together.
const TYPES: [RecordType; 15] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::NS,
    RecordType::SOA,
    RecordType::MX,
    RecordType::TXT,
    RecordType::CNAME,
    RecordType::CAA,
    RecordType::SRV,
    RecordType::PTR,
    RecordType::DS,
    RecordType::DNSKEY,
    RecordType::SVCB,
    RecordType::HTTPS,
    RecordType::ANY,
];

const RCODES: [Rcode; 7] =
    [Rcode::NOERROR, Rcode::FORMERR, Rcode::SERVFAIL, Rcode::NXDOMAIN, Rcode::NOTIMP, Rcode::REFUSED, Rcode::BADVERS];

/// Each type, and the others.
const COLUMNS: usize = TYPES.len() + 1;

/// What one thread counted, or all connections over TCP.
pub(crate) struct Counts {
    /// By zone, none first; then by type; then by code.
    queries: Box<[AtomicU64]>,
    udp: AtomicU64,
    tcp: AtomicU64,
    with_subnet: AtomicU64,
    noise: AtomicU64,
    dropped: AtomicU64,
    slipped: AtomicU64,
}

impl Counts {
    fn new(zones: usize) -> Self {
        let queries = std::iter::repeat_with(AtomicU64::default).take((zones + 1) * COLUMNS * RCODES.len()).collect();
        let zero = AtomicU64::default;
        Self { queries, udp: zero(), tcp: zero(), with_subnet: zero(), noise: zero(), dropped: zero(), slipped: zero() }
    }

    /// One answer.
    pub(crate) fn answered(&self, answered: &AnswerSummary<'_>, transport: Transport) {
        let zone = answered.zone.map_or(0, |zone| zone + 1);
        let column = answered.question.and_then(|(_, asked)| TYPES.iter().position(|known| *known == asked));
        let rcode = RCODES.iter().position(|known| *known == answered.rcode).unwrap_or(0);
        let place = (zone * COLUMNS + column.unwrap_or(TYPES.len())) * RCODES.len() + rcode;
        if let Some(count) = self.queries.get(place) {
            add(count);
        }
        add(match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
        });
        if answered.with_subnet {
            add(&self.with_subnet);
        }
    }

    /// A packet that got no answer.
    pub(crate) fn noise(&self) {
        add(&self.noise);
    }

    /// An answer that was limited.
    pub(crate) fn limited(&self, action: RateLimitAction) {
        match action {
            RateLimitAction::Send => {}
            RateLimitAction::Slip => add(&self.slipped),
            RateLimitAction::Drop => add(&self.dropped),
        }
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// The counts of all threads.
#[derive(Clone)]
pub(super) struct Queries {
    zones: Arc<[String]>,
    threads: Arc<Mutex<Vec<Arc<Counts>>>>,
}

impl Queries {
    pub(super) fn new(zones: Vec<String>) -> Self {
        Self { zones: zones.into(), threads: Arc::default() }
    }

    pub(super) fn counts(&self) -> Arc<Counts> {
        let counts = Arc::new(Counts::new(self.zones.len()));
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counts));
        counts
    }

    fn sum(&self, of: impl Fn(&Counts) -> &AtomicU64) -> u64 {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.iter().map(|counts| of(counts).load(Ordering::Relaxed)).sum()
    }
}

/// Shows what was counted.
pub(super) struct Shown {
    pub(super) queries: Queries,
    pub(super) edges: EdgeCounts,
}

impl fmt::Debug for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shown")
    }
}

impl Shown {
    fn queries(&self, mut metric: MetricEncoder<'_>) -> fmt::Result {
        let zones = std::iter::once("").chain(self.queries.zones.iter().map(String::as_str));
        let names = TYPES.iter().map(ToString::to_string).chain(["other".to_owned()]);
        let names: Vec<String> = names.collect();
        for (zone, zone_name) in zones.enumerate() {
            for (column, name) in names.iter().enumerate() {
                for (row, rcode) in RCODES.iter().enumerate() {
                    let place = (zone * COLUMNS + column) * RCODES.len() + row;
                    let count = self.queries.sum(|counts| &counts.queries[place]);
                    if count > 0 {
                        let labels = [("zone", zone_name), ("type", name), ("rcode", rcode.name())];
                        ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Questions that were answered; the empty zone is none of ours";
        self.queries(encoder.encode_descriptor("verge_dns_queries", help, None, MetricType::Counter)?)?;
        let mut show = |name: &str, help: &str, count: u64| {
            ConstCounter::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
        };
        let sum = |of: fn(&Counts) -> &AtomicU64| self.queries.sum(of);
        show("verge_dns_udp", "Answers over UDP", sum(|counts| &counts.udp))?;
        show("verge_dns_tcp", "Answers over TCP", sum(|counts| &counts.tcp))?;
        show("verge_dns_client_subnet", "Questions with a client subnet", sum(|counts| &counts.with_subnet))?;
        show("verge_dns_noise", "Packets that got no answer", sum(|counts| &counts.noise))?;
        show("verge_dns_dropped", "Answers not sent: over the rate limit", sum(|counts| &counts.dropped))?;
        show("verge_dns_slipped", "Answers cut short: over the rate limit", sum(|counts| &counts.slipped))?;
        let help = "Answers that named this edge first";
        let mut metric = encoder.encode_descriptor("verge_dns_edge_named", help, None, MetricType::Counter)?;
        let edges = self.edges.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut edges: Vec<_> = edges.iter().map(|(edge, count)| (edge, count.load(Ordering::Relaxed))).collect();
        edges.sort();
        for (edge, count) in edges {
            ConstCounter::new(count).encode(metric.encode_family(&[("edge", edge.as_str())])?)?;
        }
        Ok(())
    }
}
