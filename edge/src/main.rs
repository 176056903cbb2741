//! `verge-edge`: see `--help`, and `edge.sample.toml`.

use std::process::ExitCode;

fn main() -> ExitCode {
    verge_daemon::run::<verge_edge::Edge>()
}
