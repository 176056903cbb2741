//! What a push of a directory would send, and what is wrong with it, without a network.
//!
//! A directory is read as a push reads it. Then the code that edges run answers what its pages link to.

mod error_pages;
mod links;
mod pages;

use std::fs::File;
use std::path::Path;

use verge_protocol::{Build, SiteName};

use self::links::Links;
use crate::last_push::LastPush;
use crate::push::precheck;
use crate::scan::{FallbackSource, Listing, Options, Scan, Skipped};

/// What a push would send, and what is wrong with it.
#[derive(Debug)]
pub struct Report {
    /// The number of files.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// The page that answers paths without a file.
    pub single_page: Option<&'static str>,
    /// How that is known.
    pub single_page_source: FallbackSource,
    /// The number of redirect rules.
    pub redirects: u64,
    /// The number of header rules.
    pub headers: u64,
    /// The number of password rules.
    pub passwords: u64,
    /// What is left out.
    pub skipped: Vec<Skipped>,
    /// Why a push would be refused; `None`: it would not.
    pub refusal: Option<Refusal>,
    /// What is probably not meant so, one line each.
    pub warnings: Vec<String>,
}

/// Why a push would be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The problems, one line each.
    pub problems: Vec<String>,
    /// What to do about them.
    pub hints: Vec<String>,
}

/// Checks `dir`, which is for `site`. `data` is the directory for application data. Blocks.
pub fn check(dir: &Path, site: &SiteName, options: Options, data: Option<&Path>) -> Report {
    let mut listing = Listing::new(dir, Options { site: site.to_string(), ..options });
    let rules = listing.rules();
    let mut report = Report {
        files: listing.files() as u64,
        bytes: listing.bytes(),
        single_page: listing.single_page(),
        single_page_source: listing.single_page_source().clone(),
        redirects: rules.redirects.len() as u64,
        headers: rules.headers.len() as u64,
        passwords: rules.passwords.len() as u64,
        skipped: std::mem::take(&mut listing.skipped),
        refusal: None,
        warnings: std::mem::take(&mut listing.warnings),
    };
    match listing.hash(|path| File::open(path), |_| {}) {
        Err(error) => report.refusal = Some(Refusal { problems: error.details(), hints: error.hints() }),
        Ok(scan) => report.check_build(&scan, site, data.and_then(|data| LastPush::read(data, dir))),
    }
    report
}

/// The most bytes of pages whose links are counted, so that a push is not kept waiting.
const COUNTED_BYTES_MAX: u64 = 32 << 20;

/// How many links of the build's pages lead nowhere; 0 if its pages have more bytes than can be read in passing. Blocks.
pub(crate) fn count_dead_links(scan: &Scan, site: &SiteName) -> u64 {
    let pages = scan.build.files.iter().filter(|(path, _)| pages::is_page(path));
    if pages.map(|(_, content)| content.size()).sum::<u64>() > COUNTED_BYTES_MAX {
        return 0;
    }
    let mut links = Links::new(&scan.build, site);
    for page in pages::read(scan) {
        links.add(&page);
    }
    links.warnings().len() as u64
}

impl Report {
    fn check_build(&mut self, scan: &Scan, site: &SiteName, last: Option<LastPush>) {
        let mut links = Links::new(&scan.build, site);
        for page in pages::read(scan) {
            self.warnings.extend(error_pages::warning(&scan.build, &page));
            links.add(&page);
        }
        self.warnings.extend(links.warnings());
        let Some(last) = last.filter(|last| last.site == *site) else { return };
        if let Err(exceeded) = precheck::check_limits(&scan.build, &last.limits) {
            let hint = "exclude files with .assetsignore, or raise the limits of the origin".to_owned();
            self.refusal = Some(Refusal { problems: exceeded.0, hints: vec![hint] });
        }
        self.warnings.extend(changed(&last, &scan.build));
    }
}

/// Caches keep such a file for a year, if the origin too takes its name for a hash.
fn changed(last: &LastPush, build: &Build) -> Vec<String> {
    let warning = |path| {
        let LastPush { site, release, .. } = last;
        format!(
            "{path} has other bytes than in {release} of {site}, and the same hash in its name: caches may keep the old ones"
        )
    };
    last.changed(build).map(warning).collect()
}
