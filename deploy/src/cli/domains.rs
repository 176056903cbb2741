//! `verge domains`.

use clap::Subcommand;
use verge_protocol::DomainName;

use super::arguments::SiteArg;
use crate::unicode_domain;

/// `verge domains`.
#[derive(Debug, Subcommand)]
pub enum Domains {
    /// Add a custom domain to a site; a TXT record proves that you own it
    Add {
        /// The domain, such as www.example.com or bücher.example
        #[arg(value_parser = unicode_domain::parse)]
        domain: DomainName,
        /// The site.
        #[command(flatten)]
        site: SiteArg,
        /// Redirect requests to another domain of the same site
        #[arg(long, value_name = "DOMAIN", value_parser = unicode_domain::parse)]
        redirect_to: Option<DomainName>,
    },
    /// Check now what DNS says about a domain, and what is wrong
    Check {
        /// The domain
        #[arg(value_parser = unicode_domain::parse)]
        domain: DomainName,
    },
    /// Remove a custom domain
    Remove {
        /// The domain
        #[arg(value_parser = unicode_domain::parse)]
        domain: DomainName,
    },
}
