//! Periodic checks of domains: the owner creates a record and need not ask again.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use verge_daemon::error_chain;
use verge_protocol::Timestamp;

use super::Domains;
use super::error::DomainError;
use super::last_checks::LastCheck;
use crate::store::{DomainRow, StoreError};

/// How long after its last claim a domain that is not proven is checked.
const AGE_MAX: Duration = Duration::from_hours(7 * 24);

/// The interval between checks of a proven domain with which something is wrong, and of one with which nothing is.
const FAULTY_INTERVAL: Duration = Duration::from_mins(10);
const SOUND_INTERVAL: Duration = Duration::from_hours(6);

/// How many proven domains are checked in a round, so that it does not hold up those that are not proven.
const PROVEN_PER_ROUND: usize = 100;

/// How many domains are checked at once.
const CONCURRENCY: usize = 8;

impl Domains {
    /// Checks every domain that is due, each `interval`, until `draining`.
    pub(crate) async fn check_periodically(self, interval: Duration, draining: CancellationToken) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let rounds = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.check_due().await {
                    tracing::error!(error = error_chain(&error), "failed to check domains");
                }
            }
        };
        draining.run_until_cancelled(rounds).await;
    }

    async fn check_due(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let rows = self.database.domains().await?;
        let due: Vec<DomainRow> = {
            let last_checks = self.last_checks.lock();
            let is_due = |row: &DomainRow| is_due(row, last_checks.get(&row.name), now);
            let (proven, unproven): (Vec<_>, Vec<_>) =
                rows.into_values().filter(is_due).partition(|row| row.proven.is_some());
            unproven.into_iter().chain(proven.into_iter().take(PROVEN_PER_ROUND)).collect()
        };
        futures_util::stream::iter(due)
            .for_each_concurrent(CONCURRENCY, |row| async {
                let name = row.name.clone();
                match self.check(row).await {
                    // Removed meanwhile.
                    Ok(_) | Err(DomainError::Unknown(_)) => {}
                    Err(error) => {
                        tracing::error!(domain = %name, error = error_chain(&error), "failed to check a domain");
                    }
                }
            })
            .await;
        Ok(())
    }
}

fn is_due(row: &DomainRow, last: Option<&LastCheck>, now: Timestamp) -> bool {
    match last {
        _ if row.proven.is_none() => row.claimed.age(now) < AGE_MAX,
        None => true,
        Some(last) if last.findings.is_empty() => last.at.age(now) >= SOUND_INTERVAL,
        Some(last) => last.at.age(now) >= FAULTY_INTERVAL,
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::api::{DomainFinding, FindingKind};

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn row(proven: Option<u64>) -> DomainRow {
        DomainRow {
            name: "www.example.com".parse().unwrap(),
            site: "demo".parse().unwrap(),
            redirect_to: None,
            proof: "proof".to_owned(),
            claimed: Timestamp(0),
            proven: proven.map(Timestamp),
            problem: None,
        }
    }

    fn checked(at: u64, is_sound: bool) -> LastCheck {
        let finding = DomainFinding {
            kind: FindingKind::AddressElsewhere,
            blocks: [].into(),
            server: String::new(),
            record: String::new(),
            seen: String::new(),
            wanted: String::new(),
            until: None,
        };
        LastCheck { at: Timestamp(at), findings: if is_sound { vec![] } else { vec![finding] } }
    }

    #[test]
    fn domain_is_due_for_a_week_until_proven_then_now_and_then() {
        let (unproven, proven) = (row(None), row(Some(0)));
        assert!(is_due(&unproven, Some(&checked(HOUR, false)), Timestamp(HOUR)));
        assert!(!is_due(&unproven, None, Timestamp(7 * 24 * HOUR)));
        assert!(is_due(&proven, None, Timestamp(HOUR)));
        for (is_sound, interval) in [(false, HOUR / 6), (true, 6 * HOUR)] {
            let last = checked(HOUR, is_sound);
            assert!(!is_due(&proven, Some(&last), Timestamp(HOUR + interval - 1)), "{is_sound}");
            assert!(is_due(&proven, Some(&last), Timestamp(HOUR + interval)), "{is_sound}");
        }
    }
}
