//! Readers: each queries its resolver, caches the answer for its TTL, and loads the page of the site again and again.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use reqwest::Client;
use reqwest::header::HOST;
use tokio::time::{Instant, MissedTickBehavior};
use verge_daemon::Tasks;
use verge_test_kit::until;

use super::config::SITE_DOMAIN;
use super::region::Region;
use super::resolver::Resolver;
use super::stub_resolver;
use crate::hosts::{Host, Process};

/// The time from the start of one page load to the start of the next.
const LOAD_INTERVAL: Duration = Duration::from_millis(100);

/// The time after which the next address is tried if one accepts no connection. Browsers wait less.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a request to one address may take in all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// One load of the page: requests to one address after the other, until one succeeds.
#[derive(Debug, Clone)]
pub struct PageLoad {
    /// The region where name servers locate the reader.
    pub region: Region,
    /// When it began.
    pub start: Instant,
    /// The addresses in the cached DNS response; empty if the resolver did not respond.
    pub addresses: Vec<IpAddr>,
    /// How many of the addresses were tried, in their order.
    pub attempts: usize,
    /// The page; `None` if all requests failed.
    pub page: Option<String>,
}

impl PageLoad {
    /// The address that served the page.
    pub fn served_by(&self) -> Option<IpAddr> {
        self.page.as_ref().map(|_| self.addresses[self.attempts - 1])
    }
}

/// Readers that load the page until they are stopped.
pub struct Readers {
    readers: Vec<Reader>,
    tasks: Tasks,
}

#[derive(Clone)]
struct Reader {
    region: Region,
    loads: Arc<Mutex<Vec<PageLoad>>>,
}

impl Readers {
    /// Starts `per_resolver` readers for each pair of client and resolver.
    pub(super) async fn start(clients: &[(Region, Host)], resolvers: &[(Host, Process)], per_resolver: usize) -> Self {
        let (mut readers, tasks) = (Vec::new(), Tasks::default());
        for (region, client) in clients {
            for (resolver, (host, _)) in Resolver::ALL.into_iter().zip(resolvers) {
                for _ in 0..per_resolver {
                    let reader = Reader { region: resolver.apparent_region(*region), loads: Arc::default() };
                    let run = reader.clone().run(host.v4().into());
                    let run = tasks.draining().clone().run_until_cancelled_owned(run);
                    let tasks = tasks.clone();
                    client.run(async move { drop(tasks.spawn("reader", run)) }).await;
                    readers.push(reader);
                }
            }
        }
        Self { readers, tasks }
    }

    /// The number of readers.
    pub fn count(&self) -> usize {
        self.readers.len()
    }

    /// Waits until `condition` is true for the addresses that each reader used last.
    pub async fn until_addresses(&self, description: &str, condition: impl Fn(&[IpAddr]) -> bool) {
        let is_met = |reader: &Reader| reader.loads().last().is_some_and(|load| condition(&load.addresses));
        until(description, async || self.readers.iter().all(is_met)).await;
    }

    /// Waits until each reader has loaded as many pages as fit into `duration`, which takes longer if pages are slow.
    pub async fn continue_for(&self, duration: Duration) {
        let count = usize::try_from(duration.as_millis() / LOAD_INTERVAL.as_millis()).unwrap();
        let before: Vec<usize> = self.readers.iter().map(|reader| reader.loads().len()).collect();
        let is_done = |(reader, before): (&Reader, &usize)| reader.loads().len() >= before + count;
        until("all readers to load pages", async || self.readers.iter().zip(&before).all(is_done)).await;
    }

    /// All page loads that began at `start` or later, grouped by reader.
    pub fn loads_since(&self, start: Instant) -> Vec<PageLoad> {
        let loads = self.readers.iter().flat_map(|reader| reader.loads().clone());
        loads.filter(|load| load.start >= start).collect()
    }

    /// Stops all readers.
    pub async fn stop(self) {
        self.tasks.shutdown(REQUEST_TIMEOUT * 4).await.unwrap();
    }
}

impl Reader {
    fn loads(&self) -> MutexGuard<'_, Vec<PageLoad>> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self, resolver: IpAddr) {
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            // Each page load connects anew, as on a first visit.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .unwrap();
        let (mut addresses, mut expires) = (Vec::new(), Instant::now());
        let mut interval = tokio::time::interval(LOAD_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if expires <= Instant::now() {
                let sent = Instant::now();
                let response = stub_resolver::query(resolver, SITE_DOMAIN, RecordType::A).await;
                (addresses, expires) =
                    response.map_or_else(|| (Vec::new(), sent), |response| (response.addresses, sent + response.ttl));
            }
            let (start, addresses) = (Instant::now(), addresses.clone());
            let (mut attempts, mut page) = (0, None);
            for address in &addresses {
                attempts += 1;
                page = fetch(&client, *address).await;
                if page.is_some() {
                    break;
                }
            }
            self.loads().push(PageLoad { region: self.region, start, addresses, attempts, page });
        }
    }
}

async fn fetch(client: &Client, address: IpAddr) -> Option<String> {
    let url = format!("http://{}/", SocketAddr::new(address, 80));
    let response = client.get(url).header(HOST, SITE_DOMAIN).send().await.ok()?;
    response.error_for_status().ok()?.text().await.ok()
}
