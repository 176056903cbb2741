//! `verge domains`.

use clap::Subcommand;
use verge_protocol::DomainName;
use verge_protocol::domain::DomainNameError;

use super::arguments::SiteArg;

/// `verge domains`.
#[derive(Debug, Subcommand)]
pub enum Domains {
    /// Add a custom domain to a site; a TXT record proves that you own it
    Add {
        /// The domain, such as www.example.com
        #[arg(value_parser = domain)]
        domain: DomainName,
        /// The site.
        #[command(flatten)]
        site: SiteArg,
        /// Redirect requests to another domain of the same site
        #[arg(long, value_name = "DOMAIN", value_parser = domain)]
        redirect_to: Option<DomainName>,
    },
    /// Check now what DNS says about a domain, and what is wrong
    Check {
        /// The domain
        #[arg(value_parser = domain)]
        domain: DomainName,
    },
    /// Remove a custom domain
    Remove {
        /// The domain
        #[arg(value_parser = domain)]
        domain: DomainName,
    },
}

/// Parses a domain in any case, with or without the final dot.
fn domain(text: &str) -> Result<DomainName, DomainNameError> {
    text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase().parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_is_parsed_in_any_case_and_with_final_dot() {
        assert_eq!(domain("WWW.Example.com.").unwrap().as_str(), "www.example.com");
        for bad in ["", ".", "example..com", "example.com..", "http://example.com", "bücher.example"] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }
}
