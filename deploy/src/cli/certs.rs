//! `verge certs`.

use clap::Subcommand;
use verge_protocol::DomainName;

use crate::unicode_domain;

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Certs {
    /// Order certificates anew with other private keys
    ///
    /// What edges present stays until the new certificates are there. `verge certs` shows when that is.
    Rekey {
        /// A name of each certificate
        #[arg(value_name = "DOMAIN", required_unless_present = "all", value_parser = unicode_domain::parse)]
        domains: Vec<DomainName>,
        /// Replace the keys of all certificates, and the secret of session tickets
        #[arg(long, conflicts_with = "domains")]
        all: bool,
    },
}
