//! What a connection is doing: the basis for deciding whether it may stay.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How much longer ago the last progress of an idle connection seems to be than that of a busy one, in milliseconds.
const BUSY_BONUS: u64 = 10_000;

/// The activity of one connection, told by its stream and its requests.
#[derive(Debug)]
pub(super) struct Activity {
    /// Bytes that the kernel has taken.
    written: AtomicU64,
    /// The kernel takes no more at present.
    is_blocked: AtomicBool,
    /// The kernel will take nothing more.
    is_closed: AtomicBool,
    /// Requests that have begun.
    begun: AtomicU32,
    /// Requests whose responses the kernel has, or that were given up.
    ended: AtomicU32,
    /// Requests that wait for the service, not for the client.
    in_service: AtomicU32,
    /// Bytes of responses that were handed over and not given to the kernel, but for small pieces.
    held: AtomicUsize,
    /// How long the client has taken nothing of one of its responses, as of the last check, in milliseconds. [`u64::MAX`]: that is not known, since
    /// the connection is not one of HTTP/2.
    stream_stalled: AtomicU64,
    /// When bytes were written, or a request began or ended, in milliseconds of [`now`].
    progressed_at: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            written: AtomicU64::new(0),
            is_blocked: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            begun: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            in_service: AtomicU32::new(0),
            held: AtomicUsize::new(0),
            stream_stalled: AtomicU64::new(u64::MAX),
            // It is given as much time for its first request as one that has a request.
            progressed_at: AtomicU64::new(now() + BUSY_BONUS),
        }
    }

    /// The kernel has taken bytes; `is_blocked` tells whether it has left some.
    pub(super) fn wrote(&self, bytes: usize, is_blocked: bool) {
        self.written.fetch_add(bytes as u64, Relaxed);
        self.is_blocked.store(is_blocked, Relaxed);
        if bytes > 0 {
            self.progressed_at.store(now(), Relaxed);
        }
    }

    /// Bytes have come. Those of a request's body are progress.
    pub(super) fn has_read(&self) {
        if self.is_in_service() {
            self.progressed_at.store(now(), Relaxed);
        }
    }

    /// Bytes that the kernel has taken.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Whether the kernel takes no more at present.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Relaxed)
    }

    /// Notes that the kernel will take nothing more: the stream has failed, or is given up.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Relaxed);
    }

    /// Whether the kernel will take nothing more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }

    /// Requests that have begun.
    pub(super) fn begun(&self) -> u32 {
        self.begun.load(Relaxed)
    }

    /// Requests that have begun and not ended.
    pub(super) fn in_flight(&self) -> u32 {
        self.begun().wrapping_sub(self.ended.load(Relaxed))
    }

    /// Responses that wait for the client to take them.
    pub(super) fn responses(&self) -> u32 {
        // The two are not read at one moment.
        self.in_flight().saturating_sub(self.in_service.load(Relaxed))
    }

    /// Whether a request waits for the service.
    pub(super) fn is_in_service(&self) -> bool {
        self.in_service.load(Relaxed) > 0
    }

    /// Bytes that it holds in memory because its client has not taken them; small pieces are not counted.
    pub(super) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Whether the client has yet to take something.
    pub(super) fn waits_for_client(&self) -> bool {
        self.is_blocked() || self.responses() > 0
    }

    /// How long the client has taken nothing of one of the responses that wait for it.
    pub(super) fn stalled_for(&self) -> Duration {
        let milliseconds = match (self.responses(), self.stream_stalled.load(Relaxed)) {
            (0, _) => 0,
            (_, u64::MAX) => now().saturating_sub(self.progressed_at.load(Relaxed)),
            (_, stalled) => stalled,
        };
        Duration::from_millis(milliseconds)
    }

    /// Notes how long the client of a connection of HTTP/2 has taken nothing of one of its responses, in milliseconds.
    pub(super) fn set_stream_stalled(&self, milliseconds: u64) {
        self.stream_stalled.store(milliseconds, Relaxed);
    }

    /// Notes that a request has begun.
    pub(super) fn begin_request(&self) {
        self.begun.fetch_add(1, Relaxed);
        self.progressed_at.store(now(), Relaxed);
    }

    /// Notes that a request has ended.
    pub(super) fn end_request(&self) {
        self.ended.fetch_add(1, Relaxed);
        self.progressed_at.store(now(), Relaxed);
    }

    /// Notes whether one more request, or one less, waits for the service.
    pub(super) fn wait_for_service(&self, waits: bool) {
        if waits {
            self.in_service.fetch_add(1, Relaxed);
        } else {
            self.in_service.fetch_sub(1, Relaxed);
        }
    }

    /// Notes that so many bytes were handed over that are to be held until the client takes them.
    pub(super) fn hold(&self, bytes: usize) {
        self.held.fetch_add(bytes, Relaxed);
    }

    /// Notes that so many bytes of those are no longer held.
    pub(super) fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    #[cfg(test)]
    pub(super) fn set_progressed_at(&self, milliseconds: u64) {
        self.progressed_at.store(milliseconds, Relaxed);
    }

    /// The lower, the sooner it gives way to another connection: by when it last progressed, where a connection that is idle counts as if that
    /// were [`BUSY_BONUS`] longer ago.
    pub(super) fn rank(&self) -> u64 {
        let bonus = if self.in_flight() > 0 { BUSY_BONUS } else { 0 };
        self.progressed_at.load(Relaxed) + bonus
    }
}

/// Milliseconds of a clock that costs a few nanoseconds to read and is a few milliseconds coarse.
pub(super) fn now() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}
