//! Links and assets of the build's own pages that lead nowhere, as the code that edges run answers them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use url::Position;
use verge_edge::{RequestedHost, SiteModel};
use verge_protocol::host::HostLabel;
use verge_protocol::https::SiteHttps;
use verge_protocol::manifest::{File, Lifetime};
use verge_protocol::{Build, ChannelName, Content, Manifest, ReleaseNumber, SiteName, SitePath};

use super::pages::{Pages, address, is_page};
use crate::explain::REDIRECTS_MAX;
use crate::output::human;
use crate::scan::html::Link;

/// The host of the site: no other URL has it (RFC 6761 §6.4).
const HOST: &str = "site.invalid";

/// Warns about links and assets of `pages` that lead nowhere: one line for each URL.
pub(super) fn warnings(build: &Build, site: &SiteName, pages: &Pages) -> Vec<String> {
    let mut answers = Answers { model: model(build, site), known: HashMap::new() };
    let spellings: HashMap<String, &str> =
        build.files.keys().map(|path| (path.as_str().to_lowercase(), path.as_str())).collect();
    // The pages that have each URL, the first one and how many.
    let mut dead: BTreeMap<(String, bool), (Fault, &SitePath, u64)> = BTreeMap::new();
    for page in &pages.0 {
        let Some(base) = base(&page.path, page.base.as_deref(), build) else { continue };
        let targets: BTreeSet<(Url, bool)> = page.links.iter().filter_map(|link| target(&base, link)).collect();
        for (url, is_page) in targets {
            let Some(fault) = answers.fault(&url, is_page) else { continue };
            let key = (url[Position::BeforePath..Position::AfterQuery].to_owned(), is_page);
            dead.entry(key).or_insert((fault, &page.path, 0)).2 += 1;
        }
    }
    let line = |((target, is_page), (fault, page, pages)): ((String, bool), (Fault, &SitePath, u64))| {
        let how = if is_page { "linked from" } else { "loaded by" };
        let others = match pages - 1 {
            0 => String::new(),
            more => format!(" and {}", human::count(more, "more page")),
        };
        let what = match fault {
            Fault::Missing => "leads nowhere",
            Fault::Redirects => "redirects without an end",
        };
        let hint = spelling(&target, &spellings).map_or_else(String::new, |path| format!(" (there is {path})"));
        format!("`{target}` {what}{hint}: {how} {page}{others}")
    };
    dead.into_iter().map(line).collect()
}

/// Why a link is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// 404, or another error.
    Missing,
    /// Redirects that do not end.
    Redirects,
}

/// What an edge answers, each request once.
struct Answers {
    model: SiteModel,
    known: HashMap<(Url, bool), Option<Fault>>,
}

impl Answers {
    fn fault(&mut self, url: &Url, is_page: bool) -> Option<Fault> {
        let key = (url.clone(), is_page);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let fault = self.request(url, is_page);
        self.known.insert(key, fault);
        fault
    }

    fn request(&self, url: &Url, is_page: bool) -> Option<Fault> {
        let destination = HeaderValue::from_static(if is_page { "document" } else { "image" });
        let headers: HeaderMap = [("sec-fetch-dest".parse().ok()?, destination)].into_iter().collect();
        let host = RequestedHost { name: HOST, is_tls: true, is_preview: false };
        let mut url = url.clone();
        for _ in 0..REDIRECTS_MAX {
            let target = &url[Position::BeforePath..Position::AfterQuery];
            let answer = self.model.explain(target, headers.clone(), host).ok()?;
            if answer.status.is_redirection() {
                let location = answer.headers.get(LOCATION)?.to_str().ok()?;
                url = url.join(location).ok().filter(is_own)?;
                continue;
            }
            // A password is no fault.
            let is_missing = answer.status.as_u16() >= 400 && answer.status.as_u16() != 401;
            return is_missing.then_some(Fault::Missing);
        }
        Some(Fault::Redirects)
    }
}

/// The URL that those of a page are relative to; `None`: they are of another site.
fn base(path: &SitePath, base: Option<&str>, build: &Build) -> Option<Url> {
    let mut url: Url = format!("https://{HOST}/").parse().ok()?;
    url.path_segments_mut().ok()?.clear().extend(address(path, build));
    match base {
        Some(base) => url.join(base).ok(),
        None => Some(url),
    }
}

/// What a link refers to, if it is in the site and its text no placeholder of a template.
fn target(base: &Url, Link { url, is_page }: &Link) -> Option<(Url, bool)> {
    if ["{{", "${", "<%"].iter().any(|placeholder| url.contains(placeholder)) {
        return None;
    }
    let mut url = base.join(url.trim()).ok().filter(is_own)?;
    url.set_fragment(None);
    Some((url, *is_page))
}

fn is_own(url: &Url) -> bool {
    url.scheme() == "https" && url.host_str() == Some(HOST) && url.port().is_none()
}

/// A file with the path of a URL, but for case.
fn spelling<'a>(target: &str, spellings: &HashMap<String, &'a str>) -> Option<&'a str> {
    let path = target.split('?').next().unwrap_or_default().trim_matches('/').to_lowercase();
    ["", ".html", "/index.html"].iter().find_map(|suffix| spellings.get(&format!("{path}{suffix}")).copied())
}

/// A release of the build, as far as an answer depends on it: of the types, which the origin determines, only whether it is a page.
fn model(build: &Build, site: &SiteName) -> SiteModel {
    let file = |(path, content): (&SitePath, &Content)| {
        let media_type = if is_page(path) { "text/html; charset=utf-8" } else { "application/octet-stream" };
        let file = File {
            media_type: media_type.to_owned(),
            lifetime: Lifetime::Revalidate,
            fingerprinted: false,
            identity: content.clone(),
            content_encoding: None,
            encodings: BTreeMap::new(),
        };
        (path.clone(), file)
    };
    let manifest = Manifest {
        site: site.clone(),
        fallback: build.fallback.clone(),
        files: build.files.iter().map(file).collect(),
        former_scripts: None,
        html: build.html,
        rules: build.rules.clone(),
    };
    let label = HostLabel { site: site.clone(), channel: ChannelName::live() };
    SiteModel::new(label, ReleaseNumber(1), manifest, Vec::new(), &BTreeSet::new(), &SiteHttps::default())
}
