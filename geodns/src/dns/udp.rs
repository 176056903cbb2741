//! DNS over UDP: a thread for each socket, several sockets for each address, and nothing shared between them but what is read.
//!
//! The kernel spreads questions over the sockets of an address (`SO_REUSEPORT`) by who asks. A thread takes as many as wait, in
//! one call where the system can do that, answers each, and sends the answers in one call. It waits for nothing else but, where questions
//! come fast, a moment for more of them.

#[cfg(target_os = "linux")]
mod batch_linux;
#[cfg(not(target_os = "linux"))]
mod batch_portable;
mod socket;

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use verge_daemon::Tasks;

#[cfg(target_os = "linux")]
use self::batch_linux::{BATCH, Batch};
#[cfg(not(target_os = "linux"))]
use self::batch_portable::{BATCH, Batch};
pub(crate) use self::socket::{Sockets, open};
use super::transport::Answerer;

/// The longest question taken; real ones have less than 300 bytes.
const REQUEST_MAX: usize = 1232;

/// The longest answer sent.
const RESPONSE_MAX: usize = super::reply::UDP_SIZE as usize;

/// How many questions that come together say that more come at once: then they are gathered for a moment, which spares the kernel a
/// wake-up for every two or three. More than that gather by themselves.
const GATHER_FROM: std::ops::Range<usize> = 2..BATCH / 2;

/// That moment. The system makes some 150 µs of it, which adds 0.1 ms to an answer: little beside the way to a resolver, and the
/// buffer holds many times more.
const GATHER: Duration = Duration::from_micros(100);

/// Answers what comes to `sockets` until `tasks` drain. `answerer` makes one answerer for each thread.
pub(crate) fn serve<A: Answerer>(sockets: Sockets, tasks: &Tasks, mut answerer: impl FnMut() -> A) {
    let stopped = Arc::new(AtomicBool::new(false));
    {
        let (stop, draining) = (Stop(Arc::clone(&stopped)), tasks.draining().clone());
        drop(tasks.spawn("end of dns over udp", async move {
            let _stop = stop;
            draining.cancelled().await;
        }));
    }
    for socket in sockets.into_iter() {
        let (mut answerer, stopped) = (answerer(), Arc::clone(&stopped));
        let (ended, end) = oneshot::channel::<Infallible>();
        let run = move || {
            // Dropped with the thread, however it ends.
            let _ended = ended;
            // A question that makes an answer crash must not silence all others.
            while let Err(_crash) = catch_unwind(AssertUnwindSafe(|| run(&socket, &mut answerer, &stopped))) {
                tracing::error!("an answer crashed: going on with the next question");
            }
        };
        // Threads of its own: those for short work must not be taken for good.
        if let Err(error) = std::thread::Builder::new().name("dns over udp".to_owned()).spawn(run) {
            tracing::error!(%error, "a thread for dns over udp cannot be started");
        }
        drop(tasks.spawn("dns over udp", async move {
            let _ = end.await;
        }));
    }
}

/// Stops the threads when it is dropped: also with a runtime that ends without tasks being drained, which would wait for them.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn run(socket: &socket::Socket, answerer: &mut impl Answerer, stopped: &AtomicBool) {
    let mut batch = Batch::new(socket);
    while !stopped.load(Ordering::Relaxed) {
        match batch.receive(socket) {
            Ok(()) => {}
            // Nothing came for a while; or a router says that somebody an answer went to is gone, which is their loss.
            Err(error) if is_passing(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "a socket for dns over udp failed: its questions are not answered any more");
                return;
            }
        }
        answerer.begin();
        batch.answer(|packet, peer, buffer| answerer.answer(packet, peer, buffer));
        batch.send(socket);
        if GATHER_FROM.contains(&batch.len()) {
            #[expect(clippy::disallowed_methods, reason = "a thread of its own, and no condition to wait for")]
            std::thread::sleep(GATHER);
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable, OutOfMemory, TimedOut,
        WouldBlock,
    };
    matches!(
        error.kind(),
        WouldBlock
            | TimedOut
            | Interrupted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkUnreachable
            | OutOfMemory
    )
}
