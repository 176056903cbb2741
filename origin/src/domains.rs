//! Domains of sites: claiming them, and proving them by a DNS record.
//!
//! A domain is claimed for a site and proven by a TXT record that only the owner of the domain can create. From then on it is served.
//! It stays proven: a record that is deleted later is reported, but takes no site down.

mod check;
mod claim;
mod error;
mod periodic_check;
mod proof;
mod resolver;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use verge_daemon::Clock;
use verge_daemon::run::Finding;
use verge_protocol::DomainName;

use crate::feed::Feed;
use crate::store::Database;

pub(crate) use self::error::DomainError;
pub(crate) use self::proof::record_name;
pub(crate) use self::resolver::{ResolveError, Resolver};

/// Claims and checks domains. Clones share everything.
#[derive(Clone)]
pub(crate) struct Domains {
    database: Database,
    feed: Feed,
    clock: Clock,
    /// The domain below which sites answer: no claimed domain may be within it.
    base: DomainName,
    resolver: Arc<Resolver>,
}

impl Domains {
    /// Queries `resolver`, or else the resolvers of the system, and waits for an answer for `timeout`.
    pub(crate) fn new(
        database: Database,
        feed: Feed,
        clock: Clock,
        base: DomainName,
        resolver: Option<SocketAddr>,
        timeout: Duration,
    ) -> Self {
        Self { database, feed, clock, base, resolver: Arc::new(Resolver::new(resolver, timeout)) }
    }
}

/// Whether the resolver answers, for `check-config --online`. It is asked for a record that need not exist.
pub(crate) async fn check_resolver(resolver: Option<SocketAddr>, timeout: Duration, base: &DomainName) -> Finding {
    let setting = resolver.map_or_else(|| "resolver of the system".to_owned(), |address| format!("resolver {address}"));
    match Resolver::new(resolver, timeout).texts(&record_name(base)).await {
        Err(error) if !error.is_definite() => Finding::Fail(format!("{setting}: {error}: domains cannot be proven")),
        _ => Finding::Ok(format!("{setting}: answers")),
    }
}
