//! A folder to work in, an origin to push to, and a command line.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use verge::output::Manner;
use verge::{Cli, Environment, Exit, Output, command};
use verge_protocol::Timestamp;

use crate::origin::Origin;

pub(crate) const TOKEN: &str = "vrg_test";

/// A project folder and an origin.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) origin: Origin,
}

/// What a command left behind.
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    /// An origin without sites, and a project named `app` whose `dist` holds a page and a script.
    pub(crate) async fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), origin: Origin::start().await };
        world.write("package.json", r#"{"name":"app"}"#);
        world.write("dist/index.html", "<!doctype html>");
        world.write("dist/app.js", "let a = 1;");
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs `verge` in the project's folder.
    pub(crate) async fn verge(&self, arguments: &[&str]) -> Ran {
        self.verge_at(&self.origin.url, arguments).await
    }

    /// The same, with another address for the origin.
    pub(crate) async fn verge_at(&self, origin: &str, arguments: &[&str]) -> Ran {
        verge(self.path(), origin, TOKEN, arguments).await
    }
}

/// Runs `verge` in a folder, with this origin and this token.
pub(crate) async fn verge(folder: &Path, origin: &str, token: &str, arguments: &[&str]) -> Ran {
    let arguments = [&["verge", "--origin", origin], arguments].concat();
    let cli = Cli::try_parse_from(arguments).unwrap();
    let variable = |name: &str| (name == "VERGE_TOKEN").then(|| token.into());
    let environment = Environment::read(variable, folder.to_owned(), Timestamp(3_600_000));
    let (stdout, stderr) = (End::default(), End::default());
    let manner = Manner { quiet: cli.global.quiet, json: cli.global.json, ..Manner::default() };
    let output = Output::new(stdout.clone(), stderr.clone(), manner);
    let exit = command::run(&cli, &environment, &output).await;
    Ran { exit, stdout: stdout.text(), stderr: stderr.text() }
}

impl Ran {
    /// The one line of JSON on stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.stdout.lines().count(), 1, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Asserts how it ended, and shows what it said if it ended otherwise.
    #[track_caller]
    pub(crate) fn ended(self, exit: Exit) -> Self {
        assert_eq!(self.exit, exit, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

#[derive(Clone, Default)]
struct End(Arc<Mutex<Vec<u8>>>);

impl End {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
