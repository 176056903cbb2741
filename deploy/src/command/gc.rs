//! `verge gc`.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::Value;
use verge_protocol::SiteName;
use verge_protocol::api::Collected;

use super::context::Context;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human;

/// How many releases of a site are named.
const SHOWN: usize = 20;

pub(super) async fn run(arguments: &cli::Gc, context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    let mut answer: Value = if arguments.dry_run {
        client.get("/v1/collection").await?
    } else {
        // It reads all manifests, which may take a while.
        context.output.info("deleting what is not needed any more…");
        client.post("/v1/collection", &()).await?
    };
    answer["dry_run"] = arguments.dry_run.into();
    if answer["is_running"] == true {
        context.output.info("this takes longer: the origin continues, and its log says what it has deleted");
    }
    context.print_result(&answer, || Ok(render(&Collected::deserialize(&answer)?, arguments.dry_run)))
}

fn render(collected: &Collected, is_planned: bool) -> String {
    let Collected { releases, builds, blobs, bytes, is_running } = collected;
    if *collected == Collected::default() {
        return "nothing to delete".to_owned();
    }
    if *is_running {
        return "deleting".to_owned();
    }
    let mut by_site: BTreeMap<&SiteName, Vec<String>> = BTreeMap::new();
    for ended in releases {
        by_site.entry(&ended.site).or_default().push(ended.release.to_string());
    }
    let mut lines: Vec<String> = by_site.iter().map(|(site, numbers)| format!("{site}: {}", listed(numbers))).collect();
    let counts = [
        human::count(releases.len() as u64, "release"),
        human::count(*builds, "unused build"),
        format!("{} ({})", human::count(*blobs, "blob"), human::bytes(*bytes)),
    ];
    let verb = if is_planned { "would delete" } else { "deleted" };
    lines.push(format!("{verb} {}", counts.join(", ")));
    lines.join("\n")
}

/// The first ones, and how many more there are.
fn listed(numbers: &[String]) -> String {
    let shown = numbers[..numbers.len().min(SHOWN)].join(", ");
    match numbers.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::ReleaseNumber;
    use verge_protocol::api::EndedRelease;

    use super::*;

    #[test]
    fn releases_are_named_by_site_and_the_rest_is_counted() {
        let ended = |site: &str, release| EndedRelease { site: site.parse().unwrap(), release: ReleaseNumber(release) };
        let mut releases: Vec<EndedRelease> = (1..=23).map(|number| ended("demo", number)).collect();
        releases.push(ended("blog", 7));
        let collected = Collected { releases, builds: 1, blobs: 1_200, bytes: 4_200_000, is_running: false };
        insta::assert_snapshot!(format!("{}\n\n{}", render(&collected, true), render(&Collected::default(), false)));
    }
}
