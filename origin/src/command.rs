//! The commands of `verge-origin`, beside `check-config`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use verge_daemon::run::{Commands, ConfigFile};
use verge_daemon::{Clock, DataDir};

use crate::api_tls;
use crate::origin::Origin;
use crate::store::Database;
use crate::verify::Verify;

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Read everything that the origin stores, and report what is damaged; safe while the origin runs
    ///
    /// Exit code: 0 if all is sound, 1 if there are findings, 2 if it could not verify.
    Verify(Verify),
    /// Print the pin of the identity key, by which clients recognize this origin
    Pin(Pin),
    /// Delete all secrets, if their master key is lost: the origin then orders all certificates anew, with other keys
    ///
    /// Edges go on presenting the certificates that they have. The origin must be stopped.
    ForgetSecrets(ForgetSecrets),
}

/// The arguments of `forget-secrets`.
#[derive(Args)]
pub struct ForgetSecrets {
    /// Delete them: without this, only say how many there are
    #[arg(long)]
    yes: bool,
}

impl ForgetSecrets {
    fn run(self, config: &ConfigFile<Origin>) -> anyhow::Result<ExitCode> {
        let data = config.load()?.data;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let text = runtime.block_on(self.forget(&data))?;
        writeln!(std::io::stdout(), "{text}")?;
        Ok(ExitCode::SUCCESS)
    }

    async fn forget(self, data: &Path) -> anyhow::Result<String> {
        let file = data.join("origin.db");
        let is_there = file.try_exists().with_context(|| format!("failed to read {}", data.display()))?;
        anyhow::ensure!(is_there, "no data directory of an origin: {} does not exist", file.display());
        // Until the end: no origin starts meanwhile.
        let _lock = DataDir::open(data)?;
        let database = Database::open(&file, Clock::system().now()).await?;
        let text = if self.yes {
            let deleted = database.delete_secrets().await?;
            format!("{deleted} secrets deleted: start the origin, and it orders all certificates anew")
        } else {
            let secrets = database.secrets().await?;
            format!(
                "{secrets} secrets would be deleted: the private keys of all certificates, and ACME accounts; use --yes"
            )
        };
        database.close().await;
        Ok(text)
    }
}

/// The arguments of `pin`.
#[derive(Args)]
pub struct Pin {
    /// The data directory [default: that of the configuration]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Commands<Origin> for Command {
    fn run(self, config: &ConfigFile<Origin>) -> anyhow::Result<ExitCode> {
        match self {
            Self::Verify(arguments) => arguments.run(config),
            Self::ForgetSecrets(arguments) => arguments.run(config),
            Self::Pin(Pin { data }) => {
                let data = match data {
                    Some(data) => data,
                    None => config.load()?.data,
                };
                writeln!(std::io::stdout(), "{}", api_tls::read_pin(&data)?)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
