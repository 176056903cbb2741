//! The task that probes one address.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use verge_protocol::EdgeName;

use super::board::Outcome;
use super::probe::Probe;
use super::tracker::Tracker;

/// What a task that probes has to say.
pub(super) struct Report {
    pub(super) place: Place,
    pub(super) turn: u64,
    pub(super) outcome: Outcome,
}

/// An address of an edge.
pub(super) type Place = (EdgeName, IpAddr);

/// Probes one address.
pub(super) struct Visitor {
    pub(super) place: Place,
    pub(super) turn: u64,
    pub(super) probe: Probe,
    pub(super) tracker: Tracker,
    pub(super) start: Instant,
    pub(super) reports: mpsc::Sender<Report>,
}

impl Visitor {
    /// Probes for ever, `first` after it is started and then as the tracker has it.
    pub(super) async fn run(mut self, first: Duration) {
        let mut wait = first;
        loop {
            tokio::time::sleep(wait).await;
            let began = Instant::now();
            let answer = self.probe.ask().await;
            let now = self.start.elapsed();
            self.tracker.hear(answer.is_ok(), now);
            let (up, shaky) = (self.tracker.is_up(), self.tracker.is_shaky(now));
            let outcome = Outcome { answer, took: began.elapsed(), up, shaky };
            if self.reports.send(Report { place: self.place.clone(), turn: self.turn, outcome }).await.is_err() {
                return;
            }
            wait = self.tracker.wait();
        }
    }
}

/// When in the interval to begin with an address: spread evenly, and the same at each start, whatever others there are.
pub(super) fn offset(edge: &EdgeName, address: IpAddr, interval: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    (edge, address).hash(&mut hasher);
    interval * u32::from(hasher.finish().to_le_bytes()[0]) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_begin_all_over_the_interval() {
        let interval = Duration::from_secs(5);
        let at = |last: u8| offset(&"fra-1".parse().unwrap(), [192, 0, 2, last].into(), interval);
        let mut fifths = [0; 5];
        for last in 0..=255 {
            assert!(at(last) < interval);
            assert_eq!(at(last), at(last));
            fifths[usize::try_from(at(last).as_secs()).unwrap()] += 1;
        }
        assert!(fifths.iter().all(|count| (30..75).contains(count)), "{fifths:?}");
    }
}
