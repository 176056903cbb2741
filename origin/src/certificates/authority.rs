//! A certificate authority, spoken to by ACME (RFC 8555). No other module uses the ACME client.

mod transport;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use verge_daemon::{Clock, Secret};
use verge_protocol::{CertificateName, DomainName, Timestamp};

use self::transport::{Transport, TransportError};
use super::plan::Window;
use super::vault::{SecretName, Vault, VaultError};
use crate::caa_issuers::CaaIssuers;

/// The settings of an authority.
#[derive(Debug, Clone)]
pub struct AuthoritySettings {
    /// The URL of its directory.
    pub directory: String,
    /// The address to which it may write.
    pub email: Option<String>,
    /// The profile of certificates.
    pub profile: Option<String>,
    /// The account at the authority to which the ACME account is bound (RFC 8555 §7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// A PEM file with the root certificates that its own TLS certificate is checked against, beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long it may take to check challenges, and to issue a certificate. Not a setting.
    pub poll_timeout: Duration,
    /// How long after a request it is first asked whether it has done that. Not a setting.
    pub poll_delay: Duration,
}

/// An account that exists at an authority outside ACME.
#[derive(Debug, Clone)]
pub struct ExternalAccount {
    /// Its identifier.
    pub key_id: String,
    /// Its HMAC key, in base64url.
    pub hmac_key: Secret,
    /// The file from which the key was read, for errors.
    pub hmac_key_file: Option<PathBuf>,
}

impl AuthoritySettings {
    /// Let's Encrypt.
    pub const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

    /// The default settings of the authority with this directory.
    pub fn new(directory: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            email: None,
            profile: None,
            external_account: None,
            ca_file: None,
            poll_timeout: Duration::from_mins(5),
            poll_delay: Duration::from_millis(250),
        }
    }
}

impl AuthoritySettings {
    /// Validates the files of the settings: root certificates, and the key of the external account. Blocks.
    pub(crate) fn check_files(&self) -> Result<(), AuthorityError> {
        transport(self.ca_file.as_deref(), Clock::system())?;
        self.external_account.as_ref().map(external_account_key).transpose().map(drop)
    }
}

fn transport(ca_file: Option<&Path>, clock: Clock) -> Result<Transport, AuthorityError> {
    Transport::new(ca_file, clock).map_err(|(path, reason)| AuthorityError::CaFile { path, reason })
}

/// How long an authority gets no order that limits them and does not say until when.
const RATE_LIMIT_WAIT: Duration = Duration::from_hours(1);

/// Why an authority issued nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorityError {
    #[error("{message}")]
    RateLimited { message: String, until: Timestamp },
    #[error("{0}")]
    Refused(String),
    #[error("{}", listed(.0))]
    NotAuthorized(BTreeMap<CertificateName, String>),
    #[error("the authority is not reachable: {0}")]
    Unreachable(String),
    #[error("the authority gave a wrong answer: {0}")]
    WrongAnswer(String),
    #[error("the authority did not finish within {} s: {doing}", timeout.as_secs())]
    Slow { doing: &'static str, timeout: Duration },
    #[error("the authority offers no {kind} challenge for {name}")]
    NoChallenge { kind: &'static str, name: CertificateName },
    #[error("invalid HMAC key of the external account in {place}: expected base64url")]
    ExternalAccount { place: String },
    #[error("invalid certificates in {path}: {reason}")]
    CaFile { path: String, reason: String },
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Names, each with the reason.
fn listed(reasons: &BTreeMap<CertificateName, String>) -> String {
    reasons.iter().map(|(name, reason)| format!("{name}: {reason}")).collect::<Vec<_>>().join("; ")
}

/// How the control of a name is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChallengeKind {
    /// A TXT record (RFC 8555 §8.4).
    Dns01,
    /// A file at the name's host (RFC 8555 §8.3).
    Http01,
}

/// What the authority expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Dns01 { domain: DomainName, text: String },
    Http01 { domain: DomainName, token: String, key_authorization: String },
}

/// An authority and the account there. Clones share them.
#[derive(Clone)]
pub(crate) struct Authority {
    settings: Arc<AuthoritySettings>,
    vault: Vault,
    transport: Transport,
    account: Arc<Mutex<Option<Account>>>,
    caa_issuers: CaaIssuers,
}

/// A directory, as far as the ACME client does not tell (RFC 8555 §7.1.1).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Directory {
    meta: DirectoryMeta,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DirectoryMeta {
    caa_identities: Vec<String>,
}

/// An order in progress.
pub(crate) struct PendingOrder {
    authority: Authority,
    order: Order,
    kinds: Vec<(CertificateName, ChallengeKind)>,
}

impl Authority {
    pub(crate) fn new(
        settings: AuthoritySettings,
        vault: Vault,
        clock: Clock,
        caa_issuers: CaaIssuers,
    ) -> Result<Self, AuthorityError> {
        let transport = transport(settings.ca_file.as_deref(), clock)?;
        Ok(Self { settings: Arc::new(settings), vault, transport, account: Arc::default(), caa_issuers })
    }

    /// The URL of its directory, which names it.
    pub(crate) fn directory(&self) -> &str {
        &self.settings.directory
    }

    /// The time by its clock, as far as known.
    pub(crate) fn now(&self) -> Timestamp {
        self.transport.now()
    }

    /// By how many milliseconds the origin's clock was ahead of the authority's at the last contact, and when that was; negative: behind;
    /// `None`: not known.
    pub(crate) fn clock_ahead_millis(&self) -> Option<(Instant, i64)> {
        self.transport.clock_ahead_millis()
    }

    /// Asks for the directory, which tells the authority's time, and what CAA records call it. Returns whether the answer is one: an error tells
    /// the time too.
    pub(crate) async fn contact(&self) -> Result<bool, AuthorityError> {
        let answer = self.transport.get(self.directory()).await.map_err(AuthorityError::Unreachable)?;
        // What else it should have, the ACME client checks.
        let directory = answer.and_then(|directory| serde_json::from_slice::<Directory>(&directory).ok());
        if let Some(Directory { meta }) = &directory {
            self.caa_issuers.learn(self.directory(), &meta.caa_identities);
        }
        Ok(directory.is_some())
    }

    /// Makes an order. Makes the account if there is none yet, or if the authority does not know it any more.
    pub(crate) async fn order(
        &self,
        names: &BTreeSet<CertificateName>,
        replaces: Option<&CertificateDer<'_>>,
    ) -> Result<PendingOrder, AuthorityError> {
        let identifiers: Vec<Identifier> = names.iter().map(|name| Identifier::Dns(name.to_string())).collect();
        let mut replaces = replaces.and_then(|certificate| CertificateIdentifier::try_from(certificate).ok());
        let mut account = self.account().await?;
        let mut has_new_account = false;
        let order = loop {
            let mut order = NewOrder::new(&identifiers);
            if let Some(profile) = &self.settings.profile {
                order = order.profile(profile);
            }
            if let Some(replaces) = replaces.clone() {
                order = order.replaces(replaces);
            }
            match account.new_order(&order).await {
                Err(Error::Api(problem)) if !has_new_account && is_type(&problem, "accountDoesNotExist") => {
                    account = self.replace_account(&account).await?;
                    has_new_account = true;
                }
                // The authority has no ARI, or does not know the earlier certificate.
                Err(Error::Unsupported(_)) if replaces.is_some() => replaces = None,
                Err(Error::Api(problem)) if replaces.is_some() && !is_rate_limited(&problem) => replaces = None,
                // It has ARI, but does not confirm what the order replaces.
                Err(Error::Other(error)) if replaces.is_some() && !error.is::<TransportError>() => {
                    tracing::debug!(%error, "an order does not replace the earlier certificate");
                    replaces = None;
                }
                outcome => break outcome.map_err(|error| self.error(error, "making an order"))?,
            }
        };
        Ok(PendingOrder { authority: self.clone(), order, kinds: Vec::new() })
    }

    /// When the authority wishes that the certificate is renewed, and how long that answer may be used; `None`: it does not say.
    pub(crate) async fn renewal_window(
        &self,
        certificate: &CertificateDer<'_>,
    ) -> Result<Option<(Window, Duration)>, AuthorityError> {
        let Ok(id) = CertificateIdentifier::try_from(certificate) else { return Ok(None) };
        match self.account().await?.renewal_info(&id).await {
            Ok((info, retry_after)) => {
                let time = |seconds: i64| Timestamp(u64::try_from(seconds).unwrap_or_default().saturating_mul(1000));
                let window = info.suggested_window;
                let (start, end) = (time(window.start.unix_timestamp()), time(window.end.unix_timestamp()));
                Ok((start < end).then_some((Window { start, end }, retry_after)))
            }
            Err(Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(self.error(error, "asking for renewal information")),
        }
    }

    /// The account, which is made if there is none. Of several that ask at once, one makes it.
    async fn account(&self) -> Result<Account, AuthorityError> {
        let mut current = self.account.lock().await;
        if let Some(account) = &*current {
            return Ok(account.clone());
        }
        let name = SecretName::Account(self.settings.directory.clone());
        let stored = match self.vault.get(&name).await {
            Err(VaultError::Damaged(_)) => None,
            stored => stored?,
        };
        let credentials = stored.and_then(|stored| serde_json::from_slice::<AccountCredentials>(&stored).ok());
        let account = match credentials {
            Some(credentials) => {
                let builder = Account::builder_with_http(Box::new(self.transport.clone()));
                let account = builder.from_credentials(credentials).await;
                account.map_err(|error| self.error(error, "reading the directory"))?
            }
            None => self.create_account().await?,
        };
        *current = Some(account.clone());
        Ok(account)
    }

    /// Another account, in place of one that the authority does not know.
    async fn replace_account(&self, unknown: &Account) -> Result<Account, AuthorityError> {
        let mut current = self.account.lock().await;
        if let Some(account) = current.as_ref().filter(|account| account.id() != unknown.id()) {
            return Ok(account.clone());
        }
        let account = self.create_account().await?;
        *current = Some(account.clone());
        Ok(account)
    }

    async fn create_account(&self) -> Result<Account, AuthorityError> {
        let contact = self.settings.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = self.settings.external_account.as_ref().map(external_account_key).transpose()?;
        let builder = Account::builder_with_http(Box::new(self.transport.clone()));
        let created = builder.create(&new, self.settings.directory.clone(), external.as_ref()).await;
        let (account, credentials) = created.map_err(|error| self.error(error, "making an account"))?;
        let credentials = serde_json::to_vec(&credentials).expect("plain data serializes");
        self.vault.put(&SecretName::Account(self.settings.directory.clone()), &credentials).await?;
        tracing::info!(authority = self.settings.directory, account = account.id(), "account made");
        Ok(account)
    }

    fn error(&self, error: Error, doing: &'static str) -> AuthorityError {
        match error {
            // Without a time until when (`Retry-After`).
            Error::Api(problem) if is_rate_limited(&problem) => {
                AuthorityError::RateLimited { message: problem.to_string(), until: self.now().after(RATE_LIMIT_WAIT) }
            }
            Error::Api(problem) => {
                let message = problem.to_string();
                refused_names(&problem).map_or(AuthorityError::Refused(message), AuthorityError::NotAuthorized)
            }
            Error::Timeout(_) => AuthorityError::Slow { doing, timeout: self.settings.poll_timeout },
            Error::Other(error) => match error.downcast_ref() {
                Some(TransportError::Unreachable(reason)) => AuthorityError::Unreachable(reason.clone()),
                Some(TransportError::Later { message, until }) => {
                    AuthorityError::RateLimited { message: message.clone(), until: *until }
                }
                Some(TransportError::Status(_) | TransportError::NotJson(_)) | None => {
                    AuthorityError::WrongAnswer(format!("{doing}: {error}"))
                }
            },
            error => AuthorityError::WrongAnswer(format!("{doing}: {error}")),
        }
    }
}

impl PendingOrder {
    /// What the authority expects to find for the names that the account may not use already, each by the kind that `kind` chooses.
    pub(crate) async fn challenges(
        &mut self,
        kind: impl Fn(&CertificateName) -> ChallengeKind,
    ) -> Result<Vec<Challenge>, AuthorityError> {
        let mut challenges = Vec::new();
        let mut authorizations = self.order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization =
                authorization.map_err(|error| self.authority.error(error, "reading an authorization"))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let wrong = |text: &str| AuthorityError::WrongAnswer(format!("an authorization for `{text}`"));
            let text = authorization.identifier().to_string();
            let name: CertificateName = text.parse().map_err(|_| wrong(&text))?;
            let kind = kind(&name);
            let (kind_type, kind_text) = acme_type(kind);
            let Some(challenge) = authorization.challenge(kind_type) else {
                return Err(AuthorityError::NoChallenge { kind: kind_text, name });
            };
            let domain = name.domain().clone();
            let key_authorization = challenge.key_authorization();
            challenges.push(match kind {
                ChallengeKind::Dns01 => Challenge::Dns01 { domain, text: key_authorization.dns_value() },
                ChallengeKind::Http01 => Challenge::Http01 {
                    domain,
                    token: challenge.token.clone(),
                    key_authorization: key_authorization.as_str().to_owned(),
                },
            });
            self.kinds.push((name, kind));
        }
        Ok(challenges)
    }

    /// Tells the authority that it may check, waits until it has, and has the certificate issued. Returns the chain, in PEM.
    pub(crate) async fn finish(&mut self, csr: &[u8]) -> Result<String, AuthorityError> {
        let AuthoritySettings { poll_timeout, poll_delay, .. } = *self.authority.settings;
        let policy = RetryPolicy::new().initial_delay(poll_delay).backoff(1.5).timeout(poll_timeout);
        for index in 0..self.kinds.len() {
            let (name, kind) = self.kinds[index].clone();
            let mut authorizations = self.order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization =
                    authorization.map_err(|error| self.authority.error(error, "reading an authorization"))?;
                if authorization.identifier().to_string() == name.to_string()
                    && let Some(mut challenge) = authorization.challenge(acme_type(kind).0)
                {
                    let Err(error) = challenge.set_ready().await else { continue };
                    // An authority that checks at once says so in its answer.
                    let error = self.authority.error(error, "answering a challenge");
                    return Err(self.reason().await.unwrap_or(error));
                }
            }
        }
        let status = match self.order.poll_ready(&policy).await {
            Ok(status) => status,
            Err(error) => {
                let error = self.authority.error(error, "checking the challenges");
                return Err(self.reason().await.unwrap_or(error));
            }
        };
        if status != OrderStatus::Ready {
            let unknown = AuthorityError::Refused("the authority calls the order invalid".to_owned());
            return Err(self.reason().await.unwrap_or(unknown));
        }
        let finalized = self.order.finalize_csr(csr).await;
        finalized.map_err(|error| self.authority.error(error, "requesting the certificate"))?;
        let chain = self.order.poll_certificate(&policy).await;
        chain.map_err(|error| self.authority.error(error, "issuing the certificate"))
    }

    /// Which names were not authorized, and why.
    async fn reason(&mut self) -> Option<AuthorityError> {
        let mut reasons = BTreeMap::new();
        let mut authorizations = self.order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if authorization.refresh().await.is_err() || authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
            let details: Vec<String> = errors.filter_map(|problem| problem.detail.clone()).collect();
            if let Ok(name) = authorization.identifier().to_string().parse()
                && !details.is_empty()
            {
                reasons.insert(name, details.join("; "));
            }
        }
        (!reasons.is_empty()).then_some(AuthorityError::NotAuthorized(reasons))
    }
}

/// The key that binds an ACME account to an external one. An error if it is empty, or no base64url.
fn external_account_key(account: &ExternalAccount) -> Result<ExternalAccountKey, AuthorityError> {
    let key = URL_SAFE_NO_PAD.decode(account.hmac_key.expose().trim_end_matches('=')).ok();
    let key = key.filter(|key| !key.is_empty()).ok_or_else(|| AuthorityError::ExternalAccount {
        place: account
            .hmac_key_file
            .as_ref()
            .map_or_else(|| "`hmac_key`".to_owned(), |path| path.display().to_string()),
    })?;
    Ok(ExternalAccountKey::new(account.key_id.clone(), &key))
}

/// The names that a problem is about, if it says so (RFC 8555 §6.7.1).
fn refused_names(problem: &instant_acme::Problem) -> Option<BTreeMap<CertificateName, String>> {
    let named = problem.subproblems.iter().filter_map(|sub| {
        let Some(Identifier::Dns(name)) = &sub.identifier else { return None };
        Some((name.parse().ok()?, sub.detail.clone().unwrap_or_else(|| problem.to_string())))
    });
    Some(named.collect()).filter(|names: &BTreeMap<_, _>| !names.is_empty())
}

fn acme_type(kind: ChallengeKind) -> (ChallengeType, &'static str) {
    match kind {
        ChallengeKind::Dns01 => (ChallengeType::Dns01, "dns-01"),
        ChallengeKind::Http01 => (ChallengeType::Http01, "http-01"),
    }
}

fn is_type(problem: &instant_acme::Problem, name: &str) -> bool {
    problem.r#type.as_deref().is_some_and(|kind| kind.strip_prefix("urn:ietf:params:acme:error:") == Some(name))
}

fn is_rate_limited(problem: &instant_acme::Problem) -> bool {
    problem.status == Some(429) || is_type(problem, "rateLimited")
}
