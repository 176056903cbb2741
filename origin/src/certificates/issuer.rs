//! Orders certificates when they are due: the one task that does, so that no name set is ordered twice.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use verge_daemon::error_chain;
use verge_protocol::api::CertificateEdges;
use verge_protocol::certificate::CertificateState;
use verge_protocol::{CertificateName, Timestamp};

use super::authority::{Authority, AuthorityError};
use super::authority_time::AuthorityTime;
use super::inventory::{Inventory, Known};
use super::order_names;
use super::orders::{OrderError, Orders};
use super::plan::{self, Current, Decision, Failures, Wanted};
use super::renewal_windows::RenewalWindows;
use super::running_orders::RunningOrders;
use super::upkeep::Upkeep;
use super::vault::VaultError;
use crate::store::{IssuanceRow, StoreError};

/// How many orders are in progress at once.
const CONCURRENCY: usize = 4;
/// How long an authority that refuses an order because of a rate limit gets no other one. The limit may be one of all orders.
const PAUSE_MAX: Duration = Duration::from_mins(10);

/// Keeps the fleet's certificates.
pub(crate) struct Issuer {
    orders: Orders,
    inventory: Inventory,
    /// The preferred one first. Without one, nothing is ordered.
    authorities: Vec<Authority>,
    windows: RenewalWindows,
    /// Until when an authority gets no order, by its directory.
    paused: Mutex<HashMap<String, Timestamp>>,
}

/// What is to be ordered, in this order.
#[derive(Default)]
struct Due {
    known: Arc<Known>,
    queue: VecDeque<Wanted>,
}

/// A certificate as operators see it.
pub(crate) struct Standing {
    pub(crate) wanted: Wanted,
    pub(crate) certificate: Option<CertificateState>,
    pub(crate) edges: CertificateEdges,
    pub(crate) due: Timestamp,
    /// Why the last order failed, since the last certificate was issued, and why names are left out.
    pub(crate) problem: Option<String>,
}

impl Issuer {
    pub(crate) fn new(orders: Orders, inventory: Inventory, authorities: Vec<Authority>) -> Self {
        Self { orders, inventory, authorities, windows: RenewalWindows::default(), paused: Mutex::default() }
    }

    /// Orders what is due, each `interval`, until `draining`.
    pub(crate) async fn run(self: Arc<Self>, interval: Duration, draining: CancellationToken) {
        if self.authorities.is_empty() {
            return;
        }
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let rounds = async {
            if let Err(error) = self.orders.withdraw_all().await {
                tracing::error!(error = error_chain(&error), "failed to withdraw answers to earlier challenges");
            }
            let mut time = AuthorityTime::default();
            let (mut due, mut orders) = (Due::default(), RunningOrders::default());
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        time.ask_if_due(&self.authorities, self.orders.clock.now()).await;
                        due = match self.round(&orders).await {
                            Ok(due) => due,
                            Err(error) => {
                                tracing::error!(error = error_chain(&error), "failed to order certificates");
                                Due::default()
                            }
                        };
                    }
                    () = orders.one_ended() => {}
                }
                self.start(&mut due, &mut orders);
            }
        };
        draining.run_until_cancelled(rounds).await;
    }

    /// What follows the certificates on edges. Without an authority nothing is ended: the operator may have dropped the section by mistake.
    pub(crate) fn upkeep(&self, settling: Duration) -> Upkeep {
        let (inventory, feed) = (self.inventory.clone(), self.orders.feed.clone());
        Upkeep { inventory, feed, settling, ends: !self.authorities.is_empty() }
    }

    /// Every certificate that the fleet should have.
    pub(crate) async fn standings(&self) -> Result<Vec<Standing>, StoreError> {
        let known = self.inventory.read().await?;
        let standing = |wanted: Wanted| {
            let due = plan::due(&self.orderable(&known, &wanted), self.current(&known, &wanted).as_ref());
            let rows = self.authorities.iter().filter_map(|authority| known.issuance(&wanted.domain, authority));
            let last = rows.filter(|row| row.problem.is_some()).max_by_key(|row| row.last_failure);
            let problem = known.problem(&wanted, last.and_then(|row| row.problem.as_deref()));
            let published = known.certificates.get(&wanted.domain);
            let none = CertificateEdges { presenting: 0, of: known.edges };
            let edges = published.map_or(none, |published| published.edges);
            Standing { wanted, certificate: published.map(|published| published.state.clone()), edges, due, problem }
        };
        Ok(known.wanted.iter().cloned().map(standing).collect())
    }

    /// The time by the clock of the first authority that has told it, else by the origin's.
    fn now(&self) -> Timestamp {
        let ahead = self.authorities.iter().find_map(Authority::clock_ahead_millis).unwrap_or_default();
        Timestamp(self.orders.clock.now().0.saturating_add_signed(-ahead))
    }

    /// What is due, but for what is being ordered.
    async fn round(&self, orders: &RunningOrders) -> Result<Due, StoreError> {
        let known = Arc::new(self.inventory.read().await?);
        self.windows.ask(&known, &self.authorities, || self.now()).await;
        if self.orders.vault.problem().is_some() {
            return Ok(Due::default());
        }
        let wanted = known.wanted.iter().filter(|wanted| !orders.overlap(wanted));
        let wanted = wanted.map(|wanted| self.orderable(&known, wanted));
        let queue = wanted.filter(|wanted| self.authority_for(&known, wanted).is_some()).collect();
        Ok(Due { known, queue })
    }

    /// Starts as many orders as may run at once. A slow one holds up no other.
    fn start(self: &Arc<Self>, due: &mut Due, orders: &mut RunningOrders) {
        while orders.len() < CONCURRENCY
            && let Some(wanted) = due.queue.pop_front()
        {
            let (issuer, known) = (Arc::clone(self), Arc::clone(&due.known));
            orders.start(wanted.clone(), async move {
                if let Err(error) = issuer.order(&known, &wanted).await {
                    tracing::error!(domain = %wanted.domain, error = error_chain(&error), "failed to record an order");
                }
            });
        }
    }

    /// What is ordered now of a certificate.
    fn orderable(&self, known: &Known, wanted: &Wanted) -> Wanted {
        order_names::orderable(wanted, self.current(known, wanted).as_ref(), &known.failed, self.now())
    }

    /// Which authority a certificate is to be ordered from now, if any.
    fn authority_for(&self, known: &Known, wanted: &Wanted) -> Option<&Authority> {
        let failures: Vec<Failures> = self
            .authorities
            .iter()
            .map(|authority| known.issuance(&wanted.domain, authority).map_or_else(Failures::default, failures))
            .collect();
        match plan::decide(wanted, self.current(known, wanted).as_ref(), &failures, self.now()) {
            Decision::Order(index) => self.authorities.get(index),
            Decision::Wait(_) => None,
        }
    }

    async fn order(&self, known: &Known, wanted: &Wanted) -> Result<(), StoreError> {
        let Some(authority) = self.authority_for(known, wanted) else { return Ok(()) };
        let directory = authority.directory();
        if self.paused().get(directory).is_some_and(|until| self.now() < *until) {
            return Ok(());
        }
        // It may be due only because the origin's clock is wrong: the authority's tells.
        let outcome = match authority.contact().await {
            Ok(()) if self.now() < plan::due(wanted, self.current(known, wanted).as_ref()) => {
                tracing::warn!(domain = %wanted.domain, "no certificate is due by the clock of the authority: the origin's is wrong");
                return Ok(());
            }
            Ok(()) => self.orders.place(authority, wanted, known.certificate(&wanted.domain)).await,
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(certificate) => {
                let names = certificate.names.len();
                let until = certificate.not_after;
                tracing::info!(domain = %wanted.domain, names, authority = directory, %until, "certificate issued");
                Ok(())
            }
            // Not the authority's fault.
            Err(OrderError::Vault(VaultError::Store(error)) | OrderError::Store(error)) => Err(error),
            Err(error) => {
                if let OrderError::Authority(AuthorityError::NotAuthorized(reasons)) = &error
                    && self.leave_out(known, wanted, reasons).await?
                {
                    return Ok(());
                }
                self.record_failure(known, wanted, authority, &error).await
            }
        }
    }

    /// Records names whose control the authority could not verify. True if the next order leaves them out: it need not wait.
    async fn leave_out(
        &self,
        known: &Known,
        ordered: &Wanted,
        reasons: &BTreeMap<CertificateName, String>,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        let reasons = reasons.iter().filter(|(name, _)| ordered.names.contains(name));
        let added = order_names::add_failures(&known.failed, reasons, now);
        self.orders.database.put_failed_names(&added).await?;
        for (name, failed) in &added {
            tracing::warn!(%name, failures = failed.failures, reason = failed.problem, "a name is not certified");
        }
        let Some(whole) = known.wanted.iter().find(|wanted| wanted.domain == ordered.domain) else { return Ok(false) };
        let failed = known.failed.clone().into_iter().chain(added).collect();
        let next = order_names::orderable(whole, self.current(known, whole).as_ref(), &failed, now);
        Ok(next.names != ordered.names)
    }

    async fn record_failure(
        &self,
        known: &Known,
        wanted: &Wanted,
        authority: &Authority,
        error: &OrderError,
    ) -> Result<(), StoreError> {
        let directory = authority.directory();
        let retry_after = match error {
            OrderError::Authority(AuthorityError::RateLimited { until, .. }) => {
                let pause = self.now().after(PAUSE_MAX).min(*until);
                self.paused().insert(directory.to_owned(), pause);
                Some(*until)
            }
            _ => None,
        };
        let row = known.issuance(&wanted.domain, authority).cloned().unwrap_or_default();
        let failed = failures(&row).add(self.now(), retry_after);
        let problem = error_chain(error);
        tracing::warn!(
            domain = %wanted.domain,
            authority = directory,
            failures = failed.count,
            error = problem,
            "no certificate was issued"
        );
        let row = IssuanceRow {
            issued: row.issued,
            failures: failed.count,
            first_failure: failed.first,
            last_failure: failed.last,
            retry_after: failed.not_before,
            problem: Some(problem),
        };
        self.orders.database.put_issuance(&wanted.domain, directory, &row).await
    }

    fn paused(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self, known: &Known, wanted: &Wanted) -> Option<Current> {
        let certificate = known.certificate(&wanted.domain)?;
        Some(Current {
            names: certificate.names.clone(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            has_key: known.keys.contains(&certificate.key),
            is_rekeyed: known.rekeys.get(&wanted.domain) == Some(&certificate.key),
            renewal_window: self.windows.of(&wanted.domain, certificate.key),
        })
    }
}

fn failures(row: &IssuanceRow) -> Failures {
    Failures { count: row.failures, first: row.first_failure, last: row.last_failure, not_before: row.retry_after }
}
