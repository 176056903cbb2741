//! Explains what edges answer a request with: what the origin has of the site is given to the code that edges run.

use std::collections::{BTreeMap, HashMap};

use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{StatusCode, Url};
use url::Position;
use verge_edge::{Cause, Explanation, HostFacts, HostModel};
use verge_protocol::api::{self, Host};
use verge_protocol::host::HostLabel;
use verge_protocol::rules::{HeaderRule, Redirect};
use verge_protocol::{ChannelName, DomainName, ReleaseNumber, SiteName};

use crate::client::{Client, ClientError};

/// How many redirects browsers follow.
pub const REDIRECTS_MAX: usize = 20;

/// How many inherited manifests are read.
const INHERITED_MAX: usize = 64;

/// A request and its answer.
#[derive(Debug)]
pub struct Step {
    /// The URL that is requested.
    pub url: Url,
    /// The site that answers.
    pub site: SiteName,
    /// The channel of the site; `None`: the host is that of a release.
    pub channel: Option<ChannelName>,
    /// The release.
    pub release: ReleaseNumber,
    /// Whether there is a certificate of the fleet for the host.
    pub has_certificate: bool,
    /// Whether an edge that has a certificate from files of its own redirects the request to TLS, since the site requires it and has a URL with
    /// TLS. The origin does not know these certificates.
    pub may_redirect_to_tls: bool,
    /// The status.
    pub status: StatusCode,
    /// The headers, but for those about the edge and its cache.
    pub headers: HeaderMap,
    /// Why.
    pub reason: Reason,
    /// The path of the file that is sent.
    pub file: Option<String>,
    /// The headers that header rules have set, and the patterns of these rules.
    pub ruled_headers: BTreeMap<String, String>,
}

/// Why an answer is as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// This redirect rule.
    Rule(Box<Redirect>),
    /// Another.
    Other(Cause),
}

/// A request, the requests that its redirects lead to, and where they end.
#[derive(Debug)]
pub struct Trace {
    /// The requests, the first one first.
    pub steps: Vec<Step>,
    /// What follows the last one.
    pub end: End,
}

/// What follows the last request.
#[derive(Debug)]
pub enum End {
    /// Nothing: it was answered.
    Answered,
    /// It redirects to where no site of this origin is.
    Elsewhere(String),
    /// It redirects to a URL that was requested already.
    Loop(Url),
    /// There are more redirects than browsers follow.
    TooMany,
}

/// What a host answers with.
struct Site {
    host: Host,
    /// Whether its URL has TLS.
    has_tls: bool,
    model: HostModel,
    redirects: Vec<Redirect>,
    header_rules: Vec<HeaderRule>,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The origin does not know a site there, or cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The URL has no domain.
    #[error("{0} has no domain: expected a URL of a site")]
    NoDomain(String),
    /// The URL has a user or a password.
    #[error("the URL has a user or a password: use -H 'Authorization: Basic …' for them")]
    Credentials,
    /// The path cannot be requested, since it is too long.
    #[error("{0} cannot be requested")]
    Target(String),
}

/// Explains a GET for `url` with `headers`, and those that its redirects lead to. An error if no site of the origin is at `url`.
pub async fn explain(client: &Client, url: Url, headers: &HeaderMap) -> Result<Trace, ExplainError> {
    let mut sites: HashMap<DomainName, Site> = HashMap::new();
    let mut steps: Vec<Step> = Vec::new();
    let (mut url, mut headers) = (url, headers.clone());
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ExplainError::Credentials);
    }
    loop {
        url.set_fragment(None);
        if steps.iter().any(|step| step.url == url) {
            return Ok(Trace { steps, end: End::Loop(url) });
        }
        if steps.len() > REDIRECTS_MAX {
            return Ok(Trace { steps, end: End::TooMany });
        }
        let Some(host) = domain(&url) else {
            return if steps.is_empty() {
                Err(ExplainError::NoDomain(url.into()))
            } else {
                Ok(Trace { steps, end: End::Elsewhere(url.into()) })
            };
        };
        if !sites.contains_key(&host) {
            match load(client, &host).await {
                Ok(site) => drop(sites.insert(host.clone(), site)),
                Err(error) if error.code() == Some("unknown_host") && !steps.is_empty() => {
                    return Ok(Trace { steps, end: End::Elsewhere(url.into()) });
                }
                Err(error) => return Err(error.into()),
            }
        }
        let step = sites[&host].answer(&url, headers.clone())?;
        let location = step.headers.get(LOCATION).filter(|_| step.status.is_redirection());
        let next = location.map(|location| {
            let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
            url.join(&location).map_err(|_| location)
        });
        steps.push(step);
        match next {
            None => return Ok(Trace { steps, end: End::Answered }),
            Some(Err(location)) => return Ok(Trace { steps, end: End::Elsewhere(location) }),
            Some(Ok(next)) => {
                if next.host() != url.host() {
                    // Clients do not send it to another host.
                    headers.remove(AUTHORIZATION);
                }
                url = next;
            }
        }
    }
}

/// The domain of a URL that a site may have.
fn domain(url: &Url) -> Option<DomainName> {
    let host = url.domain().filter(|_| matches!(url.scheme(), "http" | "https"))?;
    host.strip_suffix('.').unwrap_or(host).parse().ok()
}

async fn load(client: &Client, name: &DomainName) -> Result<Site, ClientError> {
    let host = client.host(name).await?;
    let own = client.manifest(host.manifest).await?;
    let mut inherited = Vec::new();
    for release in host.inherits.iter().take(INHERITED_MAX) {
        match client.manifest(release.manifest).await {
            Ok(manifest) => inherited.push((manifest, release.without.clone())),
            // Edges serve without it.
            Err(error) if error.code() == Some("unknown_manifest") => {}
            Err(error) => return Err(error),
        }
    }
    let has_tls = client.get::<api::Site>(&format!("/v1/sites/{}", host.site)).await?.url.starts_with("https://");
    let channel = host.channel.clone().unwrap_or_else(ChannelName::live);
    let (redirects, header_rules) = (own.rules.redirects.clone(), own.rules.headers.clone());
    let model = HostModel::new(HostFacts {
        name: name.clone(),
        label: HostLabel { site: host.site.clone(), channel },
        is_preview: host.channel.as_ref().is_none_or(|channel| !channel.is_live()),
        release: host.release,
        manifest: own,
        inherited,
        erased: &host.erased,
        redirect_to: host.redirect_to.clone(),
        https: host.https.clone(),
        has_certificate: host.has_certificate,
    });
    Ok(Site { host, has_tls, model, redirects, header_rules })
}

impl Site {
    fn answer(&self, url: &Url, headers: HeaderMap) -> Result<Step, ExplainError> {
        let target = &url[Position::BeforePath..Position::AfterQuery];
        let answered = self.model.explain(target, headers, url.scheme() == "https", url.port());
        let Explanation { status, headers, cause, requires_tls, file, ruled_headers } =
            answered.map_err(|_| ExplainError::Target(url.to_string()))?;
        let reason = match cause {
            Cause::Rule(number) => {
                self.redirects.get(number).cloned().map_or(Reason::Other(cause), |rule| Reason::Rule(Box::new(rule)))
            }
            cause => Reason::Other(cause),
        };
        let pattern = |number: usize| self.header_rules.get(number).map(|rule| rule.pattern.to_string());
        let ruled_headers = ruled_headers.into_iter();
        Ok(Step {
            url: url.clone(),
            site: self.host.site.clone(),
            channel: self.host.channel.clone(),
            release: self.host.release,
            has_certificate: self.host.has_certificate,
            may_redirect_to_tls: requires_tls && self.has_tls && !self.host.has_certificate,
            status,
            headers,
            reason,
            file,
            ruled_headers: ruled_headers
                .filter_map(|(name, number)| Some((name.to_string(), pattern(number)?)))
                .collect(),
        })
    }
}
