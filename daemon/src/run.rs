//! The `main` of every daemon: arguments → configuration → telemetry → bind → wait for a signal → lame duck → drain.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};

use crate::telemetry::{self, LogFormat};

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

#[derive(Parser)]
#[command(version)]
struct Arguments {
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
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Validate the configuration, print the effective settings, and exit with 0 if it is valid, else 1
    CheckConfig,
}

/// Runs a daemon until SIGINT or SIGTERM. Exit code: 0 after a graceful shutdown, 1 after an error, 2 for invalid arguments.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "output of `check-config` and start-up errors")]
pub fn run<D: Daemon>() -> ExitCode {
    let command = Arguments::command().name(D::NAME).about(D::ABOUT);
    let arguments = Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let outcome = (|| {
        telemetry::init(arguments.log_format, &arguments.log).context("invalid `--log` filter")?;
        let path = arguments.config.unwrap_or_else(|| PathBuf::from(format!("/etc/verge/{}.toml", D::NAME)));
        let config = D::check(crate::config::load(&path)?).with_context(|| path.display().to_string())?;
        if let Some(Command::CheckConfig) = arguments.command {
            D::check_files(&config).with_context(|| path.display().to_string())?;
            println!("{config:#?}\n{} is valid", path.display());
            return Ok(());
        }
        crate::open_files::raise_limit();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let outcome = runtime.block_on(until_signal::<D>(config));
        // Blocking threads that still compress or hash are not waited for: the drain timeout is over.
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
