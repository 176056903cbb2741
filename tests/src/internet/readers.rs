//! Readers: each asks its resolver, believes it for as long as it says, and reads a page over and over.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use reqwest::Client;
use reqwest::header::HOST;
use tokio::time::{Instant, MissedTickBehavior};
use verge_daemon::Tasks;

use super::{NAME, Region, Resolver, stub_resolver};
use crate::hosts::{Host, Process};
use verge_test_kit::until;

/// From one page to the next.
const RHYTHM: Duration = Duration::from_millis(100);

/// How long an address may take to accept a connection before the next one is tried: browsers give up sooner.
const CONNECT: Duration = Duration::from_millis(500);

/// How long a page may take from there.
const WHOLE: Duration = Duration::from_secs(2);

/// What became of reading a page once.
#[derive(Debug, Clone)]
pub struct Read {
    /// Where who reads is taken to be: the region of the client, or that of a resolver that does not tell.
    pub region: Region,
    /// When it began.
    pub at: Instant,
    /// The addresses that were known; none if no resolver would say.
    pub named: Vec<IpAddr>,
    /// How many of them were tried, in their order.
    pub tries: usize,
    /// The page, if there was one.
    pub page: Option<String>,
}

impl Read {
    /// Who sent the page, if it has one.
    pub fn by(&self) -> Option<IpAddr> {
        self.page.as_ref().map(|_| self.named[self.tries - 1])
    }
}

/// Readers that read until they are stopped.
pub struct Readers {
    readers: Vec<Reader>,
    tasks: Tasks,
}

#[derive(Clone)]
struct Reader {
    region: Region,
    journal: Arc<Mutex<Vec<Read>>>,
}

impl Readers {
    /// So many for each client and resolver.
    pub(super) async fn start(clients: &[(Region, Host)], resolvers: &[(Host, Process)], each: usize) -> Self {
        let (mut readers, tasks) = (Vec::new(), Tasks::default());
        for (region, client) in clients {
            for (resolver, (host, _)) in Resolver::ALL.into_iter().zip(resolvers) {
                for _ in 0..each {
                    let reader = Reader { region: resolver.places(*region), journal: Arc::default() };
                    let reading =
                        tasks.draining().clone().run_until_cancelled_owned(reader.clone().read(host.v4().into()));
                    let tasks = tasks.clone();
                    client.run(async move { drop(tasks.spawn("reader", reading)) }).await;
                    readers.push(reader);
                }
            }
        }
        Self { readers, tasks }
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.readers.len()
    }

    /// Waits until the last that each reader was told is like this.
    pub async fn until_told(&self, what: &str, like: impl Fn(&[IpAddr]) -> bool) {
        let is_told = |reader: &Reader| reader.journal().last().is_some_and(|read| like(&read.named));
        until(what, async || self.readers.iter().all(is_told)).await;
    }

    /// Lets each read for so long, and however much longer it takes to have read as many pages as go into that.
    pub async fn go_on(&self, duration: Duration) {
        let pages = usize::try_from(duration.as_millis() / RHYTHM.as_millis()).unwrap();
        let before: Vec<usize> = self.readers.iter().map(|reader| reader.journal().len()).collect();
        let has = |(reader, before): (&Reader, &usize)| reader.journal().len() >= before + pages;
        until("readers have read", async || self.readers.iter().zip(&before).all(has)).await;
    }

    /// All that was read since a moment, by one reader after another.
    pub fn since(&self, moment: Instant) -> Vec<Read> {
        let all = self.readers.iter().flat_map(|reader| reader.journal().clone());
        all.filter(|read| read.at >= moment).collect()
    }

    /// Stops them.
    pub async fn stop(self) {
        self.tasks.shutdown(WHOLE * 4).await.unwrap();
    }
}

impl Reader {
    fn journal(&self) -> std::sync::MutexGuard<'_, Vec<Read>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(self, resolver: IpAddr) {
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            // A reader who comes for the first time.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .build()
            .unwrap();
        let (mut named, mut holds_until) = (Vec::new(), Instant::now());
        let mut rhythm = tokio::time::interval(RHYTHM);
        rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rhythm.tick().await;
            if holds_until <= Instant::now() {
                let asked = Instant::now();
                let reply = stub_resolver::ask(resolver, NAME, RecordType::A).await;
                (named, holds_until) =
                    reply.map_or_else(|| (Vec::new(), asked), |reply| (reply.addresses, asked + reply.ttl));
            }
            let mut read = Read { region: self.region, at: Instant::now(), named: named.clone(), tries: 0, page: None };
            for address in &named {
                read.tries += 1;
                read.page = fetch(&client, *address).await;
                if read.page.is_some() {
                    break;
                }
            }
            self.journal().push(read);
        }
    }
}

async fn fetch(client: &Client, address: IpAddr) -> Option<String> {
    let url = format!("http://{}/", SocketAddr::new(address, 80));
    let response = client.get(url).header(HOST, NAME).send().await.ok()?;
    response.error_for_status().ok()?.text().await.ok()
}
