//! One order, from the request to the certificate that edges are given.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use verge_daemon::Clock;
use verge_protocol::certificate::{CertificateState, ChallengeState};
use verge_protocol::{CertificateName, DomainName, Position};

use super::authority::{Authority, AuthorityError, Challenge, ChallengeKind, PendingOrder};
use super::dns_check::{DnsCheck, DnsProblem};
use super::plan::Wanted;
use super::vault::{SecretName, Vault, VaultError};
use super::x509::{self, ChainError};
use crate::domains::delegated_owner;
use crate::edge_reports::EdgeReports;
use crate::feed::Feed;
use crate::store::{Database, StoreError};

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
    pub(crate) clock: Clock,
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
    /// Orders a certificate and publishes it in place of the `current` one. A challenge is answered by the fleet while the order lasts, and
    /// not any more when this returns.
    pub(crate) async fn place(
        &self,
        authority: &Authority,
        wanted: &Wanted,
        current: Option<&CertificateState>,
    ) -> Result<CertificateState, OrderError> {
        let order = tokio::time::timeout(ORDER_TIMEOUT, self.issue(authority, wanted, current)).await;
        let Ok(issued) = order else {
            let domains = wanted.names.iter().map(|name| (name.domain().clone(), None));
            self.set_challenges(domains.collect()).await?;
            return Err(OrderError::Timeout);
        };
        let (certificate, private_key) = issued?;
        let key = self.vault.seal(&SecretName::CertificateKey(certificate.key), &private_key)?;
        let (database, domain, now) = (self.database.clone(), wanted.domain.clone(), self.clock.now());
        let (directory, published) = (authority.directory().to_owned(), certificate.clone());
        let write = async move { database.put_certificate(&domain, &directory, published, &key, now).await };
        self.feed.write(write).await?;
        Ok(certificate)
    }

    async fn issue(
        &self,
        authority: &Authority,
        wanted: &Wanted,
        current: Option<&CertificateState>,
    ) -> Result<(CertificateState, Vec<u8>), OrderError> {
        let replaces = current.and_then(|current| x509::leaf(&current.chain).ok());
        let mut order = authority.order(&wanted.names, replaces.as_ref()).await?;
        let by_dns = self.proven_by_dns(wanted).await;
        let kind = |name: &CertificateName| match name {
            // A file at a host proves nothing of a wildcard.
            CertificateName::Host(domain) if !by_dns.contains_key(domain) => ChallengeKind::Http01,
            _ => ChallengeKind::Dns01,
        };
        let answers = answers(order.challenges(kind).await?, &by_dns);
        let key = x509::generate(&wanted.names)?;
        let chain = self.answer_and_finish(&mut order, &answers, &key.request).await;
        let withdrawn = answers.into_keys().map(|domain| (domain, None)).collect();
        self.set_challenges(withdrawn).await?;
        Ok((x509::check(chain?, key.name, &wanted.names)?, key.private_key))
    }

    async fn answer_and_finish(
        &self,
        order: &mut PendingOrder,
        answers: &BTreeMap<DomainName, ChallengeState>,
        request: &[u8],
    ) -> Result<String, OrderError> {
        let published = answers.iter().map(|(domain, answer)| (domain.clone(), Some(answer.clone()))).collect();
        let position = self.set_challenges(published).await?;
        if answers.values().any(|answer| !answer.http.is_empty()) {
            self.wait_for_edges(position).await?;
        }
        let texts = answers.values().flat_map(|answer| &answer.dns).collect();
        self.dns.wait_until_served(&texts).await?;
        Ok(order.finish(request).await?)
    }

    /// The domains that are proven by a TXT record, each with the record's owner name: the base domain, and those that delegate the name
    /// `_acme-challenge.<domain>` to a name of the base domain that no other domain has.
    async fn proven_by_dns(&self, wanted: &Wanted) -> BTreeMap<DomainName, String> {
        let mut owners = BTreeMap::new();
        let Some(base) = &self.base else { return owners };
        for domain in wanted.names.iter().map(CertificateName::domain) {
            let own = format!("_acme-challenge.{domain}");
            if domain == base {
                owners.insert(domain.clone(), own);
            } else if !owners.contains_key(domain) {
                let delegated = delegated_owner(domain, base);
                if self.dns.alias(&own).await.as_ref() == Some(&delegated) {
                    owners.insert(domain.clone(), delegated);
                }
            }
        }
        owners
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

/// What the fleet answers, by domain. `owners` are those of TXT records.
fn answers(challenges: Vec<Challenge>, owners: &BTreeMap<DomainName, String>) -> BTreeMap<DomainName, ChallengeState> {
    let mut answers: BTreeMap<DomainName, ChallengeState> = BTreeMap::new();
    for challenge in challenges {
        match challenge {
            Challenge::Dns01 { domain, text } => {
                let own = || format!("_acme-challenge.{domain}");
                let owner = owners.get(&domain).cloned().unwrap_or_else(own);
                answers.entry(domain).or_default().dns.entry(owner).or_default().insert(text);
            }
            Challenge::Http01 { domain, token, key_authorization } => {
                answers.entry(domain).or_default().http.insert(token, key_authorization);
            }
        }
    }
    answers
}
