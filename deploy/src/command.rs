//! The commands, one file each.

mod certs;
mod channels;
mod check;
mod context;
mod dns;
mod domains;
mod edges;
mod erase;
mod explain;
mod failures;
mod gc;
mod join_code;
mod linking;
mod log;
mod login;
mod move_summary;
mod orphans;
mod problems;
mod promote;
mod provenance;
mod purge;
mod push;
mod region_check;
mod releases;
mod render;
mod rollback;
mod scan_options;
mod schema;
mod sites;
mod status;
#[cfg(feature = "up")]
mod up;

use self::context::Context;
use crate::cli::{Cli, Command};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::output::Output;

/// Runs the command, and prints its result or error to `output`.
pub async fn run(cli: &Cli, environment: &Environment, output: &Output) -> Exit {
    let context = Context { cli, environment, output };
    let result = match &cli.command {
        Command::Push(arguments) => push::run(arguments, &context).await,
        Command::Check(arguments) => check::run(arguments, &context),
        Command::Releases { site, command } => releases::run(site, command.as_ref(), &context).await,
        Command::Rollback(arguments) => rollback::run(arguments, &context).await,
        Command::Promote(arguments) => promote::run(arguments, &context).await,
        Command::Channels { site, command } => channels::run(site, command.as_ref(), &context).await,
        Command::Purge(arguments) => purge::run(arguments, &context).await,
        Command::Explain(arguments) => explain::run(arguments, &context).await,
        Command::Erase(arguments) => erase::run(arguments, &context).await,
        Command::Gc(arguments) => gc::run(arguments, &context).await,
        Command::Log(arguments) => log::run(arguments, &context).await,
        Command::Login { url } => login::login(url, &context).await,
        Command::Logout => login::logout(&context),
        Command::Status => status::run(&context).await,
        Command::Sites { command } => sites::run(command.as_ref(), &context).await,
        Command::Edges { command } => edges::run(command.as_ref(), &context).await,
        Command::Domains { command } => domains::run(command.as_ref(), &context).await,
        Command::Certs { command } => certs::run(command.as_ref(), &context).await,
        Command::Orphans { command } => orphans::run(command.as_ref(), &context).await,
        Command::Dns { command } => dns::run(command, &context).await,
        Command::Schema => schema::run(&context),
        #[cfg(feature = "up")]
        // Boxed: it holds a whole cluster.
        Command::Up(arguments) => Box::pin(up::run(arguments, &context)).await,
    };
    result.unwrap_or_else(|failure| {
        output.error(&failure);
        failure.exit
    })
}
