//! `verge-origin`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    verge_daemon::run_with::<verge_origin::Origin, verge_origin::Command>()
}
