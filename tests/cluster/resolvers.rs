//! Readers that find edges through third-party resolvers, on a small internet.

mod failures;
mod lag;
mod load;
mod locations;

use std::time::Duration;

use verge_tests::internet::{Internet, InternetConfig};
use verge_tests::report_skipped;

/// Added to each bound: resolvers count TTLs in whole seconds, so that a second may count twice, and all daemons and resolvers share
/// the processors of one machine.
const ALLOWANCE: Duration = Duration::from_secs(2);

/// Starts a small internet; `None`, with a line that says why, if it cannot run on this machine.
async fn start(test: &str, config: InternetConfig) -> Option<Internet> {
    match Internet::missing_requirement() {
        None => Some(Box::pin(Internet::start(config)).await),
        Some(reason) => {
            report_skipped(format_args!("resolvers: {test}: {reason}"));
            None
        }
    }
}
