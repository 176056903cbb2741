//! Why a certificate that is wanted is not issued: what each authority has said.

use std::fmt;

use verge_protocol::api::{DomainFinding, DomainStep, FindingKind};
use verge_protocol::{DomainName, Timestamp};

/// What keeps a certificate from being issued, at each authority where something does, and what is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacles {
    /// Not empty.
    pub(super) all: Vec<Obstacle>,
    /// When the certificate is ordered next; `None`: at once.
    pub(super) next_order: Option<Timestamp>,
    /// From which authority: the URL of its directory. `None` if there is only one.
    pub(super) next_directory: Option<String>,
}

/// What keeps a certificate from being issued by one authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// The URL of its directory.
    pub(super) directory: String,
    pub(super) kind: ObstacleKind,
    /// What it said, or what went wrong.
    pub(super) reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObstacleKind {
    /// The last order failed.
    Failure,
    /// The authority has refused this order, or another one, because of a rate limit, and has asked for none before `until`; `None`: that time has
    /// passed, and the order waits as after other failures.
    Limit { until: Option<Timestamp> },
}

/// On one line.
impl fmt::Display for Obstacles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |obstacle: &Obstacle| obstacle.text(self.next_directory.is_some());
        let texts: Vec<String> = self.all.iter().map(text).chain(self.other_is_next()).collect();
        formatter.write_str(&texts.join("; "))
    }
}

impl Obstacles {
    /// What is wrong with a domain whose certificate waits because of a rate limit. `None` if it does not wait, or not because of that.
    pub(crate) fn finding(&self, domain: &DomainName) -> Option<DomainFinding> {
        let next_order = self.next_order?;
        let limits = self.all.iter().filter_map(|obstacle| match obstacle.kind {
            ObstacleKind::Limit { until } => Some((obstacle, until)),
            ObstacleKind::Failure => None,
        });
        let (limit, until) = limits.min_by_key(|(limit, _)| Some(&limit.directory) == self.next_directory.as_ref())?;
        let others = self.all.iter().filter(|other| *other != limit).map(|other| other.text(true));
        let wanted = format!("no further order before {}", until.unwrap_or(next_order));
        let next = match &self.next_directory {
            Some(next) if *next != limit.directory => Some(asked_next(next, Some(next_order))),
            // Another certificate has met the limit: it may not hold for this one.
            _ if until.is_some_and(|until| until > next_order) => Some(format!("asked once before, at {next_order}")),
            _ => None,
        };
        Some(DomainFinding {
            kind: FindingKind::RateLimited,
            blocks: [DomainStep::Certificate].into(),
            server: limit.directory.clone(),
            record: format!("certificate of {domain}"),
            seen: [limit.reason.clone()].into_iter().chain(others).collect::<Vec<_>>().join("; "),
            wanted: [wanted].into_iter().chain(next).collect::<Vec<_>>().join("; "),
            until: Some(next_order),
        })
    }

    /// That the first authority with an obstacle is not the one that is asked next, if so.
    fn other_is_next(&self) -> Option<String> {
        let next = self.next_directory.as_ref().filter(|next| **next != self.all[0].directory)?;
        Some(asked_next(next, self.next_order))
    }
}

impl Obstacle {
    /// With the authority, if `is_named`; a limit always has it.
    fn text(&self, is_named: bool) -> String {
        let Self { directory, kind, reason } = self;
        match kind {
            ObstacleKind::Limit { until: Some(until) } => {
                format!("rate-limited by {directory} until {until}: {reason}")
            }
            ObstacleKind::Limit { until: None } => format!("rate-limited by {directory}: {reason}"),
            ObstacleKind::Failure if is_named => format!("{directory}: {reason}"),
            ObstacleKind::Failure => reason.clone(),
        }
    }
}

fn asked_next(directory: &str, at: Option<Timestamp>) -> String {
    at.map_or_else(|| format!("{directory} is asked next"), |at| format!("{directory} is asked next, at {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "https://a.example/directory";
    const OTHER: &str = "https://b.example/directory";
    const LATE: Timestamp = Timestamp(3_600_000);

    fn obstacle(directory: &str, kind: ObstacleKind, reason: &str) -> Obstacle {
        Obstacle { directory: directory.to_owned(), kind, reason: reason.to_owned() }
    }

    fn limit(until: Option<Timestamp>) -> Obstacle {
        obstacle(ONE, ObstacleKind::Limit { until }, "too many orders")
    }

    fn finding(obstacles: &Obstacles) -> Option<DomainFinding> {
        obstacles.finding(&"www.example.com".parse().unwrap())
    }

    #[test]
    fn limit_of_the_only_authority_is_named_with_its_end() {
        let alone = Obstacles { all: vec![limit(Some(LATE))], next_order: Some(LATE), next_directory: None };
        let text = "rate-limited by https://a.example/directory until 1970-01-01T01:00:00Z: too many orders";
        assert_eq!(alone.to_string(), text);
        let found = finding(&alone).unwrap();
        assert_eq!((&*found.server, &*found.record), (ONE, "certificate of www.example.com"));
        assert_eq!((&*found.seen, &*found.wanted), ("too many orders", "no further order before 1970-01-01T01:00:00Z"));
        assert_eq!(found.until, Some(LATE));
        // It waits longer than the authority has asked for.
        let over = Obstacles { all: vec![limit(None)], ..alone.clone() };
        assert_eq!(over.to_string(), "rate-limited by https://a.example/directory: too many orders");
        assert_eq!(finding(&over).unwrap().wanted, found.wanted);
        let at_once = Obstacles { next_order: None, ..alone.clone() };
        assert_eq!(finding(&at_once), None);
        let failed = Obstacles { all: vec![obstacle(ONE, ObstacleKind::Failure, "HTTP 500")], ..alone };
        assert_eq!((failed.to_string(), finding(&failed)), ("HTTP 500".to_owned(), None));
    }

    #[test]
    fn each_authority_is_named_with_its_obstacle_and_the_next_one_with_the_time() {
        let soon = Timestamp(600_000);
        let failure = obstacle(OTHER, ObstacleKind::Failure, "HTTP 500");
        let next_directory = Some(OTHER.to_owned());
        let next = "https://b.example/directory is asked next, at 1970-01-01T00:10:00Z";
        let both = Obstacles { all: vec![limit(Some(LATE)), failure], next_order: Some(soon), next_directory };
        let limited = "rate-limited by https://a.example/directory until 1970-01-01T01:00:00Z: too many orders";
        assert_eq!(both.to_string(), format!("{limited}; https://b.example/directory: HTTP 500; {next}"));
        let found = finding(&both).unwrap();
        assert_eq!((&*found.server, found.until), (ONE, Some(soon)));
        assert_eq!(found.seen, "too many orders; https://b.example/directory: HTTP 500");
        assert_eq!(found.wanted, format!("no further order before 1970-01-01T01:00:00Z; {next}"));
        // Both limit orders: the one that is not asked next is the one to name.
        let kind = ObstacleKind::Limit { until: Some(soon) };
        let limits = vec![limit(Some(LATE)), obstacle(OTHER, kind, "wait")];
        let found = finding(&Obstacles { all: limits, ..both.clone() }).unwrap();
        let second = "rate-limited by https://b.example/directory until 1970-01-01T00:10:00Z: wait";
        assert_eq!((&*found.server, found.seen), (ONE, format!("too many orders; {second}")));
        // Only the second one does.
        let first = obstacle(OTHER, ObstacleKind::Failure, "HTTP 500");
        let swapped = Obstacles { all: vec![first, limit(Some(LATE))], ..both };
        assert_eq!(finding(&swapped).unwrap().server, ONE);
        assert_eq!(swapped.to_string(), format!("https://b.example/directory: HTTP 500; {limited}"));
    }
}
