//! Whether an address is up, from the results of its probes.

use std::collections::VecDeque;
use std::time::Duration;

use super::probe_settings::{DOUBLINGS, ProbeSettings, RECOVERY_MEMORY};

/// How long an address is suspect after a recovery.
const SUSPECT_AFTER_RECOVERY: Duration = Duration::from_mins(1);

/// The state of one address. It transitions only after several consecutive results, and each recent recovery doubles the successes
/// required for the next, so that it transitions no more often than [`ProbeSettings::max_transitions`].
///
/// Times are since the start of the daemon.
#[derive(Debug, Clone)]
pub(super) struct Tracker {
    settings: ProbeSettings,
    state: State,
    /// The times of the last few recoveries.
    recoveries: VecDeque<Duration>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Up {
        /// Consecutive failures, fewer than `fall`.
        failures: u32,
    },
    Down {
        /// Consecutive successes, fewer than required.
        successes: u32,
    },
}

impl Tracker {
    /// An address that is up or down, without contradicting results.
    pub(super) fn new(settings: ProbeSettings, up: bool) -> Self {
        let state = if up { State::Up { failures: 0 } } else { State::Down { successes: 0 } };
        Self { settings, state, recoveries: VecDeque::with_capacity(DOUBLINGS) }
    }

    /// Records the result of a probe that ended at `now`.
    pub(super) fn record(&mut self, success: bool, now: Duration) {
        self.state = match self.state {
            State::Up { .. } if success => State::Up { failures: 0 },
            State::Up { failures } if failures + 1 < self.settings.fall.get() => State::Up { failures: failures + 1 },
            State::Up { .. } | State::Down { .. } if !success => State::Down { successes: 0 },
            State::Down { successes } if successes + 1 < self.required_successes(now) => {
                State::Down { successes: successes + 1 }
            }
            State::Up { .. } | State::Down { .. } => {
                if self.recoveries.len() == DOUBLINGS {
                    self.recoveries.pop_front();
                }
                self.recoveries.push_back(now);
                State::Up { failures: 0 }
            }
        };
    }

    fn required_successes(&self, now: Duration) -> u32 {
        let is_recent = |at: &&Duration| now.saturating_sub(**at) < RECOVERY_MEMORY;
        self.settings.required_successes(self.recoveries.iter().filter(is_recent).count())
    }

    /// Whether the address is up.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Whether the address is up but may soon go down: its last probe failed, or it recovered within the last minute.
    pub(super) fn is_suspect(&self, now: Duration) -> bool {
        let recovered = self.recoveries.back().is_some_and(|at| now.saturating_sub(*at) < SUSPECT_AFTER_RECOVERY);
        matches!(self.state, State::Up { failures } if failures > 0 || recovered)
    }

    /// The delay before the next probe.
    pub(super) fn next_delay(&self) -> Duration {
        match self.state {
            State::Up { failures: 0 } | State::Down { successes: 0 } => self.settings.interval,
            State::Up { .. } | State::Down { .. } => self.settings.retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The state of an address after each result, `+` or `-`, a second apart: `U`p, `u`p but suspect, or `d`own; and the delay
    /// before the next probe: `.` the interval, `!` the retry.
    fn states(up: bool, outcomes: &str) -> String {
        let mut tracker = Tracker::new(ProbeSettings::default(), up);
        let mut states = String::new();
        for (second, outcome) in (1..).zip(outcomes.chars()) {
            let now = Duration::from_secs(second);
            tracker.record(outcome == '+', now);
            states.push(match (tracker.is_up(), tracker.is_suspect(now)) {
                (true, false) => 'U',
                (true, true) => 'u',
                (false, _) => 'd',
            });
            states.push(if tracker.next_delay() == tracker.settings.interval { '.' } else { '!' });
        }
        states
    }

    #[test]
    fn state_changes_after_the_required_consecutive_results() {
        for (up, outcomes, expected) in [
            (true, "+--+--+", "U.u!u!U.u!u!U."),
            (true, "---", "u!u!d."),
            (true, "----++-", "u!u!d.d.d!d!d."),
            (false, "++-+++", "d!d!d.d!d!u."),
            (false, "+++-+", "d!d!u.u!u."),
            // The second recovery requires six successes.
            (false, "+++---+++++-", "d!d!u.u!u!d.d!d!d!d!d!d."),
            (false, "+++---++++++", "d!d!u.u!u!d.d!d!d!d!d!u."),
        ] {
            assert_eq!(states(up, outcomes), expected, "{up} {outcomes}");
        }
    }

    #[test]
    fn recovered_address_is_suspect_for_a_minute() {
        let states = states(false, &"+".repeat(63));
        assert!(states.ends_with("u.U."), "{states}");
        assert_eq!(states.matches('U').count(), 1);
    }

    #[test]
    fn recoveries_are_forgotten_after_ten_minutes() {
        let mut tracker = Tracker::new(ProbeSettings::default(), true);
        let mut required = Vec::new();
        let mut now = Duration::ZERO;
        let mut fall_and_recover = |tracker: &mut Tracker, pause| {
            now += pause;
            for _ in 0..3 {
                tracker.record(false, now);
            }
            let mut successes = 0;
            while !tracker.is_up() {
                now += Duration::from_secs(1);
                tracker.record(true, now);
                successes += 1;
            }
            required.push(successes);
        };
        for pause in [0, 9, 9, 9, 9, 9, 300, 590, 600] {
            fall_and_recover(&mut tracker, Duration::from_secs(pause));
        }
        assert_eq!(required, [3, 6, 12, 24, 48, 48, 48, 6, 3]);
    }

    /// The times of the transitions when `outcome` gives the result and latency of each probe, given whether the address is up.
    fn transitions(
        settings: ProbeSettings,
        probes: usize,
        mut outcome: impl FnMut(usize, bool) -> (bool, Duration),
    ) -> Vec<Duration> {
        let mut tracker = Tracker::new(settings, true);
        let (mut now, mut transitions) = (Duration::ZERO, Vec::new());
        for probe in 0..probes {
            let up = tracker.is_up();
            let (success, latency) = outcome(probe, up);
            now += tracker.next_delay() + latency;
            tracker.record(success, now);
            if tracker.is_up() != up {
                transitions.push(now);
            }
        }
        transitions
    }

    fn most_within(transitions: &[Duration], window: Duration) -> u64 {
        let within =
            |from: usize| transitions[from..].iter().take_while(|at| **at < transitions[from] + window).count();
        (0..transitions.len()).map(within).max().unwrap_or(0) as u64
    }

    #[test]
    fn address_that_fails_at_each_recovery_comes_close_to_the_bound() {
        let settings = ProbeSettings::default();
        let transitions = transitions(settings, 3_000, |_, up| (!up, Duration::ZERO));
        let window = Duration::from_mins(10);
        let most = most_within(&transitions, window);
        assert!((settings.max_transitions(window) - 1..=settings.max_transitions(window)).contains(&most), "{most}");
    }

    proptest! {
        /// Whatever the probes return and however long they take, the number of transitions is bounded: in windows of
        /// any length, also for an adversary that mostly contradicts the current state.
        #[test]
        fn transitions_are_bounded(
            outcomes in prop::collection::vec((any::<bool>(), 0..10_u8, 0..1_500_u64), 1..1_000),
            contrary in 0..10_u8,
            window in 1..2_000_u64,
            (interval, retry, fall, rise) in (1..10_u64, 1..10_u64, 1..5_u32, 1..5_u32),
        ) {
            let settings = ProbeSettings {
                interval: Duration::from_secs(interval),
                retry: Duration::from_secs(retry),
                fall: fall.try_into().unwrap(),
                rise: rise.try_into().unwrap(),
                ..ProbeSettings::default()
            };
            let transitions = transitions(settings, outcomes.len(), |probe, up| {
                let (success, mood, millis) = outcomes[probe];
                if mood < contrary { (!up, Duration::ZERO) } else { (success, Duration::from_millis(millis)) }
            });
            let window = Duration::from_secs(window);
            prop_assert!(most_within(&transitions, window) <= settings.max_transitions(window));
        }

        /// Fewer consecutive failures than `fall` never take it down.
        #[test]
        fn failures_below_the_fall_never_take_an_address_down(runs in prop::collection::vec((0..3_usize, 1..4_usize), 0..50)) {
            let outcomes = runs.iter().flat_map(|(bad, good)| ["-".repeat(*bad), "+".repeat(*good)]);
            prop_assert!(!states(true, &outcomes.collect::<String>()).contains('d'));
        }
    }
}
