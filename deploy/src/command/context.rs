//! What every command is given.

use std::fmt;

use crate::cli::Cli;
use crate::client::Client;
use crate::endpoints;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// What every command is given.
pub(super) struct Context<'a> {
    pub(super) cli: &'a Cli,
    pub(super) environment: &'a Environment,
    pub(super) output: &'a Output,
}

impl Context<'_> {
    /// A client of the selected origin.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        Ok(endpoints::origin(&self.cli.global.connection_options(), self.environment)?)
    }

    /// Prints a result: with `--json` the answer of the server, unchanged; else the text.
    pub(super) fn print_result(
        &self,
        answer: &serde_json::Value,
        text: impl FnOnce() -> serde_json::Result<String>,
    ) -> Result<Exit, Failure> {
        if self.output.options().json {
            self.output.result(answer)?;
        } else {
            self.output.result(text()?)?;
        }
        Ok(Exit::Success)
    }

    /// Explains the token that is printed next; `name` is an edge or a name server.
    pub(super) fn print_token_notice(&self, name: &impl fmt::Display) {
        self.output.info(format_args!(
            "new token for {name} (shown only once, replaces any earlier token); write it to the file set as `token_file`:"
        ));
    }
}
