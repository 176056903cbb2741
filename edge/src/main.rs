//! The `verge-edge` binary. `edge.sample.toml` explains its configuration.

use std::process::ExitCode;

fn main() -> ExitCode {
    verge_daemon::run_with::<verge_edge::Edge, verge_edge::Command>()
}
