//! `verge purge`, `verge erase` and `verge log`.

use clap::{ArgGroup, Args};
use verge_protocol::api::EraseTarget;
use verge_protocol::purge::PurgeScope;
use verge_protocol::{ReleaseNumber, SitePath};

use super::arguments::SiteArg;
use crate::purge::parse_scope;

/// `verge purge`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("paths").args(["scope", "all"]).required(true))]
pub struct Purge {
    /// The path to purge, such as /about.html, or a directory with all below it, such as assets/*
    #[arg(value_name = "PATH", value_parser = parse_scope)]
    scope: Option<PurgeScope>,
    /// Purge all paths
    #[arg(long)]
    all: bool,
    /// The site.
    #[command(flatten)]
    pub site: SiteArg,
    /// Say why; shown by `verge log`
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// Who purges [default: git's user.name, else the current user]
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
}

impl Purge {
    /// The paths.
    pub fn scope(&self) -> PurgeScope {
        self.scope.clone().unwrap_or(PurgeScope::All)
    }
}

/// `verge erase`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("bytes").args(["path", "release"]).required(true))]
pub struct Erase {
    /// Erase all bytes that any release ever had at this path, such as /keys.json
    #[arg(value_name = "PATH", value_parser = parse_path)]
    path: Option<SitePath>,
    /// Erase all bytes that only this release has
    #[arg(long, value_name = "RELEASE")]
    release: Option<ReleaseNumber>,
    /// The site.
    #[command(flatten)]
    pub site: SiteArg,
    /// Say why; shown by `verge log`
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// Who erases [default: git's user.name, else the current user]
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub yes: bool,
}

impl Erase {
    /// What is erased.
    pub fn target(&self) -> EraseTarget {
        match (&self.path, self.release) {
            (Some(path), _) => EraseTarget::Path(path.clone()),
            (None, Some(release)) => EraseTarget::Release(release),
            (None, None) => unreachable!("one of them is required"),
        }
    }
}

fn parse_path(text: &str) -> Result<SitePath, String> {
    match parse_scope(text)? {
        PurgeScope::Path(path) => Ok(path),
        PurgeScope::All | PurgeScope::Directory(_) => Err("expected the path of one file".to_owned()),
    }
}

/// `verge log`.
#[derive(Debug, Args)]
pub struct Log {
    /// The site.
    #[command(flatten)]
    pub site: SiteArg,
    /// The number of entries to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}
