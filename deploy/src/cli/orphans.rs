//! `verge orphans`.

use clap::Subcommand;

/// `verge orphans`.
#[derive(Debug, Subcommand)]
pub enum Orphans {
    /// Make edges and name servers drop keys that the origin does not know
    Remove {
        /// The keys, as `verge orphans` lists them
        #[arg(value_name = "KEY", required_unless_present = "all")]
        keys: Vec<String>,
        /// Remove all of them
        #[arg(long, conflicts_with = "keys")]
        all: bool,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
}
