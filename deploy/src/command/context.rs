//! What every command is given.

use std::fmt;
use std::time::Duration;

use serde::Deserialize as _;
use serde::de::DeserializeOwned;

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

    /// How long edges may be asked which release they serve: less where the answer is not shown while the command runs.
    pub(super) fn limit_of_questions(&self) -> Duration {
        let options = self.output.options();
        Duration::from_secs(if options.quiet || options.json { 1 } else { 3 })
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

    /// Prints a list: with `--json` the answer of the server, unchanged; else a table on stdout, or `none` on stderr.
    pub(super) fn print_list<T: DeserializeOwned>(
        &self,
        answer: &serde_json::Value,
        none: impl fmt::Display,
        table: impl FnOnce(&[T]) -> String,
    ) -> Result<Exit, Failure> {
        if self.output.options().json {
            self.output.result(answer)?;
            return Ok(Exit::Success);
        }
        let items = Vec::<T>::deserialize(answer)?;
        if items.is_empty() {
            self.output.info(none);
        } else {
            self.output.result(table(&items))?;
        }
        Ok(Exit::Success)
    }

    /// Asks before a change with this consequence, a fragment without a full stop. An error if the answer is no, or input is not a terminal.
    pub(super) fn confirm(&self, consequence: &str) -> Result<(), Failure> {
        let refused =
            |message: String| Failure { exit: Exit::Refused, message, details: Vec::new(), hints: Vec::new() };
        match self.output.confirm(format_args!("{consequence}. Continue?")) {
            Some(true) => Ok(()),
            Some(false) => Err(refused("cancelled: nothing was changed".to_owned())),
            None => Err(refused(consequence.to_owned()).hint(Some("use --yes to do it anyway"))),
        }
    }

    /// Explains the token that is printed next; `name` is an edge or a name server.
    pub(super) fn print_token_notice(&self, name: &impl fmt::Display) {
        self.output.info(format_args!(
            "new token for {name} (shown only once, replaces any earlier token); write it to the file set as `token_file`:"
        ));
    }
}
