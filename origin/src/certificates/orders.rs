//! One order, from the request to the certificate that edges are given.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future;
use rcgen::KeyPair;
use tokio::time::Instant;
use verge_daemon::{Clock, error_chain};
use verge_protocol::certificate::{CertificateState, ChallengeState};
use verge_protocol::{CertificateName, DomainName, Position};

use super::api_certificate::ApiCertificate;
use super::authority::{Authority, AuthorityError, Challenge, ChallengeKind, PendingOrder};
use super::dns_check::{DnsCheck, DnsProblem};
use super::order_names;
use super::order_progress::{OrderProgress, OrdersProgress};
use super::plan::Wanted;
use super::vault::{SecretName, Vault, VaultError};
use super::x509::{self, ChainError};
use crate::domains::delegated_owner;
use crate::edge_reports::EdgeReports;
use crate::feed::Feed;
use crate::store::{Database, FailedNames, StoreError};

/// How long an order waits until all live edges answer its challenges. The authority may then meet one that does not.
const EDGES_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an order may take as a whole.
const ORDER_TIMEOUT: Duration = Duration::from_mins(30);

/// Places orders. Clones share everything.
#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) database: Database,
    pub(crate) feed: Feed,
    pub(crate) vault: Vault,
    pub(crate) edge_reports: EdgeReports,
    /// How long after the start of the origin a live edge may not have reported yet.
    pub(crate) settling: Duration,
    pub(crate) dns: DnsCheck,
    /// The base domain, if name servers of the fleet answer for it.
    pub(crate) base: Option<DomainName>,
    /// The certificate of the API, if it has a name.
    pub(crate) api: Option<ApiCertificate>,
    pub(crate) clock: Clock,
    pub(crate) progress: OrdersProgress,
}

/// Why an order failed. What is served is unchanged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("the authority gave a wrong answer: {0}")]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Dns(#[from] DnsProblem),
    #[error("{source}; the authority asks at port 80: set `challenge_listen`, unless an edge answers there{other_way}")]
    ApiNotVerified { source: AuthorityError, other_way: String },
    #[error("failed to make a key: {0}")]
    Key(#[from] rcgen::Error),
    #[error("the order did not finish within {} minutes", ORDER_TIMEOUT.as_secs() / 60)]
    Timeout,
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Orders {
    /// Orders a certificate and publishes it in place of the `current` one. `failed` are names that orders failed for. A challenge is answered by
    /// the fleet while the order lasts, and not any more when this returns.
    pub(crate) async fn place(
        &self,
        authority: &Authority,
        wanted: &Wanted,
        current: Option<&CertificateState>,
        failed: &FailedNames,
    ) -> Result<CertificateState, OrderError> {
        let progress = self.progress.start(&wanted.domain, format!("being ordered from {}", authority.directory()));
        let api = self.api.as_ref().filter(|api| api.is(wanted));
        let generated;
        let key = if let Some(api) = api {
            api.key()
        } else {
            generated = KeyPair::generate()?;
            &generated
        };
        let issue = async {
            let by_dns = self.proven_by_dns(wanted, failed).await?;
            self.issue(authority, wanted, by_dns, current, key, &progress).await
        };
        let Ok(issued) = tokio::time::timeout(ORDER_TIMEOUT, issue).await else {
            let domains = wanted.names.iter().map(|name| (name.domain().clone(), None));
            self.set_challenges(domains.collect()).await?;
            return Err(OrderError::Timeout);
        };
        let certificate = issued?;
        let now = self.clock.now();
        if let Some(api) = api {
            api.replace(certificate.clone()).await.map_err(StoreError::WriteCertificate)?;
            self.database.put_issued(&wanted.domain, authority.directory(), &wanted.names, now).await?;
            return Ok(certificate);
        }
        let key = self.vault.seal(&SecretName::CertificateKey(certificate.key), &key.serialize_der())?;
        let (database, domain) = (self.database.clone(), wanted.domain.clone());
        let (directory, published) = (authority.directory().to_owned(), certificate.clone());
        let write = async move { database.put_certificate(&domain, &directory, published, &key, now).await };
        self.feed.write(write).await?;
        Ok(certificate)
    }

    async fn issue(
        &self,
        authority: &Authority,
        wanted: &Wanted,
        by_dns: BTreeMap<DomainName, String>,
        current: Option<&CertificateState>,
        key: &KeyPair,
        progress: &OrderProgress,
    ) -> Result<CertificateState, OrderError> {
        let api = self.api.as_ref().filter(|api| api.is(wanted));
        let replaces = current.and_then(|current| x509::leaf(&current.chain).ok());
        let mut order = authority.order(&wanted.names, replaces.as_ref()).await?;
        let kind = |name: &CertificateName| match name {
            // A file at a host proves nothing of a wildcard.
            CertificateName::Host(domain) if !by_dns.contains_key(domain) => ChallengeKind::Http01,
            _ => ChallengeKind::Dns01,
        };
        let answers = answers(order.challenges(kind).await?, &by_dns);
        if let Some(api) = api {
            // The authority will ask the origin, or an edge on the same machine.
            api.set_challenges(answers.values().flat_map(|answer| answer.http.clone()).collect());
        }
        let mut chain =
            self.answer_and_finish(&mut order, &answers, &x509::request(key, &wanted.names)?, progress).await;
        if let Some(api) = api {
            api.set_challenges(BTreeMap::new());
            chain = chain.map_err(|error| match error {
                OrderError::Authority(AuthorityError::NotAuthorized(reasons)) if by_dns.is_empty() => {
                    self.api_not_verified(&wanted.domain, reasons)
                }
                error => error,
            });
        }
        let withdrawn = answers.into_keys().map(|domain| (domain, None)).collect();
        self.set_challenges(withdrawn).await?;
        Ok(x509::check(chain?, x509::key_name(key), &wanted.names, authority.now())?)
    }

    /// The name of the API could not be verified over HTTP.
    fn api_not_verified(&self, name: &DomainName, reasons: BTreeMap<CertificateName, String>) -> OrderError {
        let other_way = self.base.as_ref().map(|base| {
            let target = delegated_owner(name, base);
            format!(", or have `_acme-challenge.{name}` be a CNAME to `{target}`")
        });
        let source = AuthorityError::NotAuthorized(reasons);
        OrderError::ApiNotVerified { source, other_way: other_way.unwrap_or_default() }
    }

    async fn answer_and_finish(
        &self,
        order: &mut PendingOrder,
        answers: &BTreeMap<DomainName, ChallengeState>,
        request: &[u8],
        progress: &OrderProgress,
    ) -> Result<String, OrderError> {
        let published = answers.iter().map(|(domain, answer)| (domain.clone(), Some(answer.clone()))).collect();
        let position = self.set_challenges(published).await?;
        if answers.values().any(|answer| !answer.http.is_empty()) {
            progress.set_step("being ordered: waiting until every live edge answers the challenge");
            self.wait_for_edges(position).await?;
        }
        let texts: BTreeMap<_, _> = answers.values().flat_map(|answer| &answer.dns).collect();
        if !texts.is_empty() {
            progress.set_step("being ordered: waiting until every name server answers the challenge");
        }
        self.dns.wait_until_served(&texts, progress).await?;
        progress.set_step("being ordered: the authority verifies the names");
        Ok(order.finish(request).await?)
    }

    /// The domains that are proven by a TXT record, each with the record's owner name: the base domain, and those that delegate the name
    /// `_acme-challenge.<domain>` to a name of the base domain that no other domain has. If that cannot be found out of a domain, the
    /// order fails at first; after a few failures the domain is taken for one that does not delegate.
    async fn proven_by_dns(
        &self,
        wanted: &Wanted,
        failed: &FailedNames,
    ) -> Result<BTreeMap<DomainName, String>, OrderError> {
        let mut owners = BTreeMap::new();
        let Some(base) = &self.base else { return Ok(owners) };
        let is_of_api = self.api.as_ref().is_some_and(|api| api.is(wanted));
        let domains: BTreeSet<&DomainName> = wanted.names.iter().map(CertificateName::domain).collect();
        let (own, others): (Vec<&DomainName>, Vec<&DomainName>) =
            domains.into_iter().partition(|domain| *domain == base || is_of_api && domain.is_within(base));
        owners.extend(own.into_iter().map(|domain| (domain.clone(), challenge_owner(domain))));
        let aliases = others.iter().map(async |domain| (*domain, self.dns.alias(&challenge_owner(domain)).await));
        let mut not_known = BTreeMap::new();
        for (domain, alias) in future::join_all(aliases).await {
            let delegated = delegated_owner(domain, base);
            match alias {
                Ok(alias) if alias.as_ref() == Some(&delegated) => drop(owners.insert(domain.clone(), delegated)),
                Ok(_) => {}
                Err(error) => {
                    let name = CertificateName::Host(domain.clone());
                    if order_names::is_given_up(&name, failed) {
                        tracing::warn!(%domain, error = error_chain(&error), "the authority is to ask for a file");
                    } else {
                        not_known.insert(name, error.to_string());
                    }
                }
            }
        }
        // Other names are not to wait for these.
        if not_known.is_empty() { Ok(owners) } else { Err(AuthorityError::NotAuthorized(not_known).into()) }
    }

    /// Withdraws the answers that an earlier process has left.
    pub(super) async fn withdraw_all(&self) -> Result<(), StoreError> {
        let left = self.database.challenges().await?.into_keys().map(|domain| (domain, None)).collect();
        self.set_challenges(left).await?;
        Ok(())
    }

    async fn set_challenges(
        &self,
        challenges: BTreeMap<DomainName, Option<ChallengeState>>,
    ) -> Result<Position, StoreError> {
        if challenges.is_empty() {
            return Ok(self.feed.position());
        }
        let database = self.database.clone();
        self.feed.write(async move { database.set_challenges(&challenges).await }).await
    }

    /// Waits until every live edge has applied the write at `position`. Right after the start of the origin these are all edges with a token
    /// until they have reported.
    async fn wait_for_edges(&self, position: Position) -> Result<(), StoreError> {
        let mut changes = self.edge_reports.subscribe();
        let expected = self.database.edges_with_token().await?;
        let settled = self.edge_reports.at(self.settling);
        let applied = async {
            loop {
                let is_behind = self.edge_reports.live().iter().any(|(_, last)| last.claims.applied < position);
                let reported = self.edge_reports.all();
                let is_settled = Instant::now() >= settled || expected.iter().all(|edge| reported.contains_key(edge));
                if is_settled && !is_behind {
                    return;
                }
                tokio::select! {
                    received = changes.changed() => if received.is_err() { return },
                    () = tokio::time::sleep_until(settled), if !is_settled => {}
                }
            }
        };
        if tokio::time::timeout(EDGES_TIMEOUT, applied).await.is_err() {
            tracing::warn!(
                "not all live edges answer a challenge yet: the authority is asked to validate all the same"
            );
        }
        Ok(())
    }
}

/// Where an authority asks for a TXT record of a domain (RFC 8555 §8.4).
fn challenge_owner(domain: &DomainName) -> String {
    format!("_acme-challenge.{domain}")
}

/// What the fleet answers, by domain. `owners` are those of TXT records.
fn answers(challenges: Vec<Challenge>, owners: &BTreeMap<DomainName, String>) -> BTreeMap<DomainName, ChallengeState> {
    let mut answers: BTreeMap<DomainName, ChallengeState> = BTreeMap::new();
    for challenge in challenges {
        match challenge {
            Challenge::Dns01 { domain, text } => {
                let owner = owners.get(&domain).cloned().unwrap_or_else(|| challenge_owner(&domain));
                answers.entry(domain).or_default().dns.entry(owner).or_default().insert(text);
            }
            Challenge::Http01 { domain, token, key_authorization } => {
                answers.entry(domain).or_default().http.insert(token, key_authorization);
            }
        }
    }
    answers
}
