//! Scans a directory and describes it as a build.
//!
//! Two steps, so that the second can show its progress: [`Listing::new`] walks the directory and selects the files;
//! [`Listing::hash`] reads and hashes them. All problems are reported at once, before anything is sent.

mod app_shell;
mod checks;
mod digest;
mod fallback_page;
pub(crate) mod html;
mod ignore_file;
mod problem;
mod secrets;
mod select;
mod walk;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use verge_protocol::{Build, HtmlPaths, Rules, SitePath};

use self::fallback_page::FallbackChoice;
pub use self::fallback_page::FallbackSource;
pub use self::problem::{Problem, ScanError};
pub use self::select::{SkipReason, Skipped};
use self::walk::ScannedFile;
use crate::project::Protection;
use crate::rules::LoadedRules;

/// The flags and settings that concern a scan.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Allow `.env` files (always skipped) and private keys (included).
    pub allow_secrets: bool,
    /// Leave out rules that are invalid or not supported yet.
    pub ignore_rules: bool,
    /// The `netlify.toml` of the project.
    pub netlify_toml: Option<PathBuf>,
    /// Users for the whole site, or its previews.
    pub protection: Option<Protection>,
    /// The name of the site, which passwords are salted with.
    pub site: String,
    /// Allow a directory without `index.html`.
    pub force: bool,
    /// Whether it is a single-page app; `None`: detect it.
    pub single_page: Option<bool>,
    /// Where the site once had service workers.
    pub legacy_service_workers: Vec<SitePath>,
    /// How the addresses of pages relate to their files.
    pub html: HtmlPaths,
}

/// The files of a directory, not yet read.
#[derive(Debug)]
pub struct Listing {
    files: Vec<ScannedFile>,
    problems: Vec<Problem>,
    fallback: FallbackChoice,
    legacy_service_workers: Vec<SitePath>,
    html: HtmlPaths,
    rules: Rules,
    /// The files and directories that are skipped, ordered by path.
    pub skipped: Vec<Skipped>,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// A build, and where its files are on disk.
#[derive(Debug)]
pub struct Scan {
    /// The build.
    pub build: Build,
    /// The file on disk of each path.
    pub paths: BTreeMap<SitePath, PathBuf>,
}

impl Listing {
    /// Walks `dir`.
    pub fn new(dir: &Path, options: Options) -> Self {
        let selection = select::Selection::load(dir, options.allow_secrets);
        let mut walked = walk::walk(dir, &selection);
        let mut rules = LoadedRules::load(dir, options.netlify_toml.as_ref(), &options.site);
        if let Some(protection) = &options.protection {
            rules.protect(protection, &options.site);
        }
        let paths: Vec<&SitePath> = walked.files.iter().map(|file| &file.path).collect();
        let mut warnings = checks::name_warnings(&paths);
        let fallback = fallback_page::decide(options.single_page, rules.has_single_page_rule(), &walked.files);
        if rules.has_single_page_rule() && fallback.page.is_none() {
            warnings.push(
                "the single-page app rule `/* /index.html 200` is left out: single-page mode is disabled".to_owned(),
            );
            rules.remove_single_page_rules();
        }
        let limit = rules.exceeded_limit();
        if limit.is_none() {
            rules.lint(&paths, fallback.page.is_some());
        }
        warnings.append(&mut rules.warnings);
        let legacy = options.legacy_service_workers;
        warnings.extend(legacy.iter().filter(|path| paths.contains(path)).map(|path| {
            format!("/{path} is named in legacy_service_workers, but the build has it: it cannot be a service worker")
        }));
        warnings.extend(selection.warnings());
        let mut problems = selection.into_problems();
        problems.append(&mut walked.problems);
        problems.extend(checks::check_index(&paths, options.force, fallback.page));
        if !options.allow_secrets {
            problems.extend(secrets::private_keys(walked.files.iter().map(|file| (&file.path, &*file.source))));
        }
        problems.extend(limit.map(Problem::RuleLimit));
        // A hint about the flag would be wrong for some of them.
        let required = if rules.has_unread_password { Problem::RequiredRule } else { Problem::UnknownRules };
        let invalid = if rules.fatal.is_empty() { Problem::Rule } else { required };
        problems.extend(rules.fatal.into_iter().map(required));
        if options.ignore_rules {
            warnings.extend(rules.invalid.iter().map(|rule| format!("{rule}: left out")));
        } else {
            problems.extend(rules.invalid.into_iter().map(invalid));
        }
        let unreadable = |(path, source): (&str, io::Error)| Problem::Unreadable { path: path.to_owned(), source };
        problems.extend(rules.unreadable.into_iter().map(unreadable));
        Self {
            files: walked.files,
            problems,
            fallback,
            legacy_service_workers: legacy,
            html: options.html,
            rules: rules.rules,
            skipped: walked.skipped,
            warnings,
        }
    }

    /// The number of files.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Their total size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The page that answers paths without a file; `None`: it is no single-page app.
    pub fn single_page(&self) -> Option<&'static str> {
        self.fallback.page
    }

    /// How it is known whether it is a single-page app.
    pub fn single_page_source(&self) -> &FallbackSource {
        &self.fallback.source
    }

    /// Reads and hashes every file through `open`; `progress` is called with the number of bytes read. Blocks.
    pub fn hash<R: Read>(
        mut self,
        open: impl Fn(&Path) -> io::Result<R> + Sync,
        progress: impl Fn(u64) + Sync,
    ) -> Result<Scan, ScanError> {
        if !self.problems.is_empty() {
            // The scan has failed: report unreadable files too, but do not hash.
            self.problems.extend(digest::unreadable(&self.files, &open));
            return Err(ScanError::new(self.problems));
        }
        let contents = digest::hash_files(&self.files, &open, &progress).map_err(ScanError::new)?;
        let mut files = BTreeMap::new();
        let mut paths = BTreeMap::new();
        for (file, content) in self.files.into_iter().zip(contents) {
            files.insert(file.path.clone(), content);
            paths.insert(file.path, file.source);
        }
        let build = Build {
            files,
            fallback: self.fallback.fallback(),
            legacy_service_workers: self.legacy_service_workers,
            html: self.html,
            rules: self.rules,
        };
        Ok(Scan { build, paths })
    }
}
