//! Explains what edges answer a request with: what the origin has of the site is given to the code that edges run.

use std::collections::HashMap;

use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use reqwest::{StatusCode, Url};
use url::Position;
use verge_edge::{Cause, Explanation, RequestedHost, SiteModel};
use verge_protocol::api::Host;
use verge_protocol::host::HostLabel;
use verge_protocol::rules::{HeaderRule, Redirect};
use verge_protocol::{ChannelName, DomainName, ReleaseNumber, SiteName};

use crate::client::{Client, ClientError};

/// How many redirects browsers follow.
pub const REDIRECTS_MAX: usize = 20;

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
    /// The status.
    pub status: StatusCode,
    /// The headers, but for those about the edge and its cache.
    pub headers: HeaderMap,
    /// Why.
    pub reason: Reason,
    /// The path of the file that is sent.
    pub file: Option<String>,
    /// The header rules for the path.
    pub header_rules: Vec<HeaderRule>,
}

/// Why an answer is as it is.
#[derive(Debug)]
pub enum Reason {
    /// The site is served over TLS.
    OverTls,
    /// The domain redirects to another.
    Domain(DomainName),
    /// This redirect rule.
    Rule(Redirect),
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
    model: SiteModel,
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
    /// The path cannot be requested, since it is too long.
    #[error("{0} cannot be requested")]
    Target(String),
}

/// Explains a GET for `url` with `headers`, and those that its redirects lead to. An error if no site of the origin is at `url`.
pub async fn explain(client: &Client, url: Url, headers: &HeaderMap) -> Result<Trace, ExplainError> {
    let mut sites: HashMap<DomainName, Site> = HashMap::new();
    let mut steps: Vec<Step> = Vec::new();
    let mut url = url;
    loop {
        url.set_fragment(None);
        if steps.iter().any(|step| step.url == url) {
            return Ok(Trace { steps, end: End::Loop(url) });
        }
        if steps.len() > REDIRECTS_MAX {
            return Ok(Trace { steps, end: End::TooMany });
        }
        let host: Option<DomainName> = url.domain().and_then(|host| host.trim_end_matches('.').parse().ok());
        let Some(host) = host.filter(|_| matches!(url.scheme(), "http" | "https")) else {
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
        let step = sites[&host].answer(&url, &host, headers.clone())?;
        let location = step.headers.get(LOCATION).filter(|_| step.status.is_redirection());
        let next = location.map(|location| {
            let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
            url.join(&location).map_err(|_| location)
        });
        steps.push(step);
        match next {
            None => return Ok(Trace { steps, end: End::Answered }),
            Some(Ok(next)) => url = next,
            Some(Err(location)) => return Ok(Trace { steps, end: End::Elsewhere(location) }),
        }
    }
}

async fn load(client: &Client, host: &DomainName) -> Result<Site, ClientError> {
    let host = client.host(host).await?;
    let own = client.manifest(host.manifest).await?;
    let mut inherited = Vec::new();
    for release in &host.inherits {
        inherited.push((client.manifest(release.manifest).await?, release.without.clone()));
    }
    let channel = host.channel.clone().unwrap_or_else(ChannelName::live);
    let label = HostLabel { site: host.site.clone(), channel };
    let (redirects, header_rules) = (own.rules.redirects.clone(), own.rules.headers.clone());
    let model = SiteModel::new(label, host.release, own, inherited, &host.erased, &host.https);
    Ok(Site { host, model, redirects, header_rules })
}

impl Site {
    fn answer(&self, url: &Url, name: &DomainName, headers: HeaderMap) -> Result<Step, ExplainError> {
        let Host { channel, redirect_to, https, has_certificate, .. } = &self.host;
        let is_tls = url.scheme() == "https";
        let target = &url[Position::BeforePath..Position::AfterQuery];
        if !is_tls && *has_certificate && !https.optional {
            // At the port of `https`: another one is not known here.
            return Ok(self.redirect(url, format!("https://{name}{target}"), Reason::OverTls));
        }
        if let Some(domain) = redirect_to {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let location = format!("{}://{domain}{port}{target}", url.scheme());
            return Ok(self.redirect(url, location, Reason::Domain(domain.clone())));
        }
        let is_preview = channel.as_ref().is_none_or(|channel| !channel.is_live());
        let host = RequestedHost { name: name.as_str(), is_tls, is_preview };
        let explanation =
            self.model.explain(target, headers, host).map_err(|_| ExplainError::Target(url.to_string()))?;
        let Explanation { status, headers, cause, file, redirect_rule, header_rules } = explanation;
        let rule = redirect_rule.filter(|_| cause == Cause::Rule).and_then(|number| self.redirects.get(number));
        let reason = rule.map_or(Reason::Other(cause), |rule| Reason::Rule(rule.clone()));
        let header_rules = header_rules.iter().filter_map(|number| self.header_rules.get(*number).cloned()).collect();
        Ok(Step { file, header_rules, ..self.step(url, status, headers, reason) })
    }

    fn redirect(&self, url: &Url, location: String, reason: Reason) -> Step {
        let location = HeaderValue::try_from(location).expect("a URL is ASCII without control characters");
        self.step(url, StatusCode::PERMANENT_REDIRECT, HeaderMap::from_iter([(LOCATION, location)]), reason)
    }

    fn step(&self, url: &Url, status: StatusCode, headers: HeaderMap, reason: Reason) -> Step {
        Step {
            url: url.clone(),
            site: self.host.site.clone(),
            channel: self.host.channel.clone(),
            release: self.host.release,
            status,
            headers,
            reason,
            file: None,
            header_rules: Vec::new(),
        }
    }
}
