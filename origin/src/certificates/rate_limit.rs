//! Why a certificate waits although it is due: an authority limits orders.

use std::fmt;

use verge_protocol::api::{DomainFinding, DomainStep, FindingKind};
use verge_protocol::{DomainName, Timestamp};

/// An authority that accepts no further order yet, and what happens to a certificate because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RateLimit {
    /// The URL of its directory.
    pub(super) directory: String,
    pub(super) until: Timestamp,
    /// What it said.
    pub(super) reason: String,
    /// Why the last order failed, if not because of this limit.
    pub(super) other_failure: Option<String>,
    /// When the certificate is ordered next; `None`: at once.
    pub(super) next_order: Option<Timestamp>,
    /// From which authority: that may be another one.
    pub(super) next_directory: String,
}

/// On one line.
impl fmt::Display for RateLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, until, reason, other_failure, .. } = self;
        for part in other_failure.iter().chain(&self.asked_next()) {
            write!(formatter, "{part}; ")?;
        }
        write!(formatter, "rate-limited by {directory} until {until}: {reason}")
    }
}

impl RateLimit {
    /// What is wrong with a domain that waits for its certificate.
    pub(crate) fn finding(self, domain: &DomainName) -> DomainFinding {
        let next = self.asked_next().map_or_else(String::new, |next| format!("; {next}"));
        DomainFinding {
            kind: FindingKind::RateLimited,
            blocks: [DomainStep::Certificate].into(),
            wanted: format!("no further order before {}{next}", self.until),
            server: self.directory,
            record: format!("certificate of {domain}"),
            seen: [Some(self.reason), self.other_failure].into_iter().flatten().collect::<Vec<_>>().join("; "),
            until: self.next_order,
        }
    }

    fn asked_next(&self) -> Option<String> {
        let Self { next_order, next_directory, .. } = self;
        (*next_directory != self.directory).then(|| match next_order {
            Some(time) => format!("{next_directory} is asked next, at {time}"),
            None => format!("{next_directory} is asked next"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_authority_that_is_asked_next_is_named_with_the_time() {
        let directory = "https://a.example/directory".to_owned();
        let alone = RateLimit {
            next_directory: directory.clone(),
            directory,
            until: Timestamp(3_600_000),
            reason: "too many orders".to_owned(),
            other_failure: None,
            next_order: Some(Timestamp(3_600_000)),
        };
        let limited = "rate-limited by https://a.example/directory until 1970-01-01T01:00:00Z: too many orders";
        assert_eq!(alone.to_string(), limited);
        let next_directory = "https://b.example/directory".to_owned();
        let other_failure = Some("https://b.example/directory: HTTP 500".to_owned());
        let next_order = Some(Timestamp(600_000));
        let other = RateLimit { other_failure, next_order, next_directory, ..alone.clone() };
        let next = "https://b.example/directory is asked next, at 1970-01-01T00:10:00Z";
        assert_eq!(other.to_string(), format!("https://b.example/directory: HTTP 500; {next}; {limited}"));
        let domain = "www.example.com".parse().unwrap();
        let (alone, other) = (alone.finding(&domain), other.finding(&domain));
        assert_eq!(other.seen, "too many orders; https://b.example/directory: HTTP 500");
        assert_eq!(
            (&*alone.wanted, alone.until),
            ("no further order before 1970-01-01T01:00:00Z", Some(Timestamp(3_600_000)))
        );
        assert_eq!((other.wanted, other.until), (format!("{}; {next}", alone.wanted), Some(Timestamp(600_000))));
    }
}
