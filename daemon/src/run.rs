//! What every daemon's `main` is: arguments → configuration → telemetry → bind → wait for a signal → leave → drain.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};

use crate::telemetry::{self, LogFormat};

/// A server that is a value. As many as wanted fit in one process.
pub trait Daemon: Sized {
    /// The name of the binary, e.g. `verge-edge`.
    const NAME: &'static str;
    /// One line for `--help`.
    const ABOUT: &'static str;
    /// The configuration file as written; denies unknown fields.
    type RawConfig: DeserializeOwned;
    /// The configuration, checked. Its `Debug` shows what it means, without secrets.
    type Config: std::fmt::Debug;

    /// Checks a configuration: everything that can be said to be wrong without touching the network.
    fn check(raw: Self::RawConfig) -> anyhow::Result<Self::Config>;

    /// Reads the files that the configuration names, for `check-config`: what a daemon can start without may be wrong with them.
    fn check_files(_config: &Self::Config) -> anyhow::Result<()> {
        Ok(())
    }

    /// Returns once every port is open.
    fn bind(config: Self::Config) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Says that it is draining and goes on serving, for as long as those who send readers need to see it. Cut short by another
    /// signal.
    fn start_draining(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Says that it is draining, stops accepting, finishes what is under way within its deadline, and is gone.
    fn shutdown(self) -> impl Future<Output = ()> + Send;
}

#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file; the sample explains every setting
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The shape of log lines
    #[arg(long, value_enum, default_value_t, global = true)]
    log_format: LogFormat,
    /// What to log, e.g. `info` or `info,verge_edge=debug`
    #[arg(long, value_name = "FILTER", default_value = "info", global = true)]
    log: String,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Read the configuration, print what it means, and exit: 0 if it is good, else 1
    CheckConfig,
}

/// Runs a daemon until SIGINT or SIGTERM. The exit code is 0 after an orderly end, 1 after an error, 2 for wrong arguments.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the rim: what a person at the terminal is told")]
pub fn run<D: Daemon>() -> ExitCode {
    let command = Arguments::command().name(D::NAME).about(D::ABOUT);
    let arguments = Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let outcome = (|| {
        telemetry::init(arguments.log_format, &arguments.log).context("`--log` cannot be read")?;
        let path = arguments.config.unwrap_or_else(|| PathBuf::from(format!("/etc/verge/{}.toml", D::NAME)));
        let config = D::check(crate::config::load(&path)?).with_context(|| path.display().to_string())?;
        if let Some(Command::CheckConfig) = arguments.command {
            D::check_files(&config).with_context(|| path.display().to_string())?;
            println!("{config:#?}\n{} is good", path.display());
            return Ok(());
        }
        crate::open_files::raise_limit();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let outcome = runtime.block_on(until_signal::<D>(config));
        // Threads that still compress or hash are not waited for: the deadline was the shutdown's.
        runtime.shutdown_background();
        outcome
    })();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn until_signal<D: Daemon>(config: D::Config) -> anyhow::Result<()> {
    // Out of habit, to have files read again: those that can be are watched, and a daemon must not end by it.
    let mut hangup = signal(SignalKind::hangup())?;
    let daemon = D::bind(config).await?;
    let mut ended = std::pin::pin!(terminated());
    let name = loop {
        tokio::select! {
            name = &mut ended => break name?,
            _ = hangup.recv() => {
                tracing::info!(signal = "SIGHUP", "nothing to do: zone files and databases are watched, settings need a restart");
            }
        }
    };
    tracing::info!(signal = name, "draining");
    tokio::select! {
        () = daemon.start_draining() => {}
        again = terminated() => tracing::info!(signal = again?, "leaving at once"),
    }
    daemon.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for SIGINT or SIGTERM and says which.
pub async fn terminated() -> std::io::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    })
}

/// The same, or SIGHUP: what a process gets whose terminal is closed.
pub async fn terminated_or_closed() -> std::io::Result<&'static str> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        name = terminated() => name,
        _ = hangup.recv() => Ok("SIGHUP"),
    }
}
