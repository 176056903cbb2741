//! Readers that find edges through resolvers of others, on a small internet.

mod failures;
mod lag;
mod load;
mod locations;

use std::time::Duration;

use verge_tests::internet::{Internet, Plan};
use verge_tests::skipped;

/// What may come on top of a bound: resolvers count in whole seconds, so one that lies between two of them is lived through
/// twice; and with two processors and all daemons of the world on them, things take their time.
const ALLOWANCE: Duration = Duration::from_secs(2);

/// A small internet, unless this machine cannot have one.
async fn start(test: &str, plan: Plan) -> Option<Internet> {
    match Internet::missing() {
        None => Some(Internet::start(plan).await),
        Some(why) => {
            skipped(format_args!("resolvers: {test}: {why}"));
            None
        }
    }
}
