//! Waiting for conditions.

use std::fmt::Debug;
use std::time::Duration;

/// How long anything in a test may take before it is taken for stuck.
pub(crate) const STUCK: Duration = Duration::from_secs(30);

/// Waits for a condition; fails if it takes for ever.
pub async fn until(what: impl Debug, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(STUCK, wait).await.unwrap_or_else(|_| panic!("waited in vain until {what:?}"));
}
