//! The orders in progress, at most one for each certificate.

use std::collections::HashMap;

use tokio::task::{self, JoinSet};
use verge_daemon::error_chain;
use verge_protocol::DomainName;

/// Orders that run as tasks. They are cancelled when this is dropped.
#[derive(Default)]
pub(super) struct RunningOrders {
    tasks: JoinSet<()>,
    domains: HashMap<task::Id, DomainName>,
}

impl RunningOrders {
    pub(super) fn len(&self) -> usize {
        self.domains.len()
    }

    pub(super) fn contains(&self, domain: &DomainName) -> bool {
        self.domains.values().any(|running| running == domain)
    }

    pub(super) fn start(&mut self, domain: DomainName, order: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(order).id();
        self.domains.insert(id, domain);
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
        self.domains.remove(&ended);
    }
}
