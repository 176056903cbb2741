//! DNS queries for TXT records, by hickory. No other module of this crate uses it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

/// How often a query is sent again.
const RETRIES: usize = 1;

/// The bound for a whole lookup, with all CNAME records that it follows, as a multiple of the timeout.
const LOOKUP_TIMEOUTS: u32 = 4;

/// Queries recursive name servers. Nothing is cached, so that a record created just now is found.
pub(crate) struct Resolver {
    client: Result<TokioResolver, String>,
    timeout: Duration,
}

/// Why a query gave no texts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("`{0}` does not exist in DNS")]
    NameNotFound(String),
    #[error("`{0}` has no TXT record")]
    NoTxtRecord(String),
    #[error("the resolver did not answer the query for `{0}`")]
    NoAnswer(String),
    #[error("the query for `{name}` failed: {reason}")]
    Failed { name: String, reason: String },
    #[error("the origin has no DNS resolver ({0}): set `resolver` in its configuration")]
    NoResolver(String),
}

impl ResolveError {
    /// Whether DNS answered that there is no such record. False if the query failed.
    pub(crate) fn is_definite(&self) -> bool {
        match self {
            Self::NameNotFound(_) | Self::NoTxtRecord(_) => true,
            Self::NoAnswer(_) | Self::Failed { .. } | Self::NoResolver(_) => false,
        }
    }
}

impl Resolver {
    /// Queries `server`, or else the resolvers of the system. If those cannot be determined, every query fails and says so.
    pub(crate) fn new(server: Option<SocketAddr>, timeout: Duration) -> Self {
        let client = build(server, timeout).map_err(|error| error.to_string());
        if let Err(reason) = &client {
            tracing::info!(reason, "no DNS resolver: domains cannot be proven");
        }
        Self { client, timeout }
    }

    /// The texts of the TXT records at `name`, following CNAME records. The strings of one record are concatenated (as in RFC 7208
    /// §3.3).
    pub(crate) async fn texts(&self, name: &str) -> Result<Vec<String>, ResolveError> {
        let texts = self.records(name, RecordType::TXT, |data| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        });
        let texts = texts.await?;
        if texts.is_empty() { Err(ResolveError::NoTxtRecord(name.to_owned())) } else { Ok(texts) }
    }

    /// The name that `name` is an alias of, lowercase and without the final dot; `None`: it is no alias.
    pub(crate) async fn cname(&self, name: &str) -> Result<Option<String>, ResolveError> {
        let targets = self.records(name, RecordType::CNAME, |data| match data {
            RData::CNAME(target) => Some(text(&target.0)),
            _ => None,
        });
        match targets.await {
            Ok(targets) => Ok(targets.into_iter().next()),
            Err(error) if error.is_definite() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The authoritative name servers of the zone that `name` is in, each with its addresses.
    pub(crate) async fn name_servers(&self, name: &str) -> Result<Vec<(String, Vec<IpAddr>)>, ResolveError> {
        let mut zone = name;
        let servers = loop {
            let servers = self.records(zone, RecordType::NS, |data| match data {
                RData::NS(server) => Some(text(&server.0)),
                _ => None,
            });
            match (servers.await, zone.split_once('.')) {
                (Ok(servers), _) if !servers.is_empty() => break servers,
                (Err(error), _) if !error.is_definite() => return Err(error),
                (_, Some((_, parent))) => zone = parent,
                (_, None) => return Err(ResolveError::NameNotFound(name.to_owned())),
            }
        };
        let mut found = Vec::new();
        for server in servers {
            let mut addresses = Vec::new();
            for kind in [RecordType::A, RecordType::AAAA] {
                let of_kind = self.records(&server, kind, |data| match data {
                    RData::A(address) => Some(IpAddr::V4(address.0)),
                    RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                    _ => None,
                });
                addresses.extend(of_kind.await.into_iter().flatten());
            }
            found.push((server, addresses));
        }
        Ok(found)
    }

    /// What `take` takes of the records of a type.
    async fn records<T>(
        &self,
        name: &str,
        record_type: RecordType,
        take: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, ResolveError> {
        let client = self.client.as_ref().map_err(|reason| ResolveError::NoResolver(reason.clone()))?;
        let no_answer = || ResolveError::NoAnswer(name.to_owned());
        let failed = |reason| ResolveError::Failed { name: name.to_owned(), reason };
        // The final dot keeps the search list of the system out.
        let query = Name::from_ascii(format!("{name}.")).map_err(|error| failed(error.to_string()))?;
        let lookup = tokio::time::timeout(self.timeout * LOOKUP_TIMEOUTS, client.lookup(query, record_type)).await;
        let lookup = lookup.map_err(|_| no_answer())?.map_err(|error| match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain => {
                ResolveError::NameNotFound(name.to_owned())
            }
            NetError::Dns(DnsError::NoRecordsFound(_)) => ResolveError::NoTxtRecord(name.to_owned()),
            NetError::Timeout | NetError::NoConnections | NetError::Io(_) => no_answer(),
            NetError::Dns(DnsError::ResponseCode(code)) => failed(format!("the resolver answered {code}")),
            other => failed(other.to_string()),
        })?;
        Ok(lookup.answers().iter().filter_map(|record| take(&record.data)).collect())
    }
}

/// A name in lowercase, without the final dot.
fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn build(server: Option<SocketAddr>, timeout: Duration) -> Result<TokioResolver, NetError> {
    let mut builder = match server {
        Some(server) => {
            let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(|protocol| {
                let mut connection = ConnectionConfig::new(protocol);
                connection.port = server.port();
                connection
            });
            let server = NameServerConfig::new(server.ip(), true, connections.into());
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
        None => TokioResolver::builder_tokio()?,
    };
    let options = builder.options_mut();
    options.timeout = timeout;
    options.attempts = RETRIES;
    options.cache_size = 0;
    options.edns0 = true;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_query_without_a_resolver_names_the_setting() {
        let resolver = Resolver { client: Err("no nameservers found in config".to_owned()), timeout: Duration::ZERO };
        let error = resolver.texts("_verge.example.com").await.unwrap_err();
        insta::assert_snapshot!(error.to_string());
    }
}
