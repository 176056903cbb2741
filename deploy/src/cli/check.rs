//! `verge check`.

use std::path::PathBuf;

use clap::Args;

use super::{ScanArgs, SiteArg};

/// `verge check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The directory to check [default: the one that `verge push` would upload]
    pub dir: Option<PathBuf>,
    /// The site.
    #[command(flatten)]
    pub site: SiteArg,
    /// Fail if there are warnings
    #[arg(long)]
    pub strict: bool,
    /// How the directory is read.
    #[command(flatten)]
    pub scan: ScanArgs,
}
