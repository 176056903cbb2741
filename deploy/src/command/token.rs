//! Tokens that are issued to those who follow the origin.

use std::fmt;

use crate::output::Output;

/// Says what the token is that comes next, of an edge or of a node.
pub(super) fn introduce(whose: &impl fmt::Display, output: &Output) {
    output.say(format_args!(
        "a token for {whose}, shown once (an earlier one, if any, has stopped working); it goes into the file that `token_file` names:"
    ));
}
