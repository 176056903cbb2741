//! What a connection is doing: the basis for deciding whether it may stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};

/// A piece of a response up to this size, in bytes, is not counted.
const HELD_MIN: usize = 1024;

/// How much longer ago the last progress of an idle connection seems to be than that of a busy one, in milliseconds.
const BUSY_BONUS: u64 = 10_000;

/// The activity of one connection, told by its stream and its requests.
#[derive(Debug)]
pub(super) struct Activity {
    /// Bytes that the kernel has taken.
    written: AtomicU64,
    /// The kernel takes no more at present.
    is_blocked: AtomicBool,
    /// Requests that have begun.
    begun: AtomicU32,
    /// Requests whose responses are complete, or were given up.
    ended: AtomicU32,
    /// Requests that wait for the service, not for the client.
    in_service: AtomicU32,
    /// Bytes of responses that were handed over and not given to the kernel, in pieces of more than [`HELD_MIN`].
    held: AtomicUsize,
    /// When bytes were written, or a request began or ended, in milliseconds of [`now`].
    progressed_at: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            written: AtomicU64::new(0),
            is_blocked: AtomicBool::new(false),
            begun: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            in_service: AtomicU32::new(0),
            held: AtomicUsize::new(0),
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

    /// Requests that have begun.
    pub(super) fn begun(&self) -> u32 {
        self.begun.load(Relaxed)
    }

    /// Requests that have begun and not ended.
    pub(super) fn in_flight(&self) -> u32 {
        self.begun().wrapping_sub(self.ended.load(Relaxed))
    }

    /// Whether a request waits for the service.
    pub(super) fn is_in_service(&self) -> bool {
        self.in_service.load(Relaxed) > 0
    }

    /// Bytes that it holds in memory because its client has not taken them; small pieces are not counted.
    pub(super) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Whether the client has yet to take something. HTTP/2 may hold small pieces besides.
    pub(super) fn waits_for_client(&self) -> bool {
        self.held() > 0 || self.is_blocked() || self.in_flight() > self.in_service.load(Relaxed)
    }

    /// How long it has not progressed.
    pub(super) fn stalled_for(&self) -> Duration {
        Duration::from_millis(now().saturating_sub(self.progressed_at.load(Relaxed)))
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
fn now() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}

/// A request in flight, from when it is read until its response is complete.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
    is_in_service: bool,
}

impl InFlight {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Relaxed);
        activity.progressed_at.store(now(), Relaxed);
        Self { activity: Arc::clone(activity), is_in_service: false }
    }

    /// Notes what a poll of the service or of a body says: if it is pending, the client waits for the service.
    pub(super) fn polled<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        let is_in_service = polled.is_pending();
        if self.is_in_service != is_in_service {
            self.is_in_service = is_in_service;
            if is_in_service {
                self.activity.in_service.fetch_add(1, Relaxed);
            } else {
                self.activity.in_service.fetch_sub(1, Relaxed);
            }
        }
        polled
    }
}

/// Bytes of a response, counted until they are dropped.
struct Held {
    bytes: Bytes,
    activity: Arc<Activity>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.activity.held.fetch_sub(self.bytes.len(), Relaxed);
    }
}

impl InFlight {
    /// The same bytes, counted among those that the connection holds unless they are few.
    pub(super) fn hold(&self, bytes: Bytes) -> Bytes {
        if bytes.len() <= HELD_MIN {
            return bytes;
        }
        self.activity.held.fetch_add(bytes.len(), Relaxed);
        Bytes::from_owner(Held { bytes, activity: Arc::clone(&self.activity) })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let _ = self.polled(Poll::Ready(()));
        self.activity.ended.fetch_add(1, Relaxed);
        self.activity.progressed_at.store(now(), Relaxed);
    }
}
