//! Queries by zone, record type and response code. Each thread has its own counters, which are summed at each scrape.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::edge_counters::EdgeCounters;
use crate::answer::AnswerSummary;
use crate::dns::message::Rcode;
use crate::dns::rate_limiter::RateLimitAction;
use crate::dns::record::RecordType;
use crate::dns::transport::Transport;

/// Record types that are counted by name; all others are counted together.
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

/// The record types, and the others.
const COLUMNS: usize = TYPES.len() + 1;

/// The counters of one thread, or of all TCP connections.
pub(crate) struct QueryCounters {
    /// By zone, starting with no zone; then by record type; then by response code.
    queries: Box<[AtomicU64]>,
    udp: AtomicU64,
    tcp: AtomicU64,
    with_subnet: AtomicU64,
    ignored: AtomicU64,
    dropped: AtomicU64,
    slipped: AtomicU64,
}

impl QueryCounters {
    fn new(zones: usize) -> Self {
        let queries = std::iter::repeat_with(AtomicU64::default).take((zones + 1) * COLUMNS * RCODES.len()).collect();
        let zero = AtomicU64::default;
        Self {
            queries,
            udp: zero(),
            tcp: zero(),
            with_subnet: zero(),
            ignored: zero(),
            dropped: zero(),
            slipped: zero(),
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, answered: &AnswerSummary<'_>, transport: Transport) {
        let zone = answered.zone.map_or(0, |zone| zone + 1);
        let column = answered.question.and_then(|(_, asked)| TYPES.iter().position(|known| *known == asked));
        let rcode = RCODES.iter().position(|known| *known == answered.rcode).unwrap_or(0);
        let index = (zone * COLUMNS + column.unwrap_or(TYPES.len())) * RCODES.len() + rcode;
        if let Some(count) = self.queries.get(index) {
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

    /// Counts a packet that was ignored.
    pub(crate) fn ignored(&self) {
        add(&self.ignored);
    }

    /// Counts an answer that was rate-limited.
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

/// The counters of all threads.
#[derive(Clone)]
pub(super) struct Queries {
    zones: Arc<[String]>,
    threads: Arc<Mutex<Vec<Arc<QueryCounters>>>>,
}

impl Queries {
    pub(super) fn new(zones: Vec<String>) -> Self {
        Self { zones: zones.into(), threads: Arc::default() }
    }

    pub(super) fn counts(&self) -> Arc<QueryCounters> {
        let counts = Arc::new(QueryCounters::new(self.zones.len()));
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counts));
        counts
    }

    fn sum(&self, of: impl Fn(&QueryCounters) -> &AtomicU64) -> u64 {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.iter().map(|counts| of(counts).load(Ordering::Relaxed)).sum()
    }
}

/// Exports the counters.
pub(super) struct QueryCollector {
    pub(super) queries: Queries,
    pub(super) edges: EdgeCounters,
}

impl fmt::Debug for QueryCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shown")
    }
}

impl QueryCollector {
    fn queries(&self, mut metric: MetricEncoder<'_>) -> fmt::Result {
        let zones = std::iter::once("").chain(self.queries.zones.iter().map(String::as_str));
        let names = TYPES.iter().map(ToString::to_string).chain(["other".to_owned()]);
        let names: Vec<String> = names.collect();
        for (zone, zone_name) in zones.enumerate() {
            for (column, name) in names.iter().enumerate() {
                for (row, rcode) in RCODES.iter().enumerate() {
                    let index = (zone * COLUMNS + column) * RCODES.len() + row;
                    let count = self.queries.sum(|counts| &counts.queries[index]);
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

impl Collector for QueryCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Queries answered; the empty zone stands for names outside all zones";
        self.queries(encoder.encode_descriptor("verge_dns_queries", help, None, MetricType::Counter)?)?;
        let mut counter = |name: &str, help: &str, count: u64| {
            ConstCounter::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
        };
        let sum = |of: fn(&QueryCounters) -> &AtomicU64| self.queries.sum(of);
        counter("verge_dns_udp", "Answers over UDP", sum(|counts| &counts.udp))?;
        counter("verge_dns_tcp", "Answers over TCP", sum(|counts| &counts.tcp))?;
        counter("verge_dns_client_subnet", "Queries with a client subnet", sum(|counts| &counts.with_subnet))?;
        counter("verge_dns_ignored", "Packets ignored: no valid query", sum(|counts| &counts.ignored))?;
        counter("verge_dns_dropped", "Answers not sent because of the rate limit", sum(|counts| &counts.dropped))?;
        counter("verge_dns_slipped", "Answers truncated because of the rate limit", sum(|counts| &counts.slipped))?;
        let help = "Answers in which this edge came first";
        let mut metric = encoder.encode_descriptor("verge_dns_edge_first", help, None, MetricType::Counter)?;
        for (edge, count) in self.edges.counts() {
            ConstCounter::new(count).encode(metric.encode_family(&[("edge", edge.as_str())])?)?;
        }
        Ok(())
    }
}
