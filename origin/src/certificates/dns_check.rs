//! Whether the name servers of a name answer what a certificate authority will ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use tokio::time::Instant;
use verge_protocol::Timestamp;

use super::order_progress::OrderProgress;
use crate::domains::{ResolveError, Resolver};

/// How often a name server is asked that does not answer, before it is left out: the authority will leave it out too.
const SILENT_TRIES: u32 = 3;
/// The pause between questions to a name server.
const INTERVAL: Duration = Duration::from_millis(500);

/// Asks name servers. Clones share the resolver.
#[derive(Clone)]
pub(crate) struct DnsCheck {
    pub(crate) resolver: Arc<Resolver>,
    /// The port of authoritative name servers.
    pub(crate) port: u16,
    /// How long one may take to answer.
    pub(crate) timeout: Duration,
    /// How long one may give an old answer.
    pub(crate) stale_timeout: Duration,
}

/// Why the authority would not find the records.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DnsProblem {
    #[error("the name servers of `{owner}` cannot be found: {source}")]
    NoNameServers { owner: String, source: ResolveError },
    #[error("it cannot be found out whether `{owner}` is delegated: {source}")]
    Alias { owner: String, source: ResolveError },
    #[error("no name server of `{owner}` answers; asked: {asked}")]
    AllSilent { owner: String, asked: String },
    #[error("name server {server} answers `{owner}` TXT with {seen}, expected {wanted}")]
    Stale { server: String, owner: String, seen: String, wanted: String },
}

/// What one name server has answered in the end.
enum Outcome {
    Served,
    Silent,
    Stale(String),
}

impl DnsCheck {
    /// The name that `owner` is an alias of, if it is one. A look-up that fails is repeated. Without a resolver no name is an alias: no record
    /// that proves a domain could be checked either.
    pub(super) async fn alias(&self, owner: &str) -> Result<Option<String>, DnsProblem> {
        let mut tries = 1;
        loop {
            match self.resolver.cname(owner).await {
                Ok(alias) => return Ok(alias),
                Err(error) if error.is_definite() || matches!(error, ResolveError::NoResolver(_)) => return Ok(None),
                Err(_) if tries < SILENT_TRIES => tries += 1,
                Err(source) => return Err(DnsProblem::Alias { owner: owner.to_owned(), source }),
            }
        }
    }

    /// Waits until every authoritative name server answers all TXT records of all owner names. One that is silent three times is left out.
    /// One that is stale is waited for, for a time: then the authority may be told all the same if another one answers them, since it may
    /// ask that one, and certificates must not expire because of one server.
    pub(super) async fn wait_until_served(
        &self,
        records: &BTreeMap<&String, &BTreeSet<String>>,
        progress: &OrderProgress,
    ) -> Result<(), DnsProblem> {
        future::try_join_all(records.iter().map(|(owner, texts)| self.wait_for_owner(owner, texts, progress))).await?;
        Ok(())
    }

    async fn wait_for_owner(
        &self,
        owner: &str,
        texts: &BTreeSet<String>,
        progress: &OrderProgress,
    ) -> Result<(), DnsProblem> {
        let servers = self.resolver.name_servers(owner).await;
        let servers = servers.map_err(|source| DnsProblem::NoNameServers { owner: owner.to_owned(), source })?;
        let addresses: Vec<(&String, IpAddr)> =
            servers.iter().flat_map(|(name, addresses)| addresses.iter().map(move |ip| (name, *ip))).collect();
        let asked = addresses.iter().map(|(name, ip)| format!("{name} ({ip})")).collect::<Vec<_>>().join(", ");
        let until = progress.end_of(self.stale_timeout);
        let outcomes = addresses.iter().map(async |(name, ip)| {
            let server = format!("name server {name} ({ip})");
            let outcome = self.ask(*ip, owner, texts, until, &|reason| progress.wait_for(&server, reason)).await;
            progress.end_wait_for(&server);
            outcome
        });

        let outcomes = future::join_all(outcomes).await;
        for ((name, ip), outcome) in addresses.iter().zip(&outcomes) {
            match outcome {
                Outcome::Served => {}
                Outcome::Silent => {
                    tracing::warn!(name_server = %name, %ip, owner, "name server does not answer: left out");
                }
                Outcome::Stale(seen) => {
                    let server = format!("{name} ({ip})");
                    let problem = DnsProblem::Stale {
                        server,
                        owner: owner.to_owned(),
                        seen: seen.clone(),
                        wanted: quoted(texts),
                    };
                    if !outcomes.iter().any(|outcome| matches!(outcome, Outcome::Served)) {
                        return Err(problem);
                    }
                    tracing::warn!(%problem, "the authority is asked to validate all the same");
                }
            }
        }
        if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Silent)) {
            return Err(DnsProblem::AllSilent { owner: owner.to_owned(), asked });
        }
        Ok(())
    }

    /// `wait` is called with why the name server is waited for.
    async fn ask(
        &self,
        ip: IpAddr,
        owner: &str,
        texts: &BTreeSet<String>,
        until: Timestamp,
        wait: &(dyn Fn(String) + Sync),
    ) -> Outcome {
        let server = Resolver::new(Some(SocketAddr::new(ip, self.port)), self.timeout);
        let (mut silent, started) = (0, Instant::now());
        loop {
            let seen = match server.texts(owner).await {
                Ok(found) => {
                    let found: BTreeSet<String> = found.into_iter().collect();
                    if found.is_superset(texts) {
                        return Outcome::Served;
                    }
                    quoted(&found)
                }
                Err(error) if error.is_definite() => "no such record".to_owned(),
                Err(_) => {
                    silent += 1;
                    if silent >= SILENT_TRIES {
                        return Outcome::Silent;
                    }
                    let tries = SILENT_TRIES - silent;
                    let more = if tries == 1 { "1 more try".to_owned() } else { format!("{tries} more tries") };
                    wait(format!("does not answer: it is left out after {more}"));
                    continue;
                }
            };
            silent = 0;
            if started.elapsed() >= self.stale_timeout {
                return Outcome::Stale(seen);
            }
            // The time is said first: the texts are long.
            wait(format!(
                "is waited for until {until}: it answers `{owner}` TXT with {seen}, expected {}",
                quoted(texts)
            ));
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

fn quoted(texts: &BTreeSet<String>) -> String {
    texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_name_is_an_alias_for_an_origin_without_a_resolver() {
        let (resolver, timeout) = (Arc::new(Resolver::without_servers()), Duration::ZERO);
        let check = DnsCheck { resolver, port: 53, timeout, stale_timeout: timeout };
        assert_eq!(check.alias("_acme-challenge.example.com").await.unwrap(), None);
    }
}
