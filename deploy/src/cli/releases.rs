//! `verge releases` and `verge gc`.

use clap::{Args, Subcommand};
use verge_protocol::ReleaseNumber;

use super::arguments::SiteArg;

/// `verge releases`.
#[derive(Debug, Subcommand)]
pub enum Releases {
    /// Delete releases that no channel uses, sooner than the origin would; their bytes go with the next `verge gc`
    Delete {
        /// The releases, such as v41
        #[arg(required = true, value_name = "RELEASE")]
        releases: Vec<ReleaseNumber>,
        /// The site.
        #[command(flatten)]
        site: SiteArg,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// `verge gc`.
#[derive(Debug, Args)]
pub struct Gc {
    /// Only say what would be deleted
    #[arg(long)]
    pub dry_run: bool,
}
