//! Questions to DNS, through hickory. Nothing else in this crate knows it.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData};

/// How long a name server may take for an answer before it is asked again, or given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// How often a question is asked again.
const RETRIES: usize = 1;

/// How many times the patience a chain of aliases may take in all.
const CHAIN: u32 = 4;

/// Asks a recursive name server. It remembers nothing: who made a record just now is not told what was there before.
pub(crate) struct Resolver {
    asks: Result<TokioResolver, String>,
    patience: Duration,
}

/// Why there is no text to look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("there is no name `{0}`")]
    NoName(String),
    #[error("`{0}` has no TXT record")]
    NoText(String),
    #[error("the resolver does not answer when asked for `{0}`")]
    Silent(String),
    #[error("the resolver cannot tell what `{name}` says: {reason}")]
    Failed { name: String, reason: String },
    #[error("this origin has no resolver to ask: {0}; name one by `resolver` in its configuration")]
    Nobody(String),
}

impl ResolveError {
    /// Whether that is what DNS says, and not that it says nothing now.
    pub(super) fn is_definite(&self) -> bool {
        match self {
            Self::NoName(_) | Self::NoText(_) => true,
            Self::Silent(_) | Self::Failed { .. } | Self::Nobody(_) => false,
        }
    }
}

impl Resolver {
    /// Asks `server`, else whom the system asks. Where that cannot be found out every question fails and says so.
    pub(crate) fn new(server: Option<SocketAddr>, patience: Duration) -> Self {
        let asks = build(server, patience).map_err(|error| error.to_string());
        if let Err(reason) = &asks {
            tracing::info!(reason, "there is no resolver: domains cannot be proven");
        }
        Self { asks, patience }
    }

    /// The texts of the TXT records at `name`, aliases followed. Each is one text, in however many strings it travels (as in RFC
    /// 7208 §3.3).
    pub(crate) async fn texts(&self, name: &str) -> Result<Vec<String>, ResolveError> {
        let resolver = self.asks.as_ref().map_err(|reason| ResolveError::Nobody(reason.clone()))?;
        let silent = || ResolveError::Silent(name.to_owned());
        let failed = |reason| ResolveError::Failed { name: name.to_owned(), reason };
        // The dot at the end: never a name below the machine's own domain.
        let question = Name::from_ascii(format!("{name}.")).map_err(|error| failed(error.to_string()))?;
        let answering = resolver.txt_lookup(question);
        let answer = tokio::time::timeout(self.patience * CHAIN, answering).await.map_err(|_| silent())?;
        let lookup = answer.map_err(|error| match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain => {
                ResolveError::NoName(name.to_owned())
            }
            NetError::Dns(DnsError::NoRecordsFound(_)) => ResolveError::NoText(name.to_owned()),
            NetError::Timeout | NetError::NoConnections | NetError::Io(_) => silent(),
            NetError::Dns(DnsError::ResponseCode(code)) => failed(format!("it answers {code}")),
            other => failed(other.to_string()),
        })?;
        let texts: Vec<String> = lookup
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
                _ => None,
            })
            .collect();
        if texts.is_empty() { Err(ResolveError::NoText(name.to_owned())) } else { Ok(texts) }
    }
}

fn build(server: Option<SocketAddr>, patience: Duration) -> Result<TokioResolver, NetError> {
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
    options.timeout = patience;
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
    async fn without_a_resolver_every_question_says_so() {
        let resolver = Resolver { asks: Err("no nameservers found in config".to_owned()), patience: PATIENCE };
        let error = resolver.texts("_verge.example.com").await.unwrap_err();
        insta::assert_snapshot!(error.to_string());
    }
}
