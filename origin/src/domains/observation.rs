//! What name servers answer about a domain.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future;
use verge_protocol::DomainName;

use super::resolver::{Answer, Data, RecordKind, ResolveError, Resolver};
use super::{delegation, proof};

/// How many addresses of authoritative name servers are asked.
const SERVERS_MAX: usize = 16;

/// The answers to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observation {
    pub(super) name: String,
    pub(super) kind: RecordKind,
    /// That of the resolver.
    pub(super) answer: Answer,
    /// That of the resolver without DNSSEC validation, if the other one is an error.
    pub(super) unvalidated: Option<Answer>,
    /// Those of the zone's own name servers that answer, each with its name and address.
    pub(super) authoritative: Vec<(String, Answer)>,
}

/// All that is observed of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observations {
    pub(super) proof: Observation,
    pub(super) delegation: Observation,
    /// At the domain, or at the closest parent that has CAA records (RFC 8659 §3).
    pub(super) caa: Observation,
    pub(super) ipv4: Observation,
    pub(super) ipv6: Observation,
}

/// Asks name servers.
pub(super) struct Observer<'a> {
    pub(super) resolver: &'a Resolver,
    /// The port of authoritative name servers.
    pub(super) dns_port: u16,
    pub(super) timeout: Duration,
}

impl Observer<'_> {
    /// Asks everything about a domain. It fails only if there is no resolver to ask.
    pub(super) async fn observe(&self, domain: &DomainName) -> Result<Observations, ResolveError> {
        let servers = self.authoritative(domain).await;
        let (proof, delegation) = (proof::record_name(domain), delegation::challenge_name(domain));
        let (proof, delegation, caa, ipv4, ipv6) = tokio::join!(
            self.ask_all(&proof, RecordKind::Txt, &servers),
            self.ask_all(&delegation, RecordKind::Cname, &servers),
            self.climb(domain),
            self.ask_all(domain.as_str(), RecordKind::A, &servers),
            self.ask_all(domain.as_str(), RecordKind::Aaaa, &servers),
        );
        Ok(Observations { proof: proof?, delegation: delegation?, caa: caa?, ipv4: ipv4?, ipv6: ipv6? })
    }

    /// Asks the resolver for the addresses of a domain.
    pub(super) async fn addresses(&self, domain: &DomainName) -> Result<[Observation; 2], ResolveError> {
        let ask = |kind| self.ask(domain.as_str(), kind);
        let (ipv4, ipv6) = tokio::try_join!(ask(RecordKind::A), ask(RecordKind::Aaaa))?;
        Ok([ipv4, ipv6])
    }

    /// The name servers of a domain's zone. None if they cannot be found: the resolver's own answers say why.
    async fn authoritative(&self, domain: &DomainName) -> Vec<(String, IpAddr)> {
        let servers = self.resolver.name_servers(domain.as_str()).await.unwrap_or_default();
        let addresses = servers.into_iter().flat_map(|(name, addresses)| {
            addresses.into_iter().map(move |address| (format!("{name} ({address})"), address))
        });
        addresses.take(SERVERS_MAX).collect()
    }

    /// The CAA records that decide about a domain: its own, or else those of the closest parent that has some.
    async fn climb(&self, domain: &DomainName) -> Result<Observation, ResolveError> {
        let mut name = domain.as_str();
        loop {
            let observation = self.ask(name, RecordKind::Caa).await?;
            let has_records = observation.answer.records.iter().any(|data| matches!(data, Data::Caa { .. }));
            match name.split_once('.') {
                Some((_, parent)) if observation.answer.is_definite() && !has_records => name = parent,
                _ => return Ok(observation),
            }
        }
    }

    /// Asks the resolver and the zone's own name servers.
    async fn ask_all(
        &self,
        name: &str,
        kind: RecordKind,
        servers: &[(String, IpAddr)],
    ) -> Result<Observation, ResolveError> {
        let each = servers.iter().map(|(server, address)| async move {
            let resolver = Resolver::authoritative(SocketAddr::new(*address, self.dns_port), self.timeout);
            let answer = resolver.ask(name, kind).await.ok()?;
            // One that answers only for another zone says nothing about this one.
            (answer.is_definite() && answer.is_authoritative).then(|| (server.clone(), answer))
        });
        let (observation, each) = tokio::join!(self.ask(name, kind), future::join_all(each));
        Ok(Observation { authoritative: each.into_iter().flatten().collect(), ..observation? })
    }

    /// Asks the resolver alone.
    async fn ask(&self, name: &str, kind: RecordKind) -> Result<Observation, ResolveError> {
        let answer = self.resolver.ask(name, kind).await?;
        let mut unvalidated = None;
        if answer.is_failure() {
            unvalidated = Some(self.resolver.ask_unvalidated(name, kind).await?);
        }
        Ok(Observation { name: name.to_owned(), kind, answer, unvalidated, authoritative: Vec::new() })
    }
}
