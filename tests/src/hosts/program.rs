//! A program of somebody else's that runs on a host.

use std::fs::File;
use std::process::{Child, Command, Stdio};

/// Runs until it is dropped, or the thread that started it is gone.
pub struct Program {
    name: String,
    child: Child,
}

impl Program {
    pub(super) fn start(name: String, program: &str, arguments: &[String], log: File) -> Self {
        let mut command = Command::new("setpriv");
        // The kernel ends it should this process be killed before it can.
        command.args(["--pdeathsig", "KILL", program]).args(arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self { name, child: command.spawn().unwrap() }
    }

    /// Fails if it has ended by itself.
    pub fn assert_runs(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "{} has ended: {}", self.name, ended.unwrap());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
