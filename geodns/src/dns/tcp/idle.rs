//! Connections on which nothing is under way: whoever has been so for longest makes room for who comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Those that are idle, of all connections. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Idlers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    longer: Notify,
}

#[derive(Default)]
struct Line {
    /// How many have ever joined: the number of the next.
    joined: u64,
    /// Who is idle, in the order of having become so, each with what tells it to end.
    idle: BTreeMap<u64, CancellationToken>,
}

impl Idlers {
    /// Tells the one that has been idle for longest to end; if none is idle, the next that is. What comes from it before it hears
    /// of that is still answered.
    pub(super) async fn dismiss(&self) {
        loop {
            let longest = self.line().idle.pop_first();
            if let Some((_, end)) = longest {
                return end.cancel();
            }
            self.0.longer.notified().await;
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection as one that may be idle. It is not until it says so.
pub(super) struct Idle {
    among: Idlers,
    end: CancellationToken,
    number: Option<u64>,
}

impl Idle {
    /// A connection that `end` tells to end.
    pub(super) fn new(among: Idlers, end: CancellationToken) -> Self {
        Self { among, end, number: None }
    }

    /// It is idle from now on, unless it has been.
    pub(super) fn begin(&mut self) {
        if self.number.is_none() {
            let mut line = self.among.line();
            let number = line.joined;
            line.joined += 1;
            line.idle.insert(number, self.end.clone());
            self.number = Some(number);
            self.among.0.longer.notify_one();
        }
    }

    /// It is not idle any more.
    pub(super) fn end(&mut self) {
        if let Some(number) = self.number.take() {
            self.among.line().idle.remove(&number);
        }
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_longest_idle_is_dismissed() {
        let idlers = Idlers::default();
        let ends = [(); 4].map(|()| CancellationToken::new());
        let mut connections = ends.clone().map(|end| Idle::new(idlers.clone(), end));
        let ended = || ends.clone().map(|end| end.is_cancelled());
        connections[..3].iter_mut().for_each(Idle::begin);
        // One is busy and then idle again; one says again what it is; one is gone.
        connections[0].end();
        connections[0].begin();
        connections[1].begin();
        let [first, second, third, mut fourth] = connections;
        drop(third);
        for expected in [[false, true, false, false], [true, true, false, false]] {
            idlers.dismiss().await;
            assert_eq!(ended(), expected);
        }
        // Nobody is left: whoever comes is waited for.
        let mut dismissed = std::pin::pin!(idlers.dismiss());
        assert_eq!(dismissed.as_mut().now_or_never(), None);
        fourth.begin();
        dismissed.await;
        assert_eq!(ended(), [true, true, false, true]);
        drop((first, second, fourth));
        assert!(idlers.line().idle.is_empty());
    }
}
