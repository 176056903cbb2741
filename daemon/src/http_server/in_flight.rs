//! A request in flight: from when it is read until the kernel has its response.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use bytes::Bytes;

use super::activity::{Activity, now};
use super::response_end::Observed;

/// The largest piece of a body that is handed over at once, in bytes. hyper gives each to the kernel by itself.
pub(super) const PIECE_MAX: usize = 256 * 1024;

/// The largest piece of a body of HTTP/2 that is handed over at once, in bytes: what a frame has. What the client takes of each response is known
/// piece by piece.
pub(super) const HTTP2_PIECE_MAX: usize = 16 * 1024;

/// A piece of a response up to this size, in bytes, is not counted among those that are held.
const HELD_MIN: usize = 1024;

/// A request in flight. Its response has it, and each piece of the response until the kernel has taken that.
pub(super) struct InFlight {
    activity: Arc<Activity>,
    is_in_service: AtomicBool,
    /// What the connection still holds of the response is not sent.
    is_given_up: AtomicBool,
    /// When the client last took a piece of the response, in milliseconds of [`now`].
    taken_at: AtomicU64,
    /// Set if the end of the response is observed.
    observed: OnceLock<Box<Observed>>,
}

impl fmt::Debug for InFlight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InFlight").field("activity", &self.activity).finish_non_exhaustive()
    }
}

impl InFlight {
    pub(super) fn begin(activity: &Arc<Activity>) -> Arc<Self> {
        activity.begin_request();
        let request = Self {
            activity: Arc::clone(activity),
            is_in_service: AtomicBool::new(false),
            is_given_up: AtomicBool::new(false),
            taken_at: AtomicU64::new(0),
            observed: OnceLock::new(),
        };
        request.takes();
        Arc::new(request)
    }

    /// Notes what a poll of the service or of a body says: if it is pending, the client waits for the service. Otherwise it has taken what was
    /// handed over before.
    pub(super) fn polled<T>(&self, polled: Poll<T>) -> Poll<T> {
        let is_in_service = polled.is_pending();
        if self.is_in_service.swap(is_in_service, Relaxed) != is_in_service {
            self.activity.wait_for_service(is_in_service);
        }
        if !is_in_service {
            self.takes();
        }
        polled
    }

    fn takes(&self) {
        self.taken_at.store(now(), Relaxed);
    }

    /// When the client last took a piece of the response, in milliseconds of [`now`]. `None` while it waits for the service.
    pub(super) fn taken_at(&self) -> Option<u64> {
        (!self.is_in_service.load(Relaxed)).then(|| self.taken_at.load(Relaxed))
    }

    /// Notes that the response is broken off: the pieces that are held are dropped, and not because the client takes them.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Relaxed);
    }

    /// The response has come, and its end is to be observed.
    pub(super) fn observe(&self, observed: Option<Box<Observed>>) {
        if let Some(observed) = observed {
            let _ = self.observed.set(observed);
        }
    }

    /// Notes whether all of the response has been handed over, if its end is observed.
    pub(super) fn note_end(&self, is_end: impl FnOnce() -> bool) {
        if let Some(observed) = self.observed.get()
            && is_end()
        {
            observed.has_handed_over_all();
        }
    }

    /// The same bytes, counted among those that the connection holds unless they are few and the end of the response is not observed.
    pub(super) fn hold(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        match self.observed.get() {
            Some(observed) => observed.hands_over(bytes.len()),
            None if bytes.len() <= HELD_MIN => return bytes,
            None => {}
        }
        self.activity.hold(bytes.len());
        Bytes::from_owner(Held { bytes, request: Arc::clone(self) })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let _ = self.polled(Poll::Ready(()));
        self.activity.end_request();
        if let Some(observed) = self.observed.get() {
            observed.end();
        }
    }
}

/// A piece of a response, counted until it is dropped.
struct Held {
    bytes: Bytes,
    request: Arc<InFlight>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let request = &self.request;
        request.activity.release(self.bytes.len());
        request.takes();
        // A connection is noted as closed before what it holds is dropped.
        if let Some(observed) = request.observed.get()
            && !request.activity.is_closed()
            && !request.is_given_up.load(Relaxed)
        {
            observed.takes(self.bytes.len());
        }
    }
}
