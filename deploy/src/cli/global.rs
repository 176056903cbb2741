//! Options of every command.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use verge_protocol::KeyPin;

use crate::endpoints::ConnectionOptions;
use crate::output::OutputOptions;

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The origin's URL, instead of `VERGE_ORIGIN`
    #[arg(long, global = true, value_name = "URL")]
    pub origin: Option<String>,
    /// Read the token from a file, instead of `VERGE_TOKEN`
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The pin of the origin's key, instead of `VERGE_PIN`
    #[arg(long, global = true, value_name = "PIN")]
    pub pin: Option<KeyPin>,
    /// Allow sending the token to another machine over unencrypted HTTP
    #[arg(long, global = true)]
    pub insecure: bool,
    /// Print only results, warnings and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Print the result as one line of JSON; with =stream, `push`, `rollback` and `promote` first print a line for each
    /// event of the rollout
    #[arg(long, global = true, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "result")]
    #[arg(hide_possible_values = true)]
    pub json: Option<Json>,
    /// When to use colors: auto, always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: Color,
}

/// What is printed as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Json {
    /// The result, as one line
    Result,
    /// The events of a rollout, one a line, and then the result
    Stream,
}

/// When to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What the streams of the process can show.
#[derive(Debug, Clone, Copy)]
pub struct TerminalInfo {
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
    /// The width of the terminal behind stdout, in columns.
    pub width: Option<u16>,
    /// Whether the environment allows colors.
    pub color: bool,
}

impl Global {
    /// The options that concern the connection to the origin.
    pub fn connection_options(&self) -> ConnectionOptions<'_> {
        ConnectionOptions {
            origin: self.origin.as_deref(),
            token_file: self.token_file.as_deref(),
            pin: self.pin,
            insecure: self.insecure,
        }
    }

    /// The options of the output. Flags take precedence over what the terminal can show.
    pub fn output_options(&self, terminal: TerminalInfo) -> OutputOptions {
        let colored = |is_terminal: bool| match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && terminal.color,
        };
        OutputOptions {
            quiet: self.quiet,
            json: self.json.is_some(),
            json_events: self.json == Some(Json::Stream),
            color_results: colored(terminal.stdout_is_terminal) && self.json.is_none(),
            color_messages: colored(terminal.stderr_is_terminal),
            progress_bars: terminal.stderr_is_terminal && !self.quiet,
            width: terminal.width.filter(|_| terminal.stdout_is_terminal),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        global: Global,
    }

    fn options(flags: &[&str], on_terminal: bool, color: bool) -> OutputOptions {
        let arguments = Arguments::try_parse_from([&["verge"], flags].concat()).unwrap();
        let terminal =
            TerminalInfo { stdout_is_terminal: on_terminal, stderr_is_terminal: on_terminal, width: Some(80), color };
        arguments.global.output_options(terminal)
    }

    #[test]
    fn colors_and_progress_bars_need_a_terminal() {
        let piped = options(&[], false, true);
        assert_eq!(
            (piped.color_results, piped.color_messages, piped.progress_bars, piped.width),
            (false, false, false, None)
        );
        let terminal = options(&[], true, true);
        assert_eq!((terminal.color_results, terminal.progress_bars, terminal.width), (true, true, Some(80)));
        assert!(!options(&[], true, false).color_messages, "NO_COLOR");
    }

    #[test]
    fn flags_override_terminal_detection() {
        assert!(!options(&["--color", "never"], true, true).color_messages);
        assert!(options(&["--color", "always"], false, false).color_messages);
        assert!(!options(&["--color", "always", "--json"], true, true).color_results, "JSON is never colored");
        assert!(!options(&["--quiet"], true, true).progress_bars);
    }

    #[test]
    fn json_is_the_result_unless_the_stream_is_wanted() {
        let json = |flags: &[&str]| {
            let options = options(flags, false, true);
            (options.json, options.json_events)
        };
        assert_eq!(json(&[]), (false, false));
        assert_eq!(json(&["--json"]), (true, false));
        assert_eq!(json(&["--json=stream"]), (true, true));
    }
}
