//! What the host of a request is.

use verge_protocol::DomainName;

use crate::table::{HostRoute, HttpsPolicy, Table};

/// What a host is in one snapshot of the table.
pub(super) struct Route<'a> {
    /// The label, if the host is directly under a base domain.
    pub(super) label: Option<&'a str>,
    pub(super) entry: &'a HostRoute,
    /// The HTTPS settings of its site; `None`: the default.
    pub(super) https: Option<&'a HttpsPolicy>,
}

impl<'a> Route<'a> {
    /// The route of `host`, which is in lowercase.
    pub(super) fn find(table: &'a Table, base_domains: &[DomainName], host: &'a str) -> Self {
        let label = base_domains.iter().find_map(|base| base.label_of(host));
        let entry = match label {
            Some(label) => table.label(label),
            None => table.domain(host),
        };
        let https = match (entry.site(), label) {
            (Some(site), _) => table.https(site),
            // A release, or a channel that is not served yet: the label ends with the site.
            (None, Some(label)) => label.rsplit("--").next().and_then(|site| table.https(&site.parse().ok()?)),
            (None, None) => None,
        };
        Self { label, entry, https }
    }

    /// Search engines index a site at its own host and its domains only.
    pub(super) fn is_indexed(&self) -> bool {
        match self.label {
            Some(label) => !label.contains("--"),
            None => !matches!(self.entry, HostRoute::NotFound | HostRoute::Pending(None)),
        }
    }

    /// Whether the host may be one of a site: of a channel, a domain, or a release, which is not in the table.
    pub(super) fn may_have_site(&self) -> bool {
        !matches!(self.entry, HostRoute::NotFound) || self.label.is_some_and(|label| label.contains("--"))
    }

    /// Whether requests without TLS are answered where there is a certificate.
    pub(super) fn is_tls_optional(&self) -> bool {
        self.https.is_some_and(HttpsPolicy::is_optional)
    }
}
