//! DNS over UDP: several sockets for each address, and a thread for each socket. Threads share nothing that is written.
//!
//! The kernel spreads queries over the sockets of an address by their source (`SO_REUSEPORT`). A thread receives all queries that
//! wait, with one call where the system supports that, answers them, and sends the responses with one call. Under load it sleeps for
//! a moment in between, so that more queries arrive.

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

/// After a batch of so many queries the thread sleeps for [`GATHER_TIME`]: more will follow soon, and this saves a wake-up for every
/// two or three. Larger batches show that queries queue up anyway.
const GATHER_AFTER: std::ops::Range<usize> = 2..BATCH / 2;

/// The system makes some 150 µs of it, which delays a response by 0.1 ms at most: little compared with the way to a resolver. The
/// socket's buffer holds many times the queries of that time.
const GATHER_TIME: Duration = Duration::from_micros(100);

/// Answers queries to `sockets` until `tasks` drain. `answerer` makes one answerer for each thread.
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
            // A query that causes a panic must not end the thread.
            while let Err(_panic) = catch_unwind(AssertUnwindSafe(|| run(&socket, &mut answerer, &stopped))) {
                tracing::error!("panicked while answering a query over UDP: continuing with the next query");
            }
        };
        // Not `spawn_blocking`: its threads are for short work.
        if let Err(error) = std::thread::Builder::new().name("dns over udp".to_owned()).spawn(run) {
            tracing::error!(%error, "failed to start a thread for DNS over UDP");
        }
        drop(tasks.spawn("dns over udp", async move {
            let _ = end.await;
        }));
    }
}

/// Stops the threads when it is dropped. So they also stop when the runtime is dropped before tasks drain.
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
            Err(error) if is_transient(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "a socket for DNS over UDP failed: its queries are no longer answered");
                return;
            }
        }
        answerer.begin();
        batch.answer(|packet, peer, buffer| answerer.answer(packet, peer, buffer));
        batch.send(socket);
        if GATHER_AFTER.contains(&batch.len()) {
            #[expect(clippy::disallowed_methods, reason = "this thread runs no async task")]
            std::thread::sleep(GATHER_TIME);
        }
    }
}

/// Whether the socket still works: no query arrived in time, or an earlier response could not be delivered.
fn is_transient(error: &io::Error) -> bool {
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
