//! `verge schema`.

use serde_json::Value;

use super::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::SCHEMA;

/// Prints the schema: for people line by line, with `--json` as one line.
pub(super) fn run(context: &Context<'_>) -> Result<Exit, Failure> {
    if context.output.options().json {
        let schema: Value = serde_json::from_str(SCHEMA)?;
        context.output.result(schema)?;
    } else {
        context.output.result(SCHEMA.trim_end())?;
    }
    Ok(Exit::Success)
}
