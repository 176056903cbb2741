//! What orders wait for, for a person to read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use verge_daemon::Clock;
use verge_protocol::{DomainName, Timestamp};

/// What the orders in progress are doing. Clones share it.
#[derive(Clone)]
pub(crate) struct OrdersProgress {
    orders: Arc<Mutex<BTreeMap<DomainName, Doing>>>,
    clock: Clock,
}

#[derive(Default)]
struct Doing {
    step: String,
    /// The name servers that are waited for, each with the reason.
    name_servers: BTreeMap<String, String>,
}

/// What one order is doing. It is forgotten when this is dropped.
pub(super) struct OrderProgress {
    all: OrdersProgress,
    domain: DomainName,
}

impl OrdersProgress {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { orders: Arc::default(), clock }
    }

    /// An order begins.
    pub(super) fn start(&self, domain: &DomainName, step: impl Into<String>) -> OrderProgress {
        let progress = OrderProgress { all: self.clone(), domain: domain.clone() };
        progress.set_step(step);
        progress
    }

    /// What the order for the certificate of a domain is doing now; `None`: there is no order.
    pub(super) fn of(&self, domain: &DomainName) -> Option<String> {
        let orders = self.lock();
        let Doing { step, name_servers } = orders.get(domain)?;
        let waits = name_servers.iter().map(|(server, reason)| format!("{server} {reason}"));
        Some([step.clone()].into_iter().chain(waits).collect::<Vec<_>>().join("; "))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DomainName, Doing>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OrderProgress {
    /// What it does from now on. It waits for no name server then.
    pub(super) fn set_step(&self, step: impl Into<String>) {
        let doing = Doing { step: step.into(), name_servers: BTreeMap::new() };
        self.all.lock().insert(self.domain.clone(), doing);
    }

    /// A name server is waited for.
    pub(super) fn wait_for(&self, server: &str, reason: String) {
        if let Some(doing) = self.all.lock().get_mut(&self.domain) {
            doing.name_servers.insert(server.to_owned(), reason);
        }
    }

    /// A name server is not waited for any more.
    pub(super) fn end_wait_for(&self, server: &str) {
        if let Some(doing) = self.all.lock().get_mut(&self.domain) {
            doing.name_servers.remove(server);
        }
    }

    /// The time at which a wait of this length that begins now ends.
    pub(super) fn end_of(&self, wait: Duration) -> Timestamp {
        self.all.clock.now().after(wait)
    }
}

impl Drop for OrderProgress {
    fn drop(&mut self) {
        self.all.lock().remove(&self.domain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_says_which_name_servers_it_waits_for_until_it_ends() {
        let all = OrdersProgress::new(Clock::manual(Timestamp(0)));
        let domain: DomainName = "www.example".parse().unwrap();
        let said = || all.of(&domain);
        assert_eq!(said(), None);
        let order = all.start(&domain, "being ordered");
        assert_eq!(said().unwrap(), "being ordered");
        order.set_step("name servers are asked");
        let until = order.end_of(Duration::from_mins(10));
        order.wait_for("ns2.example (192.0.2.2)", format!("is waited for until {until}: it has an old record"));
        assert_eq!(
            said().unwrap(),
            "name servers are asked; ns2.example (192.0.2.2) is waited for until 1970-01-01T00:10:00Z: it has an old record"
        );
        order.end_wait_for("ns2.example (192.0.2.2)");
        assert_eq!(said().unwrap(), "name servers are asked");
        drop(order);
        assert_eq!(said(), None);
    }
}
