//! `verge domains`.

use clap::Subcommand;
use verge_protocol::DomainName;
use verge_protocol::domain::DomainNameError;

use super::Site;

/// `verge domains`.
#[derive(Debug, Subcommand)]
pub enum Domains {
    /// Show a site at a domain, once a TXT record proves that it is yours
    Add {
        /// The domain, such as www.example.com
        #[arg(value_parser = domain)]
        domain: DomainName,
        /// The site
        #[command(flatten)]
        site: Site,
        /// Send its readers on to this other domain of the site
        #[arg(long, value_name = "DOMAIN", value_parser = domain)]
        redirect_to: Option<DomainName>,
    },
    /// Look for a domain's proof now
    Check {
        /// The domain
        #[arg(value_parser = domain)]
        domain: DomainName,
    },
    /// Give a domain up
    Remove {
        /// The domain
        #[arg(value_parser = domain)]
        domain: DomainName,
    },
}

/// A domain as people write it: in any case, with the dot that zone files end it by.
fn domain(text: &str) -> Result<DomainName, DomainNameError> {
    text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase().parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_may_be_written_as_in_a_zone() {
        assert_eq!(domain("WWW.Example.com.").unwrap().as_str(), "www.example.com");
        for bad in ["", ".", "example..com", "example.com..", "http://example.com", "bücher.example"] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }
}
