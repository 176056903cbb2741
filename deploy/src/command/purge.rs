//! `verge purge`.

use serde::Serialize;
use verge_protocol::SiteName;
use verge_protocol::api::{LaggingEdge, PurgeRequest};
use verge_protocol::purge::PurgeScope;
use verge_protocol::report::PurgeProof;

use super::context::Context;
use super::{linking, provenance};
use crate::cli;
use crate::client::ClientError;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};
use crate::project::Project;
use crate::purge::{PathCheck, Purge, PurgeError, Purged};

/// How many digits of a digest are shown.
const DIGEST_DIGITS: usize = 8;

/// `verge purge --json`. Stable: fields are added, never renamed.
#[derive(Serialize)]
struct Line<'a> {
    site: &'a SiteName,
    scope: &'a PurgeScope,
    #[serde(flatten)]
    purged: &'a Purged,
}

pub(super) async fn run(arguments: &cli::Purge, context: &Context<'_>) -> Result<Exit, Failure> {
    let output = context.output;
    let environment = context.environment;
    let project = Project::find(None, &environment.current_dir)?;
    let site = linking::site_to_change(&project, arguments.site.site.as_ref(), context)?;
    let client = context.client()?;
    let author = provenance::author(arguments.author.as_ref(), &environment.current_dir, environment.user.as_deref());
    let request = PurgeRequest { scope: arguments.scope(), author: author.await, message: arguments.message.clone() };
    let purge = Purge { client: &client, site: &site, request };
    let mut purged = purge.run(output).await?;
    purge.ask_edges(&mut purged, context.limit_of_questions()).await;
    for check in purged.serving_others() {
        output.warn(format_args!("{} answers with another file than it has reported", check.edge));
    }
    let scope = &purge.request.scope;
    if output.options().json {
        let line = Line { site: &site, scope, purged: &purged };
        output.result(serde_json::to_string(&line).expect("the summary can be serialized"))?;
    } else if !output.options().quiet {
        output.result(render(&format!("{} of {site} is purged", named(scope)), &purged, output))?;
    }
    if let Some(effect) = effect(&purged) {
        output.info(effect);
    }
    if purged.exit() == Exit::Lagging {
        output.hint("run `verge purge` again, or `verge status` to see what the edges lack");
    }
    Ok(purged.exit())
}

/// What a purge does not change, or had no effect on.
fn effect(purged: &Purged) -> Option<&'static str> {
    let mut proofs = purged.confirmed.iter().filter_map(|edge| edge.proof.as_ref()).peekable();
    proofs.peek()?;
    if proofs.clone().any(|proof| proof.serves.is_some_and(|served| served.status == 200)) {
        Some("the live release has this path: readers get it until a release without it is live")
    } else {
        proofs.all(|proof| proof.files == 0).then_some("no release that is served has a file there")
    }
}

fn named(scope: &PurgeScope) -> String {
    if *scope == PurgeScope::All { "everything".to_owned() } else { scope.to_string() }
}

/// A table of the edges, and a line on all of them that begins with `what`.
pub(super) fn render(what: &str, purged: &Purged, output: &Output) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for edge in &purged.confirmed {
        let check = purged.checked.iter().find(|check| check.edge == edge.edge);
        rows.push(vec![
            edge.edge.to_string(),
            format!("done in {}", human::milliseconds(edge.elapsed_ms)),
            edge.proof.as_ref().map_or_else(String::new, checked),
            edge.proof.as_ref().map_or_else(String::new, serves),
            check.map_or_else(String::new, answers),
        ]);
    }
    for LaggingEdge { edge, reason, away, .. } in &purged.lagging {
        let state = if *away { "away" } else { "not done" };
        rows.push(vec![
            edge.to_string(),
            format!("{state}: {}", human::line(reason, 200)),
            String::new(),
            String::new(),
            String::new(),
        ]);
    }
    let mut header = vec!["edge", "purge", "checked", "serves", "answers"];
    // Columns without any text.
    for column in (2..header.len()).rev() {
        if rows.iter().all(|row| row[column].is_empty()) {
            header.remove(column);
            for row in &mut rows {
                row.remove(column);
            }
        }
    }
    let done = format!("{}/{}", purged.confirmed.len(), human::count(purged.total() as u64, "edge"));
    let summary = match purged.elapsed_ms {
        0 => format!("{what} on {done}"),
        elapsed => format!("{what} on {done} in {}", human::milliseconds(elapsed)),
    };
    if rows.is_empty() { summary } else { format!("{}\n\n{summary}", table(output, &header, rows)) }
}

/// What an edge has hashed, and what was bad.
fn checked(proof: &PurgeProof) -> String {
    let PurgeProof { files, bytes, bad, replaced, .. } = proof;
    let sound = format!("{}, {}", human::count(*files, "file"), human::bytes(*bytes));
    match bad {
        0 => sound,
        _ => format!("{sound}, {bad} bad, {replaced} replaced"),
    }
}

fn serves(proof: &PurgeProof) -> String {
    proof.serves.as_ref().map_or_else(String::new, |served| match served.digest {
        Some(digest) => short(&digest),
        None => served.status.to_string(),
    })
}

fn answers(check: &PathCheck) -> String {
    match (check.status, &check.digest) {
        (None, _) => "not reached".to_owned(),
        (Some(200), Some(digest)) => short(digest),
        (Some(status), _) => status.to_string(),
    }
}

fn short(digest: &verge_protocol::Digest) -> String {
    digest.to_string().chars().take(DIGEST_DIGITS).collect()
}

impl From<PurgeError> for Failure {
    fn from(error: PurgeError) -> Self {
        match error {
            PurgeError::Client(error @ (ClientError::ConnectionLost { .. } | ClientError::Stalled { .. })) => {
                Self::new(Exit::Unreachable, &error)
                    .hint(Some("it may have been done: run the command again, which does no harm"))
            }
            PurgeError::Client(error) => error.into(),
            PurgeError::Interrupted(_) => {
                Self::new(Exit::Lagging, &error).hint(Some("run the command again: it may be repeated"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_connection_says_that_the_command_may_be_repeated() {
        let lost = || ClientError::ConnectionLost { reason: "connection reset".to_owned() };
        let failure = Failure::from(PurgeError::Client(lost()));
        assert_eq!(failure.exit, Exit::Unreachable);
        assert_eq!(failure.message, "lost the connection to the origin: connection reset");
        assert_eq!(failure.hints, ["it may have been done: run the command again, which does no harm"]);
        let failure = Failure::from(PurgeError::Interrupted(lost()));
        assert_eq!(failure.exit, Exit::Lagging);
        assert_eq!(failure.hints, ["run the command again: it may be repeated"]);
    }
}
