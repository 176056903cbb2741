//! What a push of a directory would send, and what is wrong with it, without a network.
//!
//! A directory is read as a push reads it. Then the code that edges run answers what its pages link to.

mod error_pages;
mod links;
mod pages;

use std::fs::File;
use std::path::Path;

use verge_protocol::{Build, SiteName};

use self::pages::Pages;
use crate::last_push::LastPush;
use crate::output::human;
use crate::push::precheck;
use crate::scan::{Listing, Options, Scan, ScanError, Skipped};

/// How many links that lead nowhere, and files with other bytes, are named.
const SHOWN: usize = 30;

/// What a push would send, and what is wrong with it.
#[derive(Debug)]
pub struct Report {
    /// The number of files.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// The page that answers paths without a file.
    pub single_page: Option<&'static str>,
    /// The number of redirect rules.
    pub redirects: u64,
    /// The number of header rules.
    pub headers: u64,
    /// The number of password rules.
    pub passwords: u64,
    /// What is left out.
    pub skipped: Vec<Skipped>,
    /// Why a push would be refused, with hints.
    pub refused: Option<(Vec<String>, Vec<String>)>,
    /// What is probably not meant so, one line each.
    pub warnings: Vec<String>,
}

/// Checks `dir`, which is for `site`. `data` is the directory for application data. Blocks.
pub fn check(dir: &Path, site: &SiteName, options: Options, data: Option<&Path>) -> Report {
    let mut listing = Listing::new(dir, Options { site: site.to_string(), ..options });
    let rules = listing.rules();
    let mut report = Report {
        files: listing.files() as u64,
        bytes: listing.bytes(),
        single_page: listing.single_page(),
        redirects: rules.redirects.len() as u64,
        headers: rules.headers.len() as u64,
        passwords: rules.passwords.len() as u64,
        skipped: std::mem::take(&mut listing.skipped),
        refused: None,
        warnings: std::mem::take(&mut listing.warnings),
    };
    match listing.hash(|path| File::open(path), |_| {}) {
        Err(error) => report.refused = Some((ScanError::details(&error), error.hints())),
        Ok(scan) => report.check_build(&scan, site, data.and_then(|data| LastPush::read(data, dir))),
    }
    report
}

impl Report {
    fn check_build(&mut self, scan: &Scan, site: &SiteName, last: Option<LastPush>) {
        let pages = Pages::read(scan);
        self.warnings.extend(error_pages::warnings(&scan.build, &pages));
        self.warnings.extend(shortened(links::warnings(&scan.build, site, &pages)));
        let Some(last) = last else { return };
        if let Err(exceeded) = precheck::check_limits(&scan.build, &last.limits) {
            let hint = "exclude files with .assetsignore, or raise the limits of the origin".to_owned();
            self.refused = Some((exceeded.0, vec![hint]));
        }
        self.warnings.extend(shortened(changed(&last, &scan.build)));
    }
}

/// Browsers keep such a file for a year, if the origin too takes its name for a hash.
fn changed(last: &LastPush, build: &Build) -> Vec<String> {
    let warning = |path| {
        let LastPush { site, release, .. } = last;
        format!(
            "{path} has other bytes than in {release} of {site}, and the same hash in its name: caches may keep the old ones"
        )
    };
    last.changed(build).map(warning).collect()
}

/// The first of the warnings, and how many there are more.
fn shortened(mut warnings: Vec<String>) -> Vec<String> {
    let more = warnings.len().saturating_sub(SHOWN);
    warnings.truncate(SHOWN);
    if more > 0 {
        warnings.push(format!("and {} more like the last", human::number(more as u64)));
    }
    warnings
}
