//! Links and assets of the build's own pages that lead nowhere, as the code that edges run answers them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use url::Position;
use verge_edge::{HostFacts, HostModel};
use verge_protocol::host::HostLabel;
use verge_protocol::https::SiteHttps;
use verge_protocol::manifest::{File, Lifetime};
use verge_protocol::rules::redirect::Fields;
use verge_protocol::{Build, ChannelName, Content, Manifest, ReleaseNumber, SiteName, SitePath};

use super::pages::{HOST, LinkingPage, is_page};
use crate::explain::REDIRECTS_MAX;
use crate::output::human;
use crate::scan::html::LinkUse;

/// How many hosts of rules are asked.
const HOSTS_MAX: usize = 8;

/// Why a link is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// 404, or another error.
    Missing,
    /// Redirects that do not end.
    Redirects,
}

/// What the pages of a build link to.
pub(super) struct Links<'a> {
    build: &'a Build,
    site: &'a SiteName,
    /// The hosts at which the site is asked: one that no rule names, and then those that rules are for.
    hosts: Vec<Host>,
    known: HashMap<(String, LinkUse), Option<Fault>>,
    /// The faults, each with the first page that has the link, and how many do.
    faults: BTreeMap<(String, LinkUse), (Fault, &'a SitePath, u64)>,
}

/// The site at a host, once it is asked there.
struct Host {
    /// The root of the site.
    url: Url,
    model: Option<HostModel>,
}

impl<'a> Links<'a> {
    /// None yet.
    pub(super) fn new(build: &'a Build, site: &'a SiteName) -> Self {
        let of_rules = build.rules.redirects.iter().map(|rule| Fields::from(rule.clone()).from);
        let roots: BTreeSet<Url> = of_rules
            .filter_map(|from| from.contains("://").then(|| from.parse::<Url>().ok()?.join("/").ok()).flatten())
            .filter(|url| url.domain().is_some())
            .collect();
        let own: Url = format!("https://{HOST}/").parse().expect("a URL");
        let host = |url| Host { url, model: None };
        let hosts = [own].into_iter().chain(roots.into_iter().take(HOSTS_MAX)).map(host).collect();
        Self { build, site, hosts, known: HashMap::new(), faults: BTreeMap::new() }
    }

    /// Asks for all that `page` links to.
    pub(super) fn add(&mut self, page: &LinkingPage<'a>) {
        let targets: BTreeSet<(String, LinkUse)> = page
            .targets()
            .map(|(url, link)| (url[Position::BeforePath..Position::AfterQuery].to_owned(), link.use_))
            .collect();
        for key in targets {
            let fault = if let Some(known) = self.known.get(&key) {
                *known
            } else {
                let fault = self.fault(&key.0, key.1);
                self.known.insert(key.clone(), fault);
                fault
            };
            if let Some(fault) = fault {
                self.faults.entry(key).or_insert((fault, page.path, 0)).2 += 1;
            }
        }
    }

    /// One line for each link that leads nowhere at any host that answers it.
    pub(super) fn warnings(self) -> Vec<String> {
        let paths = self.build.files.keys().map(SitePath::as_str);
        let spellings: HashMap<String, &str> = paths.map(|path| (path.to_lowercase(), path)).collect();
        let line = |((target, use_), (fault, page, pages)): ((String, LinkUse), (Fault, &SitePath, u64))| {
            let how = if use_ == LinkUse::Page { "linked from" } else { "loaded by" };
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
        self.faults.into_iter().map(line).collect()
    }

    /// Why a link is of no use, if it is at every host. That another host than the first redirects to the same path elsewhere, as to the domain that
    /// readers are to use, says nothing of it.
    fn fault(&mut self, target: &str, use_: LinkUse) -> Option<Fault> {
        let mut fault = None;
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let model = host.model.get_or_insert_with(|| model(&host.url, self.build, self.site));
            match request(&host.url, model, target, use_) {
                Some(Found::Fault(found)) => fault = Some(found),
                Some(Found::Elsewhere { same_path: true }) if index > 0 => {}
                Some(Found::Elsewhere { .. } | Found::Answer) | None => return None,
            }
        }
        fault
    }
}

/// Where a link leads to.
enum Found {
    Answer,
    /// Another site, of which nothing is known, perhaps at the same path.
    Elsewhere {
        same_path: bool,
    },
    Fault(Fault),
}

/// Follows a link at the host of `root`. `None`: it is none that can be requested.
fn request(root: &Url, model: &HostModel, target: &str, use_: LinkUse) -> Option<Found> {
    let destination = match use_ {
        LinkUse::Page => "document",
        LinkUse::Frame => "iframe",
        LinkUse::File => "image",
    };
    let headers: HeaderMap =
        [("sec-fetch-dest".parse().ok()?, HeaderValue::from_static(destination))].into_iter().collect();
    let mut url = root.join(target).ok()?;
    for _ in 0..=REDIRECTS_MAX {
        let target = &url[Position::BeforePath..Position::AfterQuery];
        let answer = model.explain(target, headers.clone(), url.scheme() == "https", None).ok()?;
        if !answer.status.is_redirection() {
            // A password is no fault.
            let is_missing = answer.status.as_u16() >= 400 && answer.status.as_u16() != 401;
            return Some(if is_missing { Found::Fault(Fault::Missing) } else { Found::Answer });
        }
        let location = answer.headers.get(LOCATION)?.to_str().ok()?;
        let next = url.join(location).ok()?;
        if next.host() != root.host() {
            return Some(Found::Elsewhere { same_path: next.path() == url.path() });
        }
        url = next;
    }
    Some(Found::Fault(Fault::Redirects))
}

/// A file with the path of a URL, but for case.
fn spelling<'a>(target: &str, spellings: &HashMap<String, &'a str>) -> Option<&'a str> {
    let path = target.split('?').next().unwrap_or_default().trim_matches('/').to_lowercase();
    ["", ".html", "/index.html"].iter().find_map(|suffix| spellings.get(&format!("{path}{suffix}")).copied())
}

/// A release of the build, as far as an answer depends on it: of the types, which the origin determines, only whether it is a page.
fn model(root: &Url, build: &Build, site: &SiteName) -> HostModel {
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
    HostModel::new(HostFacts {
        name: root.domain().unwrap_or_default().parse().unwrap_or_else(|_| HOST.parse().expect("a domain")),
        label: HostLabel { site: site.clone(), channel: ChannelName::live() },
        is_preview: false,
        release: ReleaseNumber(1),
        manifest,
        inherited: Vec::new(),
        erased: &BTreeSet::new(),
        redirect_to: None,
        https: SiteHttps::default(),
        has_certificate: false,
    })
}
