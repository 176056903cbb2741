//! When a connection has to end, or may be put aside.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio_util::sync::WaitForCancellationFutureOwned;

use super::activity::Activity;
use super::deadlines::{Deadlines, Due};
use super::http2_driver::Driver;
use super::limits::HttpLimits;
use crate::tasks::Tasks;

/// Looks after one connection.
pub(super) struct ConnectionClock {
    activity: Arc<Activity>,
    deadlines: Deadlines,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    requests_max: u32,
    is_closing: bool,
}

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Let it finish its requests, and accept no others. Said once.
    Close,
    /// It is idle, and has been for some time: it may be put aside.
    PutAside,
    /// End it at once.
    End(Due),
}

/// Why a connection ended before the client closed it.
pub(super) enum Ended {
    Failed(Box<dyn Error + Send + Sync>),
    Overdue(Due),
}

impl ConnectionClock {
    pub(super) fn new(activity: Arc<Activity>, limits: &HttpLimits, tasks: &Tasks) -> Self {
        Self {
            deadlines: Deadlines::new(Arc::clone(&activity), limits),
            draining: Box::pin(tasks.draining().clone().cancelled_owned()),
            requests_max: limits.requests,
            is_closing: false,
            activity,
        }
    }

    /// Waits for the next step. To be polled whenever the connection has been polled. One of HTTP/2 has a `driver`.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, driver: Option<&mut Driver>) -> Poll<Step> {
        if !self.is_closing
            && (self.activity.begun() >= self.requests_max || self.draining.as_mut().poll(context).is_ready())
        {
            self.is_closing = true;
            return Poll::Ready(Step::Close);
        }
        let mut driver = driver;
        loop {
            match ready!(self.deadlines.poll(context, driver.as_deref_mut())) {
                Due::Quiet if self.is_closing => {}
                Due::Quiet => return Poll::Ready(Step::PutAside),
                // What else the client takes is not broken off.
                Due::Left if self.is_closing && driver.as_ref().is_some_and(|driver| driver.is_busy()) => {}
                // One of HTTP/2 is told.
                Due::Idle | Due::Left if !self.is_closing => {
                    self.is_closing = true;
                    return Poll::Ready(Step::Close);
                }
                due => return Poll::Ready(Step::End(due)),
            }
        }
    }
}
