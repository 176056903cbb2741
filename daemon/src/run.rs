//! The `main` of every daemon: arguments → configuration → telemetry → bind → wait for a signal → lame duck → drain.

mod connect_advice;
mod online_check;

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};

pub use self::online_check::{Finding, Needs, OriginAccess, Port};
use crate::clock::Clock;
use crate::config::Placeholder;
use crate::telemetry::{self, LogFormat};
use crate::tls::provider;

/// A server as a value; any number fit in one process.
pub trait Daemon: Sized {
    /// The name of the binary, e.g. `verge-edge`.
    const NAME: &'static str;
    /// The description in `--help`.
    const ABOUT: &'static str;
    /// The configuration file as written; unknown fields are rejected.
    type RawConfig: DeserializeOwned;
    /// The validated configuration. `check-config` prints its `Debug`, which omits secrets.
    type Config: std::fmt::Debug;

    /// Validates a configuration, as far as possible without the network.
    fn check(raw: Self::RawConfig) -> anyhow::Result<Self::Config>;

    /// Validates the files that the configuration refers to, for `check-config`; a daemon may start although they have errors.
    fn check_files(_config: &Self::Config) -> anyhow::Result<()> {
        Ok(())
    }

    /// What `check-config --online` tries. Opens the ports of the configuration, like [`Self::bind`], and runs the daemon's own checks.
    fn needs(config: &Self::Config) -> impl Future<Output = Needs> + Send;

    /// Starts the daemon. Returns once every port is open.
    fn bind(config: Self::Config) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Announces that the daemon is draining and keeps serving for the lame-duck period, so that traffic is routed elsewhere. A second
    /// signal cuts it short.
    fn start_draining(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Stops accepting, finishes requests in progress within the drain timeout, and ends.
    fn shutdown(self) -> impl Future<Output = ()> + Send;
}

/// The configuration file that a command line names.
pub struct ConfigFile<D> {
    path: PathBuf,
    daemon: PhantomData<D>,
}

impl<D: Daemon> ConfigFile<D> {
    /// This file, or the default one of the daemon.
    fn new(path: Option<PathBuf>) -> Self {
        let path = path.unwrap_or_else(|| PathBuf::from(format!("/etc/verge/{}.toml", D::NAME)));
        Self { path, daemon: PhantomData }
    }

    /// Its path. It may not exist.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads and validates it.
    pub fn load(&self) -> anyhow::Result<D::Config> {
        self.check(crate::config::load(&self.path)?.0)
    }

    fn check(&self, raw: D::RawConfig) -> anyhow::Result<D::Config> {
        D::check(raw).with_context(|| self.path.display().to_string())
    }
}

/// Commands of one daemon's binary, beside `check-config`.
pub trait Commands<D: Daemon>: Subcommand {
    /// Runs the command and returns the exit code; after an error it is 2.
    fn run(self, config: &ConfigFile<D>) -> anyhow::Result<ExitCode>;
}

/// No commands.
impl<D: Daemon> Commands<D> for Infallible {
    fn run(self, _: &ConfigFile<D>) -> anyhow::Result<ExitCode> {
        match self {}
    }
}

#[derive(Parser)]
#[command(version)]
struct Arguments<C: Subcommand> {
    /// Configuration file [default: /etc/verge/<name of the daemon>.toml]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Format of log lines
    #[arg(long, value_enum, default_value_t, global = true)]
    log_format: LogFormat,
    /// Log filter, e.g. `info` or `info,verge_edge=debug`
    #[arg(long, value_name = "FILTER", default_value = "info", global = true)]
    log: String,
    #[command(subcommand)]
    command: Option<Command<C>>,
}

#[derive(Subcommand)]
enum Command<C: Subcommand> {
    /// Validate the configuration, print the effective settings, and exit with 0 if it is valid, else 1
    CheckConfig {
        /// Also try what it refers to: origins, token, ports and data directory
        #[arg(long)]
        online: bool,
    },
    #[command(flatten)]
    Own(C),
}

/// Runs a daemon until SIGINT or SIGTERM. Exit code: 0 after a graceful shutdown, 1 after an error, 2 for invalid arguments.
pub fn run<D: Daemon>() -> ExitCode {
    run_with::<D, Infallible>()
}

/// Like [`run`], with commands of its own.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "output of `check-config` and start-up errors")]
pub fn run_with<D: Daemon, C: Commands<D>>() -> ExitCode {
    let command = Arguments::<C>::command().name(D::NAME).about(D::ABOUT);
    let arguments = Arguments::<C>::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let is_own = matches!(arguments.command, Some(Command::Own(_)));
    let outcome = (|| {
        telemetry::init(arguments.log_format, &arguments.log).context("invalid `--log` filter")?;
        provider::install();
        let file = ConfigFile::<D>::new(arguments.config);
        let command = match arguments.command {
            Some(Command::Own(command)) => return command.run(&file),
            command => command,
        };
        let (raw, placeholders) = crate::config::load(file.path())?;
        let path = file.path().display();
        if let Some(Command::CheckConfig { online }) = command {
            refuse(&placeholders).with_context(|| path.to_string())?;
            let config = file.check(raw)?;
            D::check_files(&config).with_context(|| path.to_string())?;
            println!("{config:#?}\n{path} is valid");
            if online {
                check_online::<D>(&config)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        for placeholder in &placeholders {
            tracing::warn!("placeholder in {path}: {placeholder}");
        }
        let config = file.check(raw)?;
        crate::open_files::raise_limit();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let outcome = runtime.block_on(until_signal::<D>(config));
        // Blocking threads that still compress or hash are not waited for: the drain timeout is over.
        runtime.shutdown_background();
        outcome.map(|()| ExitCode::SUCCESS)
    })();
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        if is_own { ExitCode::from(2) } else { ExitCode::FAILURE }
    })
}

/// Fails if a setting was never filled in.
fn refuse(placeholders: &[Placeholder]) -> anyhow::Result<()> {
    let list: Vec<String> = placeholders.iter().map(|placeholder| format!("\n  {placeholder}")).collect();
    anyhow::ensure!(list.is_empty(), "replace these placeholders by your own values:{}", list.concat());
    Ok(())
}

/// Tries what the configuration refers to, and prints a line for each check.
#[expect(clippy::print_stdout, reason = "output of `check-config`")]
fn check_online<D: Daemon>(config: &D::Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let findings = runtime.block_on(async { online_check::check(D::needs(config).await, &Clock::system()).await });
    for finding in &findings {
        println!("{finding}");
    }
    let failed = findings.iter().filter(|finding| matches!(finding, Finding::Fail(_))).count();
    anyhow::ensure!(failed == 0, "{failed} of {} checks failed", findings.len());
    Ok(())
}

async fn until_signal<D: Daemon>(config: D::Config) -> anyhow::Result<()> {
    // By default SIGHUP would end the process. Operators send it to reload files, which is not needed: it is logged and ignored.
    let mut hangup = signal(SignalKind::hangup())?;
    let daemon = D::bind(config).await?;
    let mut first_signal = std::pin::pin!(shutdown_signal());
    let name = loop {
        tokio::select! {
            name = &mut first_signal => break name?,
            _ = hangup.recv() => {
                tracing::info!(signal = "SIGHUP", "nothing to reload: watched files are reloaded when they change, settings are read at start");
            }
        }
    };
    tracing::info!(signal = name, "draining");
    tokio::select! {
        () = daemon.start_draining() => {}
        again = shutdown_signal() => tracing::info!(signal = again?, "second signal: ending the lame-duck period"),
    }
    daemon.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for SIGINT or SIGTERM and returns its name.
pub async fn shutdown_signal() -> std::io::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    })
}

/// Like [`shutdown_signal`], or SIGHUP, which is sent when the terminal is closed.
pub async fn shutdown_signal_or_hangup() -> std::io::Result<&'static str> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        name = shutdown_signal() => name,
        _ = hangup.recv() => Ok("SIGHUP"),
    }
}
