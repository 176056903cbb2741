//! What needs an operator, as `verge status` shows it.

use verge_protocol::Timestamp;
use verge_protocol::api::Problem;

use crate::output::human;
use crate::unicode_domain;

/// The problems, each with what to do about it.
pub(super) fn render(problems: &[Problem], now: Timestamp) -> String {
    let lines = problems.iter().map(|problem| {
        let when = match problem {
            Problem::Diverged { noticed: at, .. } | Problem::UnknownTokens { last: at, .. } => {
                format!(" ({})", human::age(at.age(now)))
            }
            _ => String::new(),
        };
        let text = unicode_domain::show_in(&human::line(&problem.to_string(), 400));
        match hint(problem) {
            Some(hint) => format!("  {text}{when}\n    hint: {hint}"),
            None => format!("  {text}{when}"),
        }
    });
    format!("problems:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

fn hint(problem: &Problem) -> Option<&'static str> {
    Some(match problem {
        Problem::WritesFail { .. } => {
            "make room on the origin's disk, or repair it; until then pushes fail and edges serve what they have"
        }
        Problem::PushesFail { .. } => "make room on the origin's disk, or repair it",
        Problem::DamagedRows { .. } => "run `verge-origin verify` on the origin's machine",
        Problem::MasterKey { .. } => {
            "put the right master key back, then restart the origin; if it is lost, see `verge-origin forget-secrets --help`"
        }
        Problem::ApiCertificate { .. } => "mend the files of `api_certificate`: they are reloaded when they change",
        Problem::CertificatesOverdue { .. } => "see `verge certs`, and `verge domains check` for domains of sites",
        Problem::DomainsWithoutCertificate { .. } => {
            "`verge domains check DOMAIN` says what to do, `verge certs` when it is ordered"
        }
        Problem::EdgeCertificates { .. } => {
            "`/healthz` of that edge says more; where it has no valid certificate instead, name servers direct readers to other edges"
        }
        Problem::EdgeTls { .. } => {
            "repair its files of `[[certificates]]`; if `edge.key` is damaged, delete it, write the token of `verge edges token` to `token_file`, and restart the edge"
        }
        Problem::Diverged { .. } => "push the sites whose latest release was lost, or put a later copy in place",
        Problem::Orphans { .. } => "push these sites again, or see `verge orphans` to remove them from edges",
        Problem::EdgeNotSaving { .. } => "make room on the edge's disk: after a restart it would serve older releases",
        Problem::ClockAhead { .. } => "synchronize the clocks of the origin and its edges, for example by NTP",
        Problem::ClockDiffers { .. } => "synchronize both clocks, for example by NTP",
        Problem::UnknownTokens { .. } => {
            "if edges or name servers stopped reporting, issue new tokens with `verge edges token` and `verge dns token`"
        }
        Problem::Unknown => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_shown_with_a_hint() {
        let problems = [
            Problem::WritesFail { reason: "the disk is full".into() },
            Problem::PushesFail { reason: "the disk is full".into() },
            Problem::DamagedRows { keys: vec!["channel/demo/live".into()] },
            Problem::MasterKey { reason: "/var/lib/verge-origin/master.key does not exist".into() },
            Problem::ApiCertificate { reason: "the certificate expired at 2026-11-29T00:00:00Z".into() },
            Problem::CertificatesOverdue {
                domains: vec!["sites.example.com".parse().unwrap(), "www.example.com".parse().unwrap()],
                expires: Some(Timestamp(9_000_000)),
                reason: "the authority is not reachable".into(),
            },
            Problem::CertificatesOverdue {
                domains: vec!["sites.example.com".parse().unwrap()],
                expires: None,
                reason: "the authority is not reachable".into(),
            },
            Problem::DomainsWithoutCertificate {
                domains: vec!["a.example".parse().unwrap(), "b.example".parse().unwrap()],
                reason: "CAA records forbid the certificate: ns1 answers none".into(),
            },
            Problem::EdgeCertificates {
                edge: "fra-1".parse().unwrap(),
                domains: vec!["sites.example.com".parse().unwrap()],
                omitted: 0,
                reason: "edge.key: malformed edge key".into(),
            },
            Problem::EdgeTls { edge: "fra-1".parse().unwrap(), reasons: vec!["edge.key: malformed edge key".into()] },
            Problem::Diverged {
                noticed: Timestamp(40_000),
                subscriber: "edge fra-1".into(),
                seen: "17-12".parse().unwrap(),
                had: "17-3".parse().unwrap(),
            },
            Problem::Orphans {
                keys: vec!["channel/news/live".into(), "site/news".into()],
                edges: vec!["fra-1".parse().unwrap(), "nyc-1".parse().unwrap()],
            },
            Problem::EdgeNotSaving { edge: "fra-1".parse().unwrap(), reason: "No space left on device".into() },
            Problem::ClockAhead { seconds: 90_000 },
            Problem::ClockDiffers { edge: "nyc-1".parse().unwrap(), ahead_seconds: -90_000 },
            Problem::UnknownTokens { requests: 12, last: Timestamp(99_000) },
            Problem::Unknown,
        ];
        insta::assert_snapshot!(render(&problems, Timestamp(100_000)));
    }
}
