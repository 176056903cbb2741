//! DNS queries. No other module of this crate uses hickory.

mod answer;
mod error;
mod exchange;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future;
use hickory_resolver::proto::op::{Edns, Message, Query};
use hickory_resolver::proto::rr::Name;
use hickory_resolver::system_conf;
use verge_daemon::error_chain;

pub(super) use self::answer::{Answer, Data, RecordKind, Status};
pub(crate) use self::error::ResolveError;
use self::exchange::exchange;

/// How often a query is sent again.
const RETRIES: usize = 1;

/// How many name servers of the system are asked, as by the C library.
const SERVERS_MAX: usize = 3;

/// The largest response that is asked for over UDP, in bytes: one that is not fragmented.
const UDP_PAYLOAD: u16 = 1232;

/// Queries name servers. Nothing is cached, so that a record created just now is found.
pub(crate) struct Resolver {
    /// Tried in order.
    servers: Result<Vec<SocketAddr>, String>,
    timeout: Duration,
    /// Whether they are to ask others.
    is_recursive: bool,
}

impl Resolver {
    /// Queries `server`, or else the resolvers of the system. If those cannot be determined, every query fails and says so.
    pub(crate) fn new(server: Option<SocketAddr>, timeout: Duration) -> Self {
        let servers = server.map_or_else(servers_of_system, |server| Ok(vec![server]));
        if let Err(reason) = &servers {
            tracing::info!(reason, "no DNS resolver: domains cannot be proven");
        }
        Self { servers, timeout, is_recursive: true }
    }

    /// As on a machine that has no resolver.
    #[cfg(test)]
    pub(crate) fn without_servers() -> Self {
        let servers = Err("no nameservers found in config".to_owned());
        Self { servers, timeout: Duration::ZERO, is_recursive: true }
    }

    /// Queries an authoritative name server, which asks no other.
    pub(super) fn authoritative(server: SocketAddr, timeout: Duration) -> Self {
        Self { servers: Ok(vec![server]), timeout, is_recursive: false }
    }

    /// The texts of the TXT records at `name`, following CNAME records.
    pub(crate) async fn texts(&self, name: &str) -> Result<Vec<String>, ResolveError> {
        self.ask(name, RecordKind::Txt).await?.texts(name)
    }

    /// The name that `name` is an alias of, lowercase and without the final dot; `None`: it is no alias.
    pub(crate) async fn cname(&self, name: &str) -> Result<Option<String>, ResolveError> {
        let answer = self.ask(name, RecordKind::Cname).await?;
        match answer.texts(name) {
            Err(error) if !error.is_definite() => Err(error),
            _ => Ok(answer.aliases.into_iter().next()),
        }
    }

    /// The authoritative name servers of the zone that `name` is in, each with its addresses.
    pub(crate) async fn name_servers(&self, name: &str) -> Result<Vec<(String, Vec<IpAddr>)>, ResolveError> {
        let mut zone = name;
        let servers = loop {
            let answer = self.ask(zone, RecordKind::Ns).await?;
            // The servers of an alias's target are not those of the zone.
            if !answer.records.is_empty() && answer.aliases.is_empty() {
                break answer.records;
            }
            match (answer.texts(zone), zone.split_once('.')) {
                (Err(error), _) if !error.is_definite() => return Err(error),
                (_, Some((_, parent))) => zone = parent,
                (_, None) => return Err(ResolveError::NameNotFound(name.to_owned())),
            }
        };
        let names = servers.into_iter().filter_map(|data| match data {
            Data::NameServer(server) => Some(server),
            _ => None,
        });
        let with_addresses = async |server: String| {
            let answers = [RecordKind::A, RecordKind::Aaaa].map(|kind| self.ask(&server, kind));
            let answers = future::join_all(answers).await.into_iter().flatten();
            let addresses = answers.flat_map(|answer| answer.addresses().collect::<Vec<_>>()).collect();
            (server, addresses)
        };
        Ok(future::join_all(names.map(with_addresses)).await)
    }

    /// The answer to a question. It fails only if there is no name server to ask.
    pub(super) async fn ask(&self, name: &str, kind: RecordKind) -> Result<Answer, ResolveError> {
        self.send(name, kind, false).await
    }

    /// The answer without DNSSEC validation (RFC 4035 §3.2.2).
    pub(super) async fn ask_unvalidated(&self, name: &str, kind: RecordKind) -> Result<Answer, ResolveError> {
        self.send(name, kind, true).await
    }

    async fn send(&self, name: &str, kind: RecordKind, is_unvalidated: bool) -> Result<Answer, ResolveError> {
        let servers = self.servers.as_ref().map_err(|reason| ResolveError::NoResolver(reason.clone()))?;
        let failed = |reason| ResolveError::Failed { name: name.to_owned(), reason };
        let owner = Name::from_ascii(format!("{name}.")).map_err(|error| failed(error.to_string()))?;
        let mut query = Message::query();
        query.metadata.recursion_desired = self.is_recursive;
        query.metadata.checking_disabled = is_unvalidated;
        query.add_query(Query::query(owner.clone(), kind.record_type()));
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        query.set_edns(edns);
        for _ in 0..=RETRIES {
            let mut failed = None;
            for server in servers {
                match exchange(*server, &query, self.timeout).await {
                    Ok(response) => {
                        let answer = Answer::read(server.to_string(), &response, &owner, kind);
                        if answer.is_definite() {
                            return Ok(answer);
                        }
                        failed = Some(answer);
                    }
                    Err(error) => {
                        tracing::debug!(name, %server, error = error_chain(&error), "no answer of a name server");
                    }
                }
            }
            if let Some(answer) = failed {
                return Ok(answer);
            }
        }
        let asked: Vec<String> = servers.iter().map(ToString::to_string).collect();
        Ok(Answer::silent(asked.join(", ")))
    }
}

fn servers_of_system() -> Result<Vec<SocketAddr>, String> {
    let (config, _) = system_conf::read_system_conf().map_err(|error| error.to_string())?;
    let address = |server: &hickory_resolver::config::NameServerConfig| {
        Some(SocketAddr::new(server.ip, server.connections.first()?.port))
    };
    Ok(config.name_servers().iter().filter_map(address).take(SERVERS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_query_without_a_resolver_names_the_setting() {
        let error = Resolver::without_servers().texts("_verge.example.com").await.unwrap_err();
        insta::assert_snapshot!(error.to_string());
    }
}
