//! The orders in progress, at most one for each certificate and for each name.

use std::collections::HashMap;

use tokio::task::{self, JoinSet};
use verge_daemon::error_chain;

use super::plan::Wanted;

/// Orders that run as tasks. They are cancelled when this is dropped.
#[derive(Default)]
pub(super) struct RunningOrders {
    tasks: JoinSet<()>,
    wanted: HashMap<task::Id, Wanted>,
}

impl RunningOrders {
    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Whether there is an order for this certificate, or one for a certificate with any of its names: names move between certificates, and
    /// each has one challenge at a time.
    pub(super) fn overlap(&self, wanted: &Wanted) -> bool {
        self.wanted.values().any(|running| running.domain == wanted.domain || have_common_domain(running, wanted))
    }

    pub(super) fn start(&mut self, wanted: Wanted, order: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(order).id();
        self.wanted.insert(id, wanted);
    }

    /// Waits until an order has ended; for ever if there is none. Cancel-safe.
    pub(super) async fn one_ended(&mut self) {
        let ended = match self.tasks.join_next_with_id().await {
            None => return std::future::pending().await,
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                tracing::error!(error = error_chain(&error), "an order did not end as it should");
                error.id()
            }
        };
        self.wanted.remove(&ended);
    }
}

fn have_common_domain(one: &Wanted, other: &Wanted) -> bool {
    one.names.iter().any(|name| other.names.iter().any(|other| other.domain() == name.domain()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> Wanted {
        Wanted { domain: names[0].parse().unwrap(), names: names.iter().map(|name| name.parse().unwrap()).collect() }
    }

    #[tokio::test]
    async fn orders_overlap_that_have_a_name_in_common_until_one_has_ended() {
        let mut orders = RunningOrders::default();
        orders.start(wanted(&["example.com"]), async {});
        assert!(orders.overlap(&wanted(&["example.com"])));
        assert!(
            orders.overlap(&wanted(&["www.example.com", "example.com"])),
            "the domain redirects to another one now"
        );
        assert!(!orders.overlap(&wanted(&["www.example.com"])));
        orders.one_ended().await;
        assert!(!orders.overlap(&wanted(&["example.com"])));
    }
}
