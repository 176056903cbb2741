//! Problems of an origin and its fleet that need an operator.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::DomainName;
use crate::name::EdgeName;
use crate::position::Position;
use crate::timestamp::Timestamp;

/// Something that needs an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Problem {
    /// The origin serves reads, but writes fail.
    WritesFail {
        /// Why.
        reason: String,
    },
    /// The origin moves channels and changes settings, but has no room for new files, or cannot write them.
    PushesFail {
        /// Why.
        reason: String,
    },
    /// Rows of the origin's state that it cannot rely on. Edges and name servers keep what they have of them.
    DamagedRows {
        /// The keys.
        keys: Vec<String>,
    },
    /// The master key is missing or wrong: certificates are neither issued nor sent to edges. What edges have is served.
    MasterKey {
        /// Why.
        reason: String,
    },
    /// The certificate files of the API cannot be used as they are.
    ApiCertificate {
        /// Why, and what is presented.
        reason: String,
    },
    /// Certificates that should have been issued by now: orders for them fail. Those that there are, are presented until they expire.
    CertificatesOverdue {
        /// The domains that identify them, the first to expire first; those without one at all before these.
        domains: Vec<DomainName>,
        /// When the first one expires; `None`: it has not been issued yet.
        #[serde(default)]
        expires: Option<Timestamp>,
        /// Why the last order for the first one failed.
        reason: String,
    },
    /// Domains of sites that are proven, and that no valid certificate is for, because none can be issued.
    DomainsWithoutCertificate {
        /// The domains, in order.
        domains: Vec<DomainName>,
        /// Why the first one has none.
        reason: String,
    },
    /// A live edge does not present certificates of the fleet as of their latest write. Where it has no valid one in their place, name servers
    /// count it as behind.
    EdgeCertificates {
        /// The edge.
        edge: EdgeName,
        /// The domains that identify them.
        domains: Vec<DomainName>,
        /// How many more there are.
        #[serde(default)]
        omitted: u64,
        /// Why it does not present the first one.
        reason: String,
    },
    /// A live edge cannot use its own key, or files of certificates of the operator's own.
    EdgeTls {
        /// The edge.
        edge: EdgeName,
        /// Why, one text for each. Never empty.
        reasons: Vec<String>,
    },
    /// A subscriber had read writes that the origin does not have: the origin was restored from an older copy, or replaced.
    Diverged {
        /// When it was noticed.
        noticed: Timestamp,
        /// The first subscriber that was ahead.
        subscriber: String,
        /// What that subscriber had read.
        seen: Position,
        /// What the origin had.
        had: Position,
    },
    /// Edges still serve keys that the origin does not know: they were written before the origin was restored or replaced.
    Orphans {
        /// The keys, in order.
        keys: Vec<String>,
        /// The edges that have them.
        edges: Vec<EdgeName>,
    },
    /// An edge serves, but cannot save what it serves.
    EdgeNotSaving {
        /// The edge.
        edge: EdgeName,
        /// Why.
        reason: String,
    },
    /// The origin's clock is ahead of the median of its own and the live edges' clocks. What ends by time ends by that median.
    ClockAhead {
        /// By how many seconds.
        seconds: u64,
    },
    /// The clock of an edge differs from that of the origin.
    ClockDiffers {
        /// The edge.
        edge: EdgeName,
        /// By how many seconds it is ahead; negative: behind.
        ahead_seconds: i64,
    },
    /// Requests carried tokens that the origin never issued, or does not know any more.
    UnknownTokens {
        /// How many since the origin started.
        requests: u64,
        /// When the last one came.
        last: Timestamp,
    },
    /// A kind that a later version adds.
    #[serde(other)]
    Unknown,
}

impl Problem {
    /// The name of each kind, the gravest first: the tag in JSON, and the label in metrics.
    pub const KINDS: [&str; 15] = [
        "writes_fail",
        "pushes_fail",
        "damaged_rows",
        "master_key",
        "api_certificate",
        "certificates_overdue",
        "domains_without_certificate",
        "edge_certificates",
        "edge_tls",
        "diverged",
        "orphans",
        "edge_not_saving",
        "clock_ahead",
        "clock_differs",
        "unknown_tokens",
    ];

    /// The name of its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::WritesFail { .. } => "writes_fail",
            Self::PushesFail { .. } => "pushes_fail",
            Self::DamagedRows { .. } => "damaged_rows",
            Self::MasterKey { .. } => "master_key",
            Self::ApiCertificate { .. } => "api_certificate",
            Self::CertificatesOverdue { .. } => "certificates_overdue",
            Self::DomainsWithoutCertificate { .. } => "domains_without_certificate",
            Self::EdgeCertificates { .. } => "edge_certificates",
            Self::EdgeTls { .. } => "edge_tls",
            Self::Diverged { .. } => "diverged",
            Self::Orphans { .. } => "orphans",
            Self::EdgeNotSaving { .. } => "edge_not_saving",
            Self::ClockAhead { .. } => "clock_ahead",
            Self::ClockDiffers { .. } => "clock_differs",
            Self::UnknownTokens { .. } => "unknown_tokens",
            Self::Unknown => "unknown",
        }
    }
}

/// How many keys a text lists.
const LISTED: usize = 5;

/// One line, without a hint.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WritesFail { reason } => write!(formatter, "the origin serves reads, but writes fail: {reason}"),
            Self::PushesFail { reason } => {
                write!(formatter, "new files cannot be stored, rollbacks and settings still work: {reason}")
            }
            Self::DamagedRows { keys } => {
                write!(formatter, "damaged rows in the database, left out of the feed: {}", list(keys))
            }
            Self::MasterKey { reason } => {
                write!(
                    formatter,
                    "certificates are neither issued nor sent to edges, edges serve those they have: {reason}"
                )
            }
            Self::ApiCertificate { reason } => write!(formatter, "certificate of the API over TLS: {reason}"),
            Self::CertificatesOverdue { domains, expires, reason } => {
                let domains = list(&domains.iter().map(ToString::to_string).collect::<Vec<_>>());
                let expiry = expires.map_or_else(
                    || "there is none yet for the first one".to_owned(),
                    |expires| format!("the first one expires at {expires}"),
                );
                write!(formatter, "certificates are overdue for {domains}; {expiry}: {reason}")
            }
            Self::DomainsWithoutCertificate { domains, reason } => {
                let listed = list(&domains.iter().map(ToString::to_string).collect::<Vec<_>>());
                let of_which = if domains.len() > 1 { "; of the first one" } else { "" };
                write!(formatter, "no certificate is valid for {listed}{of_which}: {reason}")
            }
            Self::EdgeCertificates { edge, domains, omitted, reason } => {
                let count = domains.len() as u64 + omitted;
                let listed = list(&domains.iter().map(ToString::to_string).collect::<Vec<_>>());
                let more = if *omitted > 0 { format!(", {count} in all") } else { String::new() };
                let of_which = if count > 1 { "; of the first one" } else { "" };
                write!(
                    formatter,
                    "edge {edge} does not present the latest certificate of {listed}{more}{of_which}: {reason}"
                )
            }
            Self::EdgeTls { edge, reasons } => write!(formatter, "TLS of edge {edge}: {}", reasons.join("; ")),
            Self::Diverged { subscriber, seen, had, .. } => write!(
                formatter,
                "{subscriber} had read writes, up to {seen}, that the origin, then at {had}, does not have: it was restored from an \
                 older copy or replaced"
            ),
            Self::Orphans { keys, edges } => write!(
                formatter,
                "served by {}, but unknown to the origin: {}",
                list(&edges.iter().map(ToString::to_string).collect::<Vec<_>>()),
                list(keys)
            ),
            Self::EdgeNotSaving { edge, reason } => {
                write!(formatter, "edge {edge} serves, but cannot save its state: {reason}")
            }
            Self::ClockAhead { seconds } => write!(
                formatter,
                "the clock of the origin is {seconds} s ahead of at least half of all clocks, its own and those of live edges: until \
                 they agree, inherited releases and channels end by the earlier time"
            ),
            Self::ClockDiffers { edge, ahead_seconds } => {
                let direction = if *ahead_seconds < 0 { "behind" } else { "ahead of" };
                let seconds = ahead_seconds.unsigned_abs();
                write!(
                    formatter,
                    "the clock of edge {edge} is {seconds} s {direction} that of the origin: one of them is wrong"
                )
            }
            Self::UnknownTokens { requests, .. } => {
                write!(formatter, "requests with tokens that this origin does not know: {requests}")
            }
            Self::Unknown => formatter.write_str("a problem that this version does not know"),
        }
    }
}

fn list(items: &[String]) -> String {
    let first = items.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_of_a_later_version_is_unknown() {
        let later = r#"{"kind":"moon_missing","since":1}"#;
        assert_eq!(serde_json::from_str::<Problem>(later).unwrap(), Problem::Unknown);
    }

    #[test]
    fn name_of_a_kind_is_its_tag() {
        let problems = [
            Problem::WritesFail { reason: String::new() },
            Problem::PushesFail { reason: String::new() },
            Problem::DamagedRows { keys: vec![] },
            Problem::MasterKey { reason: String::new() },
            Problem::ApiCertificate { reason: String::new() },
            Problem::CertificatesOverdue { domains: vec![], expires: None, reason: String::new() },
            Problem::DomainsWithoutCertificate { domains: vec![], reason: String::new() },
            Problem::EdgeCertificates {
                edge: "a".parse().unwrap(),
                domains: vec![],
                omitted: 0,
                reason: String::new(),
            },
            Problem::EdgeTls { edge: "a".parse().unwrap(), reasons: vec![] },
            Problem::Diverged {
                noticed: Timestamp(0),
                subscriber: String::new(),
                seen: Position::default(),
                had: Position::default(),
            },
            Problem::Orphans { keys: vec![], edges: vec![] },
            Problem::EdgeNotSaving { edge: "a".parse().unwrap(), reason: String::new() },
            Problem::ClockAhead { seconds: 90 },
            Problem::ClockDiffers { edge: "a".parse().unwrap(), ahead_seconds: 90 },
            Problem::UnknownTokens { requests: 1, last: Timestamp(0) },
        ];
        assert_eq!(problems.each_ref().map(Problem::kind), Problem::KINDS);
        for problem in problems {
            assert_eq!(serde_json::to_value(&problem).unwrap()["kind"], problem.kind());
        }
    }

    #[test]
    fn long_lists_are_shortened() {
        let keys = (0..7).map(|number| format!("site/{number}")).collect();
        let text = Problem::DamagedRows { keys }.to_string();
        assert!(text.ends_with("site/3, site/4 and 2 more"), "{text}");
    }
}
