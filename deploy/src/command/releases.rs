//! `verge releases`.

use serde::Deserialize as _;
use serde_json::Value;
use verge_protocol::Timestamp;
use verge_protocol::api::Release;

use super::Context;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};
use crate::project::Project;

pub(super) async fn run(arguments: &cli::Site, context: &Context<'_>) -> Result<Exit, Failure> {
    let site = Project::find(None, &context.environment.current_dir)?.site(arguments.site.as_ref())?;
    let client = context.client()?;
    let answer: Value = client.get(&format!("/v1/sites/{site}/releases")).await?;
    context.answer(&answer, || {
        let releases = Vec::<Release>::deserialize(&answer)?;
        Ok(if releases.is_empty() {
            format!("{site} has no release yet")
        } else {
            text(&releases, context.environment.now, context.output)
        })
    })
}

fn text(releases: &[Release], now: Timestamp, output: &Output) -> String {
    let optional =
        |text: &Option<String>, most| text.as_deref().map_or_else(String::new, |text| human::line(text, most));
    let row = |release: &Release| {
        vec![
            release.number.to_string(),
            human::age(release.created.age(now)),
            human::number(release.files),
            human::bytes(release.bytes),
            release
                .provenance
                .commit
                .as_deref()
                .map_or_else(String::new, |commit| human::line(commit, usize::MAX).chars().take(9).collect()),
            optional(&release.provenance.author, 24),
            optional(&release.provenance.message, 60),
            release.channels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        ]
    };
    let head = ["release", "made", "files", "size", "commit", "author", "message", "on"];
    table(output, &head, releases.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use verge_protocol::api::Provenance;
    use verge_protocol::{Digest, ReleaseNumber};

    use super::*;
    use crate::output::Manner;

    fn release(number: u64, made: u64, provenance: Provenance, channels: &[&str]) -> Release {
        Release {
            number: ReleaseNumber(number),
            manifest: Digest::of(b"m"),
            files: 1200 * number,
            bytes: 4_200_000,
            created: Timestamp(made),
            provenance,
            channels: channels.iter().map(|channel| channel.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn the_table_shows_what_tells_releases_apart() {
        let told = Provenance {
            author: Some("Ann".into()),
            message: Some("fix the \u{1b}[31mheader\n\nand more".into()),
            commit: Some("0123456789abcdef".into()),
        };
        let releases = [release(2, 900_000, told, &["live", "pr-1"]), release(1, 0, Provenance::default(), &[])];
        let output = Output::new(std::io::sink(), std::io::sink(), Manner::default());
        insta::assert_snapshot!(text(&releases, Timestamp(1_000_000), &output));
    }
}
