//! `verge log`.

use serde_json::Value;
use verge_protocol::Timestamp;
use verge_protocol::api::{LogEntry, LogEvent, MoveKind};

use super::context::Context;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};
use crate::project::Project;

pub(super) async fn run(arguments: &cli::Log, context: &Context<'_>) -> Result<Exit, Failure> {
    let site = Project::find(None, &context.environment.current_dir)?.site(arguments.site.site.as_ref())?;
    let client = context.client()?;
    let answer: Value = client.get(&format!("/v1/sites/{site}/log?limit={}", arguments.limit)).await?;
    context.print_list(&answer, format_args!("nothing was done to {site} yet"), |entries: &[LogEntry]| {
        render(entries, context.environment.now, context.output)
    })
}

fn render(entries: &[LogEntry], now: Timestamp, output: &Output) -> String {
    let optional = |text: Option<&String>, max| text.map_or_else(String::new, |text| human::line(text, max));
    let row = |entry: &LogEntry| {
        let commit = match &entry.event {
            LogEvent::Moved { commit, .. } => commit.as_ref(),
            LogEvent::Deleted { .. } | LogEvent::Purged { .. } | LogEvent::Erased { .. } | LogEvent::Unknown => None,
        };
        vec![
            human::age(entry.time.age(now)),
            describe(&entry.event),
            optional(entry.author.as_ref(), 24),
            commit.map_or_else(String::new, |commit| human::line(commit, usize::MAX).chars().take(9).collect()),
            optional(entry.message.as_ref(), 60),
        ]
    };
    table(output, &["when", "what", "author", "commit", "message"], entries.iter().map(row).collect())
}

fn describe(event: &LogEvent) -> String {
    match event {
        LogEvent::Moved { channel, release, from, kind, .. } => {
            let what = match kind {
                MoveKind::Push => "push",
                MoveKind::Rollback => "rollback",
                MoveKind::Promotion => "promote",
            };
            match from {
                Some(from) => format!("{what} {from} → {release} on {channel}"),
                None => format!("{what} {release} on {channel}"),
            }
        }
        LogEvent::Deleted { channel, from, expired } => {
            let what = if *expired { "expiry" } else { "deletion" };
            let from = from.map_or_else(String::new, |from| format!(", which was at {from}"));
            format!("{what} of {channel}{from}")
        }
        LogEvent::Purged { scope } => format!("purge {}", human::line(&scope.to_string(), 80)),
        LogEvent::Erased { path, digest } => {
            let digest: String = digest.to_string().chars().take(8).collect();
            format!("erase {} ({digest})", human::line(path.as_str(), 80))
        }
        LogEvent::Unknown => "an event that this version does not know".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::{ReleaseNumber, Seq};

    use super::*;
    use crate::output::OutputOptions;

    #[test]
    fn every_event_is_shown_with_author_and_message() {
        let entry = |seq, author: Option<&str>, message: Option<&str>, event| LogEntry {
            seq: Seq(seq),
            time: Timestamp(seq * 1000),
            author: author.map(str::to_owned),
            message: message.map(str::to_owned),
            event,
        };
        let moved = |from: Option<u64>, release, kind| LogEvent::Moved {
            channel: "live".parse().unwrap(),
            release: ReleaseNumber(release),
            from: from.map(ReleaseNumber),
            kind,
            commit: (kind == MoveKind::Push).then(|| "0123456789abcdef".to_owned()),
        };
        let deleted = |from, expired| LogEvent::Deleted { channel: "pr-1".parse().unwrap(), from, expired };
        let entries = [
            entry(900, None, None, LogEvent::Unknown),
            entry(800, Some("Ann"), Some("a leak"), LogEvent::Purged { scope: "assets/*".parse().unwrap() }),
            entry(760, None, None, deleted(None, true)),
            entry(750, Some("Ann"), None, deleted(Some(ReleaseNumber(2)), false)),
            entry(700, Some("Bob"), Some("first"), moved(Some(2), 1, MoveKind::Rollback)),
            entry(600, Some("Bob"), Some("fix the \u{1b}[31mheader\n\nmore"), moved(Some(1), 2, MoveKind::Push)),
            entry(500, Some("Ann"), Some("first"), moved(None, 1, MoveKind::Push)),
        ];
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        insta::assert_snapshot!(render(&entries, Timestamp(1_000_000), &output));
    }
}
