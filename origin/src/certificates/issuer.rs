//! Orders certificates when they are due: the one task that does, so that no name set is ordered twice.

mod standings;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use verge_daemon::error_chain;
use verge_protocol::certificate::CaaState;
use verge_protocol::{CertificateName, DomainName, Timestamp};

pub(crate) use standings::Standing;

use super::authority::{Authority, AuthorityError};
use super::authority_limits::KnownLimits;
use super::authority_time::AuthorityTime;
use super::inventory::{Inventory, Known};
use super::order_names;
use super::orders::{OrderError, Orders};
use super::plan::{self, Current, Failures, Wanted};
use super::renewal_windows::RenewalWindows;
use super::running_orders::RunningOrders;
use super::upkeep::Upkeep;
use super::vault::VaultError;
use crate::caa_issuers::CaaIssuers;
use crate::store::{IssuanceRow, StoreError};

/// The shortest wait that counts after an authority has asked for one.
const LEAST_RETRY_AFTER: Duration = Duration::from_mins(1);
/// How many orders are in progress at once.
const CONCURRENCY: usize = 4;

/// Keeps the fleet's certificates.
pub(crate) struct Issuer {
    orders: Orders,
    inventory: Inventory,
    /// The preferred one first. Without one, nothing is ordered.
    authorities: Vec<Authority>,
    caa_issuers: CaaIssuers,
    windows: RenewalWindows,
    limits: KnownLimits,
    /// Whether an authority has refused an order since the last round: another one may be asked at once.
    has_refused: AtomicBool,
    /// The orders whose outcome the origin could not record, by certificate. An authority that issues one after the other would soon refuse.
    not_recorded: Mutex<HashMap<DomainName, Failures>>,
}

/// The outcome of an order could not be recorded.
struct NotRecorded {
    error: StoreError,
    /// The authority has asked for no further order before.
    retry_after: Option<Timestamp>,
}

impl From<StoreError> for NotRecorded {
    fn from(error: StoreError) -> Self {
        Self { error, retry_after: None }
    }
}

/// What is to be ordered, in this order.
#[derive(Default)]
struct Due {
    known: Arc<Known>,
    queue: VecDeque<Wanted>,
}

impl Issuer {
    pub(crate) fn new(
        orders: Orders,
        inventory: Inventory,
        authorities: Vec<Authority>,
        caa_issuers: CaaIssuers,
        limits: KnownLimits,
    ) -> Self {
        Self {
            orders,
            inventory,
            authorities,
            caa_issuers,
            windows: RenewalWindows::default(),
            limits,
            has_refused: AtomicBool::new(false),
            not_recorded: Mutex::default(),
        }
    }

    /// Whether there is an authority to order from.
    pub(crate) fn has_authority(&self) -> bool {
        !self.authorities.is_empty()
    }

    /// Whether this is the name of the API.
    pub(crate) fn is_of_api(&self, name: &DomainName) -> bool {
        self.inventory.api.as_ref().is_some_and(|api| api.wanted().domain == *name)
    }

    /// Orders what is due, each `interval`, until `draining`.
    pub(crate) async fn run(self: Arc<Self>, interval: Duration, draining: CancellationToken) {
        if self.authorities.is_empty() {
            self.publish_caa().await;
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
                        self.publish_caa().await;
                        due = match self.round(&orders).await {
                            Ok(due) => due,
                            Err(error) => {
                                tracing::error!(error = error_chain(&error), "failed to order certificates");
                                Due::default()
                            }
                        };
                    }
                    () = orders.one_ended() => {
                        if self.has_refused.swap(false, Relaxed) {
                            ticks.reset_immediately();
                        }
                    }
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

    /// The time by the clock of the authority that has told it last, else by the origin's: that may have been set since an earlier one has.
    fn now(&self) -> Timestamp {
        let last = self.authorities.iter().filter_map(Authority::clock_ahead_millis).max();
        let ahead = last.map_or(0, |(_, ahead)| ahead);
        Timestamp(self.orders.clock.now().0.saturating_add_signed(-ahead))
    }

    /// Has name servers say who may issue certificates. While an authority has not said its name since the start, what they say stays if it was
    /// said of the same authorities.
    async fn publish_caa(&self) {
        let directories: BTreeSet<String> =
            self.authorities.iter().map(|authority| authority.directory().to_owned()).collect();
        let complete = self.caa_issuers.complete();
        let database = self.orders.database.clone();
        let write = async move {
            let caa = match complete {
                Some(issuers) => Some(CaaState { issuers, directories }),
                None if directories.is_empty() => None,
                None => database.caa().await?.filter(|published| published.directories == directories),
            };
            database.set_caa(caa.as_ref()).await
        };
        if let Err(error) = self.orders.feed.write(write).await {
            tracing::error!(error = error_chain(&error), "failed to publish who may issue certificates");
        }
    }

    /// What is due, but for what is being ordered.
    async fn round(&self, orders: &RunningOrders) -> Result<Due, StoreError> {
        let known = Arc::new(self.inventory.read().await?);
        self.windows.ask(&known, &self.authorities, || self.now()).await;
        if self.orders.vault.problem().is_some() {
            return Ok(Due::default());
        }
        let wanted = known.all_wanted().filter(|wanted| !orders.overlap(wanted));
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
                if let Err(NotRecorded { error, retry_after }) = issuer.order(&known, &wanted).await {
                    tracing::error!(domain = %wanted.domain, error = error_chain(&error), "failed to record an order");
                    let now = issuer.now();
                    let mut not_recorded = issuer.not_recorded();
                    let failures = not_recorded.entry(wanted.domain).or_default();
                    *failures = failures.add(now, retry_after);
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
        let (at, index) = self.next_order(known, wanted);
        self.authorities.get(index).filter(|_| at <= self.now())
    }

    /// When a certificate is ordered next, and from which authority. There is one.
    fn next_order(&self, known: &Known, wanted: &Wanted) -> (Timestamp, usize) {
        let (now, current) = (self.now(), self.current(known, wanted));
        let not_recorded = self.not_recorded().get(&wanted.domain).copied().unwrap_or_default();
        let (at, index) = plan::next_order(wanted, current.as_ref(), &self.failures(known, wanted), now);
        (at.max(not_recorded.next(&wanted.domain, now)), index)
    }

    /// The failed orders of a certificate, at each authority.
    fn failures(&self, known: &Known, wanted: &Wanted) -> Vec<Failures> {
        let now = self.now();
        let at = |authority: &Authority| {
            let failed = known.issuance(&wanted.domain, authority).map_or_else(Failures::default, failures);
            let pause = self.limits.pause(authority.directory(), now).map(|(pause, _)| pause);
            Failures { pause, ..failed }
        };
        self.authorities.iter().map(at).collect()
    }

    async fn order(&self, known: &Known, wanted: &Wanted) -> Result<(), NotRecorded> {
        let Some(authority) = self.authority_for(known, wanted) else { return Ok(()) };
        let directory = authority.directory();
        // It may be due only because the origin's clock is wrong: the authority's tells.
        let outcome = match authority.contact().await {
            Ok(_) if self.now() < plan::due(wanted, self.current(known, wanted).as_ref()) => {
                tracing::warn!(domain = %wanted.domain, "no certificate is due by the clock of the authority: the origin's is wrong");
                return Ok(());
            }
            Ok(_) => self.orders.place(authority, wanted, known.certificate(&wanted.domain), &known.failed).await,
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(certificate) => {
                self.not_recorded().remove(&wanted.domain);
                self.limits.accepted(directory, self.now());
                let names = certificate.names.len();
                let until = certificate.not_after;
                tracing::info!(domain = %wanted.domain, names, authority = directory, %until, "certificate issued");
                Ok(())
            }
            // Not the authority's fault.
            Err(
                OrderError::Store(error)
                | OrderError::Vault(VaultError::Store(error))
                | OrderError::Authority(AuthorityError::Vault(VaultError::Store(error))),
            ) => Err(error.into()),
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

    /// Records names whose control the authority could not verify. True if the next order is for other names: it need not wait.
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
        let Some(whole) = known.all_wanted().find(|wanted| wanted.domain == ordered.domain) else { return Ok(false) };
        let failed = known.failed.clone().into_iter().chain(added).collect();
        let current = self.current(known, whole);
        let separated = order_names::separated(whole.clone(), current.as_ref().map(|current| &current.names), &failed);
        let next = separated.first().map(|whole| order_names::orderable(whole, current.as_ref(), &failed, now));
        Ok(next.is_some_and(|next| next.names != ordered.names))
    }

    async fn record_failure(
        &self,
        known: &Known,
        wanted: &Wanted,
        authority: &Authority,
        error: &OrderError,
    ) -> Result<(), NotRecorded> {
        let directory = authority.directory();
        let retry_after = match error {
            OrderError::Authority(AuthorityError::RateLimited { message, until }) => {
                let now = self.now();
                let until = (*until).max(now.after(LEAST_RETRY_AFTER));
                self.limits.refused(directory, now, until, message).await;
                Some(until)
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
        let written = self.orders.database.put_issuance(&wanted.domain, directory, &row).await;
        if retry_after.is_some() {
            self.has_refused.store(true, Relaxed);
        }
        written.map_err(|error| NotRecorded { error, retry_after })
    }

    fn not_recorded(&self) -> MutexGuard<'_, HashMap<DomainName, Failures>> {
        self.not_recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self, known: &Known, wanted: &Wanted) -> Option<Current> {
        let certificate = known.certificate(&wanted.domain)?;
        Some(Current {
            names: certificate.names.clone(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            has_key: known.keys.contains(&certificate.key) || known.is_api(&wanted.domain),
            is_rekeyed: known.rekeys.get(&wanted.domain) == Some(&certificate.key),
            renewal_window: self.windows.of(&wanted.domain, certificate),
        })
    }
}

fn failures(row: &IssuanceRow) -> Failures {
    Failures {
        count: row.failures,
        first: row.first_failure,
        last: row.last_failure,
        not_before: row.retry_after,
        pause: None,
    }
}
