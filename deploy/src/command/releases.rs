//! `verge releases`.

use serde_json::{Value, json};
use verge_protocol::api::Release;
use verge_protocol::{ReleaseNumber, SiteName, Timestamp};

use super::context::Context;
use super::{linking, provenance};
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human, table};
use crate::project::Project;

pub(super) async fn run(
    site: &cli::SiteArg,
    command: Option<&cli::Releases>,
    context: &Context<'_>,
) -> Result<Exit, Failure> {
    let project = Project::find(None, &context.environment.current_dir)?;
    if let Some(cli::Releases::Delete { releases, site, yes }) = command {
        let site = linking::site_to_change(&project, site.site.as_ref(), context)?;
        return delete(&site, releases, *yes, context).await;
    }
    let site = project.site(site.site.as_ref())?;
    let client = context.client()?;
    let answer: Value = client.get(&format!("/v1/sites/{site}/releases")).await?;
    context.print_list(&answer, format_args!("{site} has no releases yet"), |releases: &[Release]| {
        render(releases, context.environment.now, context.output)
    })
}

async fn delete(
    site: &SiteName,
    releases: &[ReleaseNumber],
    yes: bool,
    context: &Context<'_>,
) -> Result<Exit, Failure> {
    let client = context.client()?;
    let names = releases.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if !yes {
        context.confirm(&format!("no channel of {site} can be moved back to {names}"))?;
    }
    let author = provenance::author_of(context.environment).await;
    for release in releases {
        client.delete_release(site, *release, author.as_deref()).await?;
    }
    let answer = json!({ "site": site, "deleted": releases });
    context.print_result(&answer, || {
        Ok(format!("deleted {names} of {site}; the next `verge gc` frees what only they needed"))
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
    use verge_protocol::Digest;
    use verge_protocol::api::Provenance;

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
