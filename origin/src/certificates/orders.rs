//! One order, from the request to the certificate that edges are given.

use std::collections::BTreeMap;
use std::time::Duration;

use verge_daemon::Clock;
use verge_protocol::certificate::{CertificateState, ChallengeState};
use verge_protocol::{CertificateName, DomainName, Position};

use super::authority::{Authority, AuthorityError, Challenge, ChallengeKind, PendingOrder};
use super::plan::Wanted;
use super::vault::{SecretName, Vault, VaultError};
use super::x509::{self, ChainError};
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
    pub(crate) clock: Clock,
}

/// Why an order failed. What is served is unchanged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("the authority gave a wrong answer: {0}")]
    Chain(#[from] ChainError),
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
        let (certificate, private_key) = order.map_err(|_| OrderError::Timeout)??;
        // The key first: an edge that learns of the certificate asks for it at once.
        self.vault.put(&SecretName::CertificateKey(certificate.key), &private_key).await?;
        let (database, domain, now) = (self.database.clone(), wanted.domain.clone(), self.clock.now());
        let (directory, published) = (authority.directory().to_owned(), certificate.clone());
        let write = async move { database.put_certificate(&domain, &directory, &published, now).await };
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
        let challenges = order.challenges(challenge_kind).await?;
        let answers = answers(challenges);
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
            self.wait_for_edges(position).await;
        }
        Ok(order.finish(request).await?)
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

    /// Waits until every live edge has applied the write at `position`.
    async fn wait_for_edges(&self, position: Position) {
        let mut changes = self.edge_reports.subscribe();
        let applied = async {
            while self.edge_reports.live().iter().any(|(_, last)| last.claims.applied < position) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(EDGES_TIMEOUT, applied).await.is_err() {
            tracing::warn!("not all live edges answer a challenge yet: the authority is told all the same");
        }
    }
}

/// How the control of a name is proven: of a wildcard a file at a host would prove nothing.
fn challenge_kind(name: &CertificateName) -> ChallengeKind {
    match name {
        CertificateName::Wildcard(_) => ChallengeKind::Dns01,
        CertificateName::Host(_) => ChallengeKind::Http01,
    }
}

/// What the fleet answers, by domain.
fn answers(challenges: Vec<Challenge>) -> BTreeMap<DomainName, ChallengeState> {
    let mut answers: BTreeMap<DomainName, ChallengeState> = BTreeMap::new();
    for challenge in challenges {
        match challenge {
            Challenge::Dns01 { domain, text } => {
                let owner = format!("_acme-challenge.{domain}");
                answers.entry(domain).or_default().dns.entry(owner).or_default().insert(text);
            }
            Challenge::Http01 { domain, token, key_authorization } => {
                answers.entry(domain).or_default().http.insert(token, key_authorization);
            }
        }
    }
    answers
}
