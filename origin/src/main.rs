//! `verge-origin`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    verge_daemon::run::<verge_origin::Origin>()
}
