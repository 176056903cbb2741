//! A third-party program that runs on a host.

use std::fs::File;
use std::process::{Child, Command, Stdio};

/// A running program. Killed when this is dropped, or when the thread that spawned it ends.
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    pub(super) fn spawn(name: String, program: &str, arguments: &[String], log: File) -> Self {
        let mut command = Command::new("setpriv");
        // If this process is killed, the kernel kills the child.
        command.args(["--pdeathsig", "KILL", program]).args(arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self { name, child: command.spawn().unwrap() }
    }

    /// Fails if the program has exited.
    pub fn assert_running(&mut self) {
        let status = self.child.try_wait().unwrap();
        assert!(status.is_none(), "{} exited: {}", self.name, status.unwrap());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
