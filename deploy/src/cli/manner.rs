//! How an output should behave: what was asked for, and what its ends can show.

use super::{Color, Global};
use crate::output::Manner;

/// What a process is surrounded by.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// Whether stdout is a terminal.
    pub results_on_terminal: bool,
    /// Whether stderr is a terminal.
    pub messages_on_terminal: bool,
    /// How wide the terminal behind stdout is, in columns.
    pub width: Option<u16>,
    /// Whether the environment has nothing against colors.
    pub color: bool,
}

impl Global {
    /// Decides: flags first, then what the ends can show.
    pub fn manner(&self, around: Surroundings) -> Manner {
        let colored = |on_terminal: bool| match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => on_terminal && around.color,
        };
        Manner {
            quiet: self.quiet,
            json: self.json,
            color_results: colored(around.results_on_terminal) && !self.json,
            color_messages: colored(around.messages_on_terminal),
            bars: around.messages_on_terminal && !self.quiet,
            width: around.width.filter(|_| around.results_on_terminal),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn manner(flags: &[&str], on_terminal: bool, color: bool) -> Manner {
        let cli = Cli::try_parse_from([&["verge", "status"], flags].concat()).unwrap();
        let around = Surroundings {
            results_on_terminal: on_terminal,
            messages_on_terminal: on_terminal,
            width: Some(80),
            color,
        };
        cli.global.manner(around)
    }

    #[test]
    fn colors_and_bars_are_for_terminals() {
        let plain = manner(&[], false, true);
        assert_eq!((plain.color_results, plain.color_messages, plain.bars, plain.width), (false, false, false, None));
        let terminal = manner(&[], true, true);
        assert_eq!((terminal.color_results, terminal.bars, terminal.width), (true, true, Some(80)));
        assert!(!manner(&[], true, false).color_messages, "NO_COLOR");
    }

    #[test]
    fn a_flag_decides_over_the_terminal() {
        assert!(!manner(&["--color", "never"], true, true).color_messages);
        assert!(manner(&["--color", "always"], false, false).color_messages);
        assert!(!manner(&["--color", "always", "--json"], true, true).color_results, "JSON is never colored");
        assert!(!manner(&["--quiet"], true, true).bars);
    }
}
