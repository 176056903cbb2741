//! Domains of sites: claiming them, and proving them by a DNS record.
//!
//! A domain is claimed for a site and proven by a TXT record that only the owner of the domain can create. From then on it is served.
//! It stays proven: a record that is deleted later is reported, but takes no site down.

mod check;
mod claim;
mod delegation;
mod diagnosis;
mod error;
mod last_checks;
mod observation;
mod periodic_check;
mod proof;
mod resolver;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use verge_daemon::Clock;
use verge_daemon::run::Finding;
use verge_protocol::api::Delegation;
use verge_protocol::{DomainName, SiteName};

use crate::caa_issuers::CaaIssuers;
use crate::feed::Feed;
use crate::store::Database;

pub(crate) use self::delegation::delegated_owner;
pub(crate) use self::error::DomainError;
use self::last_checks::LastChecks;
pub(crate) use self::proof::record_name;
pub(crate) use self::resolver::{ResolveError, Resolver};

/// Claims and checks domains. Clones share everything.
#[derive(Clone)]
pub(crate) struct Domains {
    database: Database,
    feed: Feed,
    clock: Clock,
    settings: Arc<DomainSettings>,
    resolver: Arc<Resolver>,
    last_checks: LastChecks,
}

/// What is the same for all domains.
pub(crate) struct DomainSettings {
    /// The domain below which sites answer: no claimed domain may be within it.
    pub(crate) base: DomainName,
    /// The name of the API, which no site may have.
    pub(crate) api_name: Option<DomainName>,
    /// The recursive name server; `None`: those of the system.
    pub(crate) resolver: Option<SocketAddr>,
    /// How long a name server may take to answer.
    pub(crate) timeout: Duration,
    /// The port of authoritative name servers.
    pub(crate) dns_port: u16,
    /// Whether name servers of the fleet answer for `base`.
    pub(crate) has_name_servers: bool,
    /// The authorities that certificates are ordered from; `None`: none are ordered.
    pub(crate) issuers: Option<CaaIssuers>,
}

impl Domains {
    pub(crate) fn new(database: Database, feed: Feed, clock: Clock, settings: DomainSettings) -> Self {
        let resolver = Arc::new(Resolver::new(settings.resolver, settings.timeout));
        Self { database, feed, clock, settings: Arc::new(settings), resolver, last_checks: LastChecks::default() }
    }

    /// The record with which the certificate of a domain is issued before its address changes; `None`: there is no such way.
    pub(crate) fn delegation(&self, name: &DomainName) -> Option<Delegation> {
        let is_possible = self.settings.has_name_servers && self.orders_certificates();
        let record = || Delegation {
            name: delegation::challenge_name(name),
            target: delegated_owner(name, &self.settings.base),
        };
        is_possible.then(record)
    }

    /// Whether this is the name of the origin's API, at which no site answers.
    pub(crate) fn is_of_api(&self, name: &DomainName) -> bool {
        self.settings.api_name.as_ref() == Some(name)
    }

    /// The site that would answer at the name of the origin's API.
    pub(crate) fn site_at_api(&self) -> Option<SiteName> {
        self.settings.base.label_of(self.settings.api_name.as_ref()?.as_str())?.parse().ok()
    }

    /// Whether proven domains get certificates.
    pub(crate) fn orders_certificates(&self) -> bool {
        self.settings.issuers.is_some()
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
