//! `verge erase`.

use serde::Serialize;
use verge_protocol::SiteName;
use verge_protocol::api::{ContentInUse, EraseRequest, EraseTarget, ErasurePlan};

use super::context::Context;
use super::{linking, provenance, purge};
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, human};
use crate::project::Project;
use crate::purge::{PurgeError, Purged, follow};

/// How many paths are listed before the question, of those that are erased and of those that stay.
const PATHS_SHOWN: usize = 20;

/// `verge erase --json`. Stable: fields are added, never renamed.
#[derive(Serialize)]
struct Line<'a> {
    site: &'a SiteName,
    erased: &'a ErasurePlan,
    #[serde(flatten)]
    purged: &'a Purged,
}

pub(super) async fn run(arguments: &cli::Erase, context: &Context<'_>) -> Result<Exit, Failure> {
    let output = context.output;
    let environment = context.environment;
    let project = Project::find(None, &environment.current_dir)?;
    let site = linking::site_to_change(&project, arguments.site.site.as_ref(), context)?;
    let client = context.client()?;
    let author = provenance::author(arguments.author.as_ref(), &environment.current_dir, environment.user.as_deref());
    let (author, message) = (author.await, arguments.message.clone());
    let request = EraseRequest { target: arguments.target(), author, message };
    let plan = client.plan_erasure(&site, &request).await?;
    let count = human::count(plan.contents.len() as u64, "content");
    show(&plan, output);
    if !arguments.yes {
        context.confirm(&format!(
            "{count} of {site} will be removed from the origin and every edge for good, and cannot be pushed again"
        ))?;
    }
    let events = client.erase(&site, &request).await.map_err(PurgeError::Client)?;
    let purged = follow(events, output, &format!("erasing {count} of {site}")).await?;
    if output.options().json {
        let line = Line { site: &site, erased: &plan, purged: &purged };
        output.result(serde_json::to_string(&line).expect("the summary can be serialized"))?;
    } else if !output.options().quiet {
        let what = match &request.target {
            EraseTarget::Path(path) => format!("{path} of {site} is erased"),
            EraseTarget::Release(release) => format!("{release} of {site} is erased"),
        };
        output.result(purge::render(&what, &purged, output))?;
    }
    if purged.exit() == Exit::Lagging {
        output.hint("edges that have not done it do so when they are back; see `verge edges`");
    }
    Ok(purged.exit())
}

/// Shows what is removed and what stays.
fn show(plan: &ErasurePlan, output: &Output) {
    let mut paths = plan
        .contents
        .iter()
        .flat_map(|content| content.paths.iter().map(move |path| (path, content.size, &content.releases)));
    for (path, size, releases) in paths.by_ref().take(PATHS_SHOWN) {
        let releases: Vec<String> = releases.iter().map(ToString::to_string).collect();
        output.info(format_args!("{path}  {}  in {}", human::bytes(size), human::line(&releases.join(", "), 100)));
    }
    match paths.count() {
        0 => {}
        more => output.info(format_args!("and {more} more")),
    }
    for content in plan.in_use.iter().take(PATHS_SHOWN) {
        let ContentInUse { size, channel, path, .. } = content;
        output.info(format_args!("stays: {} that channel {channel} serves at {path}", human::bytes(*size)));
    }
    match plan.in_use.len().saturating_sub(PATHS_SHOWN) {
        0 => {}
        more => output.info(format_args!("and {more} more that channels serve at other paths")),
    }
    let removed = human::bytes(plan.removed_bytes);
    match plan.kept_bytes {
        0 => output.info(format_args!("removes {removed}, encodings included")),
        kept => output.info(format_args!(
            "removes {removed}, encodings included; {} stay, since other files or sites have them",
            human::bytes(kept)
        )),
    }
}
