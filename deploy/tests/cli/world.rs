//! A project directory, a fake origin, and a way to run commands.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use verge::cli::TerminalInfo;
use verge::{Cli, Environment, Exit, Output, command};
use verge_protocol::Timestamp;

use crate::origin::Origin;
pub(crate) use crate::origin::TOKEN;

/// A project directory and an origin.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) origin: Origin,
}

/// The result of a command.
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    /// An origin without sites, and a project named `app` whose `dist` has a page and a script.
    pub(crate) async fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap(), origin: Origin::start().await };
        world.write("package.json", r#"{"name":"app"}"#);
        world.write("dist/index.html", "<!doctype html>");
        world.write("dist/app.js", "let a = 1;");
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs `verge` in the project directory.
    pub(crate) async fn verge(&self, arguments: &[&str]) -> Ran {
        self.verge_at(&self.origin.url, arguments).await
    }

    /// Runs `verge` with another URL of the origin.
    pub(crate) async fn verge_at(&self, origin: &str, arguments: &[&str]) -> Ran {
        verge(self.path(), origin, TOKEN, arguments).await
    }
}

/// Runs `verge` in a directory, with this origin and this token.
pub(crate) async fn verge(dir: &Path, origin: &str, token: &str, arguments: &[&str]) -> Ran {
    verge_answering(dir, origin, token, arguments, None).await
}

/// The same; with `answers` as on a terminal, where these are typed.
pub(crate) async fn verge_answering(
    dir: &Path,
    origin: &str,
    token: &str,
    arguments: &[&str],
    answers: Option<&'static str>,
) -> Ran {
    // Who writes is git's user, and without one this.
    verge_with(dir, origin, &[("VERGE_TOKEN", token), ("USER", "ann")], arguments, answers).await
}

/// The same with these environment variables, one of which is the token.
pub(crate) async fn verge_with(
    dir: &Path,
    origin: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
    answers: Option<&'static str>,
) -> Ran {
    let arguments = [&["--origin", origin], arguments].concat();
    verge_typing(dir, variables, &arguments, answers, "").await
}

/// The same without an origin, and with `secret` as the input that is not shown.
pub(crate) async fn verge_typing(
    dir: &Path,
    variables: &[(&str, &str)],
    arguments: &[&str],
    answers: Option<&'static str>,
    secret: &str,
) -> Ran {
    let cli = Cli::try_parse_from([&["verge"], arguments].concat()).unwrap();
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
    let environment = Environment::read(variable, dir.to_owned(), Timestamp(3_600_000));
    let (stdout, stderr) = (Buffer::default(), Buffer::default());
    let no_terminal = TerminalInfo { stdout_is_terminal: false, stderr_is_terminal: false, width: None, color: false };
    let options = cli.global.output_options(no_terminal);
    let secret = secret.to_owned();
    let mut output = Output::new(stdout.clone(), stderr.clone(), options).with_secrets(move || Ok(secret.clone()));
    if let Some(answers) = answers {
        output = output.with_answers(answers.as_bytes());
    }
    let exit = command::run(&cli, &environment, &output).await;
    Ran { exit, stdout: stdout.text(), stderr: stderr.text() }
}

impl Ran {
    /// The one line of JSON on stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.stdout.lines().count(), 1, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Asserts the exit code, and shows the output otherwise.
    #[track_caller]
    pub(crate) fn ended(self, exit: Exit) -> Self {
        assert_eq!(self.exit, exit, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
