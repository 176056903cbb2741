//! Logs: sentences with fields, for people or for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// It logs an error for every certificate that it refuses, each time anew and without saying whose; whoever connects says more.
const QUIET: &str = "rustls_platform_verifier";

/// Sends the process's logs to standard error, in colour only if that is a terminal: what `filter` lets through, e.g.
/// `info,verge_edge=debug`.
///
/// To be called once, in `main`; a later call changes nothing.
pub fn init(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(env_filter(filter)?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Human => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

fn env_filter(filter: &str) -> Result<EnvFilter, ParseError> {
    // Of two that speak of one target the later one counts.
    EnvFilter::try_new(format!("{QUIET}=off,{filter}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_too_much_is_heard_when_asked_for() {
        let filter = |filter| env_filter(filter).unwrap().to_string();
        assert_eq!(filter("info"), "rustls_platform_verifier=off,info");
        assert_eq!(filter("info,rustls_platform_verifier=warn"), "rustls_platform_verifier=warn,info");
        assert!(env_filter("verge=loud").is_err());
    }
}
