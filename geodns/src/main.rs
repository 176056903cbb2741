//! `verge-geodns`: see `--help`, and `geodns.sample.toml`.

use std::process::ExitCode;

fn main() -> ExitCode {
    verge_daemon::run::<verge_geodns::GeoDns>()
}
