//! The `verge` command: reads arguments, environment, terminal and clock, then runs the command.

use std::io::{BufReader, IsTerminal as _, stderr, stdin, stdout};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use verge::cli::TerminalInfo;
use verge::failure::Failure;
use verge::{Cli, Environment, Exit, Output, command};
use verge_protocol::Timestamp;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let current_dir = std::env::current_dir().unwrap_or_else(|_| ".".into());
    let environment = Environment::read(|name| std::env::var_os(name), current_dir, now());
    let environment = Environment { program: program(), ..environment };
    let terminal = TerminalInfo {
        stdout_is_terminal: stdout().is_terminal(),
        stderr_is_terminal: stderr().is_terminal(),
        width: console::Term::stdout().size_checked().map(|(_, columns)| columns),
        color: environment.color,
    };
    let mut output = Output::new(stdout(), stderr(), cli.global.output_options(terminal));
    if stdin().is_terminal() && terminal.stderr_is_terminal {
        output = output.with_answers(BufReader::new(stdin()));
        output = output.with_secrets(|| console::Term::stderr().read_secure_line());
    } else {
        output = output.with_secrets(|| std::io::read_to_string(stdin()));
    }
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let exit = runtime.block_on(command::run(&cli, &environment, &output));
            // Blocking threads may still be running; their results are no longer needed.
            runtime.shutdown_background();
            exit.into()
        }
        Err(error) => {
            output.error(&Failure::new(Exit::Failure, &error));
            Exit::Failure.into()
        }
    }
}

/// How to call this program from any directory: its name if it was found in `PATH`, else its absolute path.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "verge".to_owned());
    match std::env::current_exe() {
        Ok(path) if called.contains(std::path::is_separator) => path.display().to_string(),
        _ => called,
    }
}

#[expect(clippy::disallowed_methods, reason = "the only place where the command reads the clock")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
