//! `verge releases`.

use serde_json::Value;
use verge_protocol::Timestamp;
use verge_protocol::api::Release;

use super::context::Context;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};
use crate::project::Project;

pub(super) async fn run(arguments: &cli::SiteArg, context: &Context<'_>) -> Result<Exit, Failure> {
    let site = Project::find(None, &context.environment.current_dir)?.site(arguments.site.as_ref())?;
    let client = context.client()?;
    let answer: Value = client.get(&format!("/v1/sites/{site}/releases")).await?;
    context.print_list(&answer, format_args!("{site} has no releases yet"), |releases: &[Release]| {
        render(releases, context.environment.now, context.output)
    })
}

fn render(releases: &[Release], now: Timestamp, output: &Output) -> String {
    let optional = |text: &Option<String>, max| text.as_deref().map_or_else(String::new, |text| human::line(text, max));
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
            optional(&release.url, usize::MAX),
        ]
    };
    let header = ["release", "created", "files", "size", "commit", "author", "message", "channels", "url"];
    table(output, &header, releases.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use verge_protocol::api::Provenance;
    use verge_protocol::{Digest, ReleaseNumber};

    use super::*;
    use crate::output::OutputOptions;

    fn release(number: u64, created: u64, provenance: Provenance, channels: &[&str]) -> Release {
        Release {
            number: ReleaseNumber(number),
            manifest: Digest::of(b"m"),
            files: 1200 * number,
            bytes: 4_200_000,
            created: Timestamp(created),
            provenance,
            channels: channels.iter().map(|channel| channel.parse().unwrap()).collect(),
            url: Some(format!("http://{number:016x}--demo.localhost:8080/")),
        }
    }

    #[test]
    fn releases_are_shown_with_provenance_and_channels() {
        let provenance = Provenance {
            author: Some("Ann".into()),
            message: Some("fix the \u{1b}[31mheader\n\nand more".into()),
            commit: Some("0123456789abcdef".into()),
        };
        let releases = [release(2, 900_000, provenance, &["live", "pr-1"]), release(1, 0, Provenance::default(), &[])];
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        insta::assert_snapshot!(render(&releases, Timestamp(1_000_000), &output));
    }
}
