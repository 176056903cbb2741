//! The commands of `verge-origin`, beside `check-config`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use verge_daemon::run::{Commands, ConfigFile};

use crate::api_tls;
use crate::origin::Origin;
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
