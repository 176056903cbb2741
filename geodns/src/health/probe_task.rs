//! The task that probes one address.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use verge_protocol::EdgeName;

use super::aggregate::ProbeOutcome;
use super::probe::Probe;
use super::tracker::Tracker;

/// A message from a [`ProbeTask`]: a probe has ended.
pub(super) struct ProbeReport {
    pub(super) target: ProbeTarget,
    pub(super) task_id: u64,
    pub(super) outcome: ProbeOutcome,
}

/// An address of an edge.
pub(super) type ProbeTarget = (EdgeName, IpAddr);

/// Probes one address.
pub(super) struct ProbeTask {
    pub(super) target: ProbeTarget,
    /// Tells this task from an earlier one with the same target.
    pub(super) task_id: u64,
    pub(super) probe: Probe,
    pub(super) tracker: Tracker,
    pub(super) start: Instant,
    pub(super) reports: mpsc::Sender<ProbeReport>,
}

impl ProbeTask {
    /// Probes until the receiver of the reports is dropped: first after `first_delay`, then as the tracker says.
    pub(super) async fn run(mut self, first_delay: Duration) {
        let mut delay = first_delay;
        loop {
            tokio::time::sleep(delay).await;
            let began = Instant::now();
            let answer = self.probe.send().await;
            let now = self.start.elapsed();
            self.tracker.record(answer.is_ok(), now);
            let (up, suspect) = (self.tracker.is_up(), self.tracker.is_suspect(now));
            let outcome = ProbeOutcome { answer, latency: began.elapsed(), up, suspect };
            let report = ProbeReport { target: self.target.clone(), task_id: self.task_id, outcome };
            if self.reports.send(report).await.is_err() {
                return;
            }
            delay = self.tracker.next_delay();
        }
    }
}

/// The delay before the first probe of an address: spread evenly over the interval, and the same at each start.
pub(super) fn initial_delay(edge: &EdgeName, address: IpAddr, interval: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (edge, address).hash(&mut hasher);
    interval * u32::from(hasher.finish().to_le_bytes()[0]) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_delays_are_constant_and_spread_over_the_interval() {
        let interval = Duration::from_secs(5);
        let at = |last: u8| initial_delay(&"fra-1".parse().unwrap(), [192, 0, 2, last].into(), interval);
        let mut fifths = [0; 5];
        for last in 0..=255 {
            assert!(at(last) < interval);
            assert_eq!(at(last), at(last));
            fifths[usize::try_from(at(last).as_secs()).unwrap()] += 1;
        }
        assert!(fifths.iter().all(|count| (30..75).contains(count)), "{fifths:?}");
    }
}
