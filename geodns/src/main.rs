//! `verge-geodns`: see `--help`, and `geodns.sample.toml`.

use std::process::ExitCode;

fn main() -> ExitCode {
    verge_daemon::run_with::<verge_geodns::GeoDns, verge_geodns::Command>()
}
