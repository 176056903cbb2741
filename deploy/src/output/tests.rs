//! Tests of the output as a whole.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::printer::lock;
use super::{Output, OutputOptions, Unit};
use crate::exit::Exit;
use crate::failure::Failure;

/// A writer whose content can be read afterwards.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(options: OutputOptions) -> (String, String) {
    let (results, messages) = (Buffer::default(), Buffer::default());
    let output = Output::new(results.clone(), messages.clone(), options);
    output.info("going");
    output.warn("odd");
    output.hint("make it even");
    let step = output.step("hashing", Unit::Bytes, 2000);
    step.advance(2000);
    step.finish("hashed 2 files");
    let hints = vec!["do this".to_owned(), "or that".to_owned()];
    let details = vec!["a: wrong".to_owned()];
    output.error(&Failure { exit: Exit::Refused, message: "no".to_owned(), details, hints });
    output.result("data").unwrap();
    let text = |buffer: Buffer| String::from_utf8(lock(&buffer.0).clone()).unwrap();
    (text(results), text(messages))
}

#[test]
fn result_goes_to_stdout_and_messages_to_stderr() {
    let (results, messages) = written(OutputOptions::default());
    assert_eq!(results, "data\n");
    insta::assert_snapshot!(messages);
}

#[test]
fn quiet_output_keeps_warnings_and_errors() {
    let (results, messages) = written(OutputOptions { quiet: true, ..OutputOptions::default() });
    assert_eq!(results, "data\n");
    insta::assert_snapshot!(messages);
}

#[test]
fn question_is_affirmed_by_yes_alone() {
    let confirm = |input: &'static str| {
        let messages = Buffer::default();
        let output =
            Output::new(io::sink(), messages.clone(), OutputOptions { quiet: true, ..OutputOptions::default() });
        let answer = output.with_answers(input.as_bytes()).confirm("sgp-1 is the last edge. Continue?");
        assert_eq!(String::from_utf8(lock(&messages.0).clone()).unwrap(), "sgp-1 is the last edge. Continue? [y/N] ");
        answer
    };
    for (input, answer) in
        [("y\n", true), (" YES \n", true), ("\n", false), ("", false), ("no\n", false), ("yy\n", false)]
    {
        assert_eq!(confirm(input), Some(answer), "{input:?}");
    }
    let output = Output::new(io::sink(), io::sink(), OutputOptions::default());
    assert_eq!(output.confirm("Continue?"), None, "input is not a terminal");
}

#[test]
fn error_with_control_characters_is_sanitized_to_one_line() {
    let messages = Buffer::default();
    let output = Output::new(io::sink(), messages.clone(), OutputOptions::default());
    let hostile = |word: &str| format!("{word}\u{1b}[2J\u{202e}\n✓ all is well");
    let (details, hints) = (vec![hostile("detail")], vec![hostile("hint")]);
    output.error(&Failure { exit: Exit::Refused, message: hostile("no"), details, hints });
    let text = String::from_utf8(lock(&messages.0).clone()).unwrap();
    let odd = "\u{fffd}[2J\u{fffd}";
    assert_eq!(text, format!("error: no{odd}\n  detail{odd}\nhint: hint{odd}\n"));
}

#[test]
fn color_is_used_only_on_the_stream_that_allows_it() {
    let (_, plain) = written(OutputOptions { color_results: true, ..OutputOptions::default() });
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let (_, colored) = written(OutputOptions { color_messages: true, ..OutputOptions::default() });
    assert!(colored.contains("\u{1b}[31m\u{1b}[1merror:\u{1b}[0m no"), "{colored:?}");
}
