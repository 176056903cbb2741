//! What each command does, one file a verb. Here is only which one was asked for.

mod dns;
mod domains;
mod edges;
mod failures;
mod fences;
mod push;
mod releases;
mod rollback;
mod sites;
mod status;
mod summary;
mod token;
#[cfg(feature = "up")]
mod up;

use crate::cli::{Cli, Command};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Does what was asked, and says on `output` how it went.
pub async fn run(cli: &Cli, environment: &Environment, output: &Output) -> Exit {
    let context = Context { cli, environment, output };
    let done = match &cli.command {
        Command::Push(arguments) => push::run(arguments, &context).await,
        Command::Releases(arguments) => releases::run(arguments, &context).await,
        Command::Rollback(arguments) => rollback::run(arguments, &context).await,
        Command::Status => status::run(&context).await,
        Command::Sites { command } => sites::run(command.as_ref(), &context).await,
        Command::Edges { command } => edges::run(command.as_ref(), &context).await,
        Command::Domains { command } => domains::run(command.as_ref(), &context).await,
        Command::Dns { command } => dns::run(command, &context).await,
        #[cfg(feature = "up")]
        Command::Up(arguments) => up::run(arguments, &context).await,
    };
    done.unwrap_or_else(|failure| {
        output.fail(&failure);
        failure.exit
    })
}

/// What every command is given.
struct Context<'a> {
    cli: &'a Cli,
    environment: &'a Environment,
    output: &'a Output,
}

impl Context<'_> {
    fn client(&self) -> Result<crate::client::Client, Failure> {
        Ok(crate::connection::open(&self.cli.global.connection(), self.environment)?)
    }

    /// Writes the answer: as the origin gave it with `--json`, else as `told`.
    fn answer(
        &self,
        answer: &serde_json::Value,
        told: impl FnOnce() -> serde_json::Result<String>,
    ) -> Result<Exit, Failure> {
        if self.output.manner().json {
            self.output.result(answer)?;
        } else {
            self.output.result(told()?)?;
        }
        Ok(Exit::Success)
    }
}
