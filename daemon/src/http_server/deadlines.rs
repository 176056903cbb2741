//! Deadlines of a connection that mean progress: bytes that achieve nothing do not put them off.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::activity::{self, Activity};
use super::http2_driver::Driver;
use super::in_flight::HTTP2_PIECE_MAX;
use super::limits::HttpLimits;

/// How often a connection is looked at within the shorter of its timeouts.
const CHECKS: u32 = 4;

/// A client with many responses under way, which takes next to nothing of one of them, is taken to be on a slow line as long as a line of so many
/// times [`HttpLimits::write_rate`] would be.
const FAIR_SHARE: u32 = 16;

/// Looks at a connection now and then.
pub(super) struct Deadlines {
    activity: Arc<Activity>,
    checks: Interval,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// Bytes that the slowest client takes from check to check.
    bytes_per_check: u64,
    /// How much longer the client may take nothing of a response for each that it could take: on a slow line they take turns.
    turn: Duration,
    /// The most responses that it could take since each of them has been taken from.
    responses_max: u32,
    /// As of the last check.
    written: u64,
    begun: u32,
    in_flight: u32,
    /// The last check at which it was not at fault.
    good_at: Instant,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing: there was no request since the last check, and none is in flight.
    Quiet,
    /// There was no request for [`HttpLimits::header_timeout`].
    Idle,
    /// The client has taken next to nothing for [`HttpLimits::write_timeout`].
    Stalled,
    /// Of a connection of HTTP/2 whose client takes other things, it has left a part of a response that cannot be taken back.
    Left,
}

impl Deadlines {
    pub(super) fn new(activity: Arc<Activity>, limits: &HttpLimits) -> Self {
        let period = limits.header_timeout.min(limits.write_timeout) / CHECKS;
        let milliseconds = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        let now = Instant::now();
        let mut checks = interval_at(now + period, period);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            activity,
            checks,
            idle_timeout: limits.header_timeout,
            write_timeout: limits.write_timeout,
            bytes_per_check: u64::from(limits.write_rate) * milliseconds / 1000 + 1,
            turn: Duration::from_secs(HTTP2_PIECE_MAX as u64) / limits.write_rate.saturating_mul(FAIR_SHARE),
            responses_max: 0,
            written: 0,
            begun: 0,
            in_flight: 0,
            good_at: now,
        }
    }

    /// Ready at each check at which the connection is quiet or overdue. One of HTTP/2 has a `driver`, whose overdue streams are reset.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, mut driver: Option<&mut Driver>) -> Poll<Due> {
        loop {
            let now = ready!(self.checks.poll_tick(context));
            let is_left = driver.as_mut().is_some_and(|driver| self.check_streams(driver, context));
            match self.check(now, driver.is_some()) {
                None if is_left => return Poll::Ready(Due::Left),
                None => {}
                Some(due) => return Poll::Ready(due),
            }
        }
    }

    /// Whether there is an overdue stream that cannot be reset.
    fn check_streams(&mut self, driver: &mut Driver, context: &Context<'_>) -> bool {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let oldest = driver.oldest_taken_at();
        let stalled = oldest.map_or(0, |oldest| activity::now().saturating_sub(oldest));
        self.activity.set_stream_stalled(stalled);
        // Whoever waits has waited behind all that there were at first.
        let before = if stalled < millis(self.write_timeout) { 0 } else { self.responses_max };
        self.responses_max = self.activity.responses().max(before);
        let allowed = millis(self.write_timeout + self.turn * self.responses_max);
        stalled > allowed && !driver.end_stalled(activity::now().saturating_sub(allowed), context)
    }

    /// With `has_streams`, what it holds of single responses is not looked at.
    fn check(&mut self, now: Instant, has_streams: bool) -> Option<Due> {
        let (written, begun, in_flight) = (self.activity.written(), self.activity.begun(), self.activity.in_flight());
        // While it holds something, only that the client takes it counts.
        let is_waiting = (self.activity.held() > 0 && !has_streams) || self.activity.is_blocked();
        let has_requests = self.activity.is_in_service() || (begun, in_flight) != (self.begun, self.in_flight);
        let is_good = written - self.written >= self.bytes_per_check || (has_requests && !is_waiting);
        (self.written, self.begun, self.in_flight) = (written, begun, in_flight);
        if is_good {
            self.good_at = now;
            return None;
        }
        let elapsed = now - self.good_at;
        match self.activity.waits_for_client() {
            true => (elapsed >= self.write_timeout).then_some(Due::Stalled),
            false if elapsed >= self.idle_timeout => Some(Due::Idle),
            false => Some(Due::Quiet),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::super::in_flight::InFlight;
    use super::*;

    const LIMITS_S: (u64, u64) = (30, 60);

    struct Watched {
        activity: Arc<Activity>,
        deadlines: Deadlines,
        begun_at: Instant,
    }

    impl Watched {
        fn new() -> Self {
            let activity = Arc::new(Activity::new());
            let limits = HttpLimits {
                header_timeout: Duration::from_secs(LIMITS_S.0),
                write_timeout: Duration::from_secs(LIMITS_S.1),
                write_rate: 100,
                ..HttpLimits::default()
            };
            let deadlines = Deadlines::new(Arc::clone(&activity), &limits);
            Self { activity, deadlines, begun_at: Instant::now() }
        }

        /// What is overdue, and after how many seconds, if `each_second` happens meanwhile. `None`: nothing for an hour.
        async fn overdue(&mut self, mut each_second: impl FnMut(&Activity)) -> Option<(Due, u64)> {
            for _ in 0..3600 {
                each_second(&self.activity);
                let second = tokio::time::sleep(Duration::from_secs(1));
                tokio::select! {
                    overdue = poll_fn(|context| loop {
                        match ready!(self.deadlines.poll(context, None)) {
                            Due::Quiet => {}
                            overdue => return Poll::Ready(overdue),
                        }
                    }) => {
                        return Some((overdue, self.begun_at.elapsed().as_secs()));
                    }
                    () = second => {}
                }
            }
            None
        }
    }

    fn in_service(activity: &Arc<Activity>) -> Arc<InFlight> {
        let request = InFlight::begin(activity);
        let _ = request.polled(Poll::<()>::Pending);
        request
    }

    #[tokio::test(start_paused = true)]
    async fn connection_without_requests_is_idle_although_pings_are_answered() {
        let ping = |activity: &Activity| activity.wrote(17, false);
        assert_eq!(Watched::new().overdue(|_| {}).await, Some((Due::Idle, 30)));
        assert_eq!(Watched::new().overdue(ping).await, Some((Due::Idle, 30)));
        let mut watched = Watched::new();
        drop(in_service(&watched.activity));
        // It counts from the check that saw the request.
        assert_eq!(watched.overdue(ping).await, Some((Due::Idle, 37)));
        assert_eq!(watched.overdue(ping).await, Some((Due::Idle, 45)));
    }

    #[tokio::test(start_paused = true)]
    async fn connection_is_quiet_from_the_first_check_without_a_request() {
        let mut watched = Watched::new();
        let due = poll_fn(|context| watched.deadlines.poll(context, None));
        assert_eq!(due.await, Due::Quiet);
        let request = in_service(&watched.activity);
        let due =
            tokio::time::timeout(Duration::from_mins(10), poll_fn(|context| watched.deadlines.poll(context, None)));
        due.await.unwrap_err();
        drop(request);
        let seen_at = Instant::now();
        assert_eq!(poll_fn(|context| watched.deadlines.poll(context, None)).await, Due::Quiet);
        // The first check sees that it has ended.
        assert!(seen_at.elapsed() > Duration::from_secs(8));
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_takes_less_than_the_rate_is_stalled() {
        for (bytes, is_stalled) in [(0, true), (1, true), (80, true), (120, false)] {
            let mut watched = Watched::new();
            let _request = InFlight::begin(&watched.activity);
            let overdue = watched.overdue(|activity| activity.wrote(bytes, true)).await;
            let at = overdue.map(|(overdue, seconds)| (overdue, (60..=75).contains(&seconds)));
            assert_eq!(at, is_stalled.then_some((Due::Stalled, true)), "{bytes} bytes a second");
        }
    }

    /// The last response is complete for hyper once it has the bytes, which may be long before the client has them.
    #[tokio::test(start_paused = true)]
    async fn client_that_takes_the_rest_of_a_response_is_not_idle() {
        let mut watched = Watched::new();
        assert_eq!(watched.overdue(|activity| activity.wrote(200, true)).await, None);
        let overdue = watched.overdue(|activity| activity.wrote(0, true)).await;
        assert_eq!(overdue.map(|(overdue, _)| overdue), Some(Due::Stalled));
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_waits_for_the_service_may_wait() {
        let mut watched = Watched::new();
        let request = in_service(&watched.activity);
        assert_eq!(watched.overdue(|_| {}).await, None);
        drop(request);
        assert_eq!(watched.overdue(|_| {}).await.map(|(overdue, _)| overdue), Some(Due::Idle));
    }

    /// Its other requests may wait for the service, or be answered at once: HTTP/2.
    #[tokio::test(start_paused = true)]
    async fn client_that_leaves_a_part_of_a_response_is_stalled_whatever_else_it_asks_for() {
        let mut watched = Watched::new();
        let held = InFlight::begin(&watched.activity).hold(vec![0; 100_000].into());
        let _request = in_service(&watched.activity);
        let activity = Arc::clone(&watched.activity);
        let overdue = watched.overdue(|_| drop(InFlight::begin(&activity))).await;
        assert_eq!(overdue.map(|(overdue, _)| overdue), Some(Due::Stalled));
        drop(held);
        assert_eq!(watched.overdue(|_| {}).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn connection_with_a_request_now_and_then_stays() {
        let mut watched = Watched::new();
        let mut seconds = 0;
        let activity = Arc::clone(&watched.activity);
        let overdue = watched.overdue(|_| {
            seconds += 1;
            if seconds % 29 == 0 {
                drop(InFlight::begin(&activity));
            }
        });
        assert_eq!(overdue.await, None);
    }
}
