//! Logging, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Text.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// This crate logs an error for every rejected certificate, without the host; callers log the failure with more detail.
const QUIET: &str = "rustls_platform_verifier";

/// Sets up logging to standard error, in colour only if that is a terminal, filtered by `filter`, e.g. `info,verge_edge=debug`.
///
/// Call once, in `main`; later calls have no effect.
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
    // The last directive for a target wins, so `filter` can override this one.
    EnvFilter::try_new(format!("{QUIET}=off,{filter}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silenced_crate_logs_when_filter_enables_it() {
        let filter = |filter| env_filter(filter).unwrap().to_string();
        assert_eq!(filter("info"), "rustls_platform_verifier=off,info");
        assert_eq!(filter("info,rustls_platform_verifier=warn"), "rustls_platform_verifier=warn,info");
        assert!(env_filter("verge=loud").is_err());
    }
}
