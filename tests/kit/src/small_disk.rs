//! A small file system for a test.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

/// Set in the process that has the file system.
const MARKER: &str = "VERGE_TEST_SMALL_DISK";

/// Runs `test` with an empty file system of `bytes` bytes, a tmpfs, in which its temporary directories are. `name` is the path of the
/// calling test function in its test binary.
///
/// The test binary runs that function once more in a mount namespace, which ends with it. This needs no root where user
/// namespaces are allowed; elsewhere the test is skipped, and prints so.
///
/// # Panics
/// If the test fails there.
pub fn on_small_disk(name: &str, bytes: u64, test: impl FnOnce(&Path)) {
    if std::env::var_os(MARKER).is_some() {
        return test(&std::env::temp_dir());
    }
    let mount_point =
        std::env::temp_dir().join(format!("verge-small-disk-{}-{}", std::process::id(), name.replace("::", "-")));
    std::fs::create_dir(&mount_point).unwrap();
    let in_namespace = |command: &[&str]| -> std::io::Result<Output> {
        // The mount point is the temporary directory of everything that the shell starts.
        let mount = format!("mount -t tmpfs -o size={bytes},mode=0700 tmpfs \"$TMPDIR\" || exit 99; exec \"$@\"");
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount", "sh", "-c", &mount, "sh"]).args(command);
        unshare.env("TMPDIR", &mount_point).env(MARKER, "1").output()
    };
    let printed = |output: &Output| {
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
    };
    let result = match in_namespace(&["true"]) {
        Ok(output) if output.status.success() => {
            let binary = std::env::current_exe().unwrap();
            Ok(in_namespace(&[binary.to_str().unwrap(), "--exact", name, "--nocapture"]).unwrap())
        }
        Ok(output) => Err(printed(&output)),
        Err(error) => Err(error.to_string()),
    };
    std::fs::remove_dir(&mount_point).unwrap();
    match result {
        Ok(output) => {
            let has_passed = output.status.success() && printed(&output).contains("test result: ok. 1 passed");
            assert!(has_passed, "{name} failed on a small disk:\n{}", printed(&output));
        }
        Err(reason) => {
            let reason = reason.trim();
            // Bypasses the capture of output by the test harness. `tests/run` counts these lines.
            let line = format!("skipped: {name}: needs user and mount namespaces: {reason}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}
