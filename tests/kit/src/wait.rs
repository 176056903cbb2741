//! Waiting for conditions.

use std::fmt::Display;
use std::time::Duration;

/// A test that waits for this long has failed.
pub const STUCK: Duration = Duration::from_secs(30);

/// Waits for `future`.
///
/// # Panics
/// If it takes [`STUCK`].
pub async fn in_time<T>(what: impl Display, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(STUCK, future).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

/// Waits until `condition` is true, checking it every few milliseconds.
///
/// # Panics
/// If it takes [`STUCK`].
pub async fn until(what: impl Display, mut condition: impl AsyncFnMut() -> bool) {
    in_time(what, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
