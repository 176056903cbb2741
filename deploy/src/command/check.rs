//! `verge check`.

use serde_json::json;
use verge_protocol::SiteName;

use super::context::Context;
use super::push::{display_path, print_others};
use super::scan_options;
use crate::check::{Refusal, Report, check};
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human;
use crate::project::{Project, ProjectError};
use crate::scan::FallbackSource;

/// How many warnings are printed.
const WARNINGS_SHOWN: usize = 50;

pub(super) fn run(arguments: &cli::Check, context: &Context<'_>) -> Result<Exit, Failure> {
    let Context { environment, output, .. } = *context;
    let project = Project::find(arguments.dir.as_deref(), &environment.current_dir)?;
    let dir = project.build_dir(arguments.scan.force)?;
    let site = match project.site(arguments.site.site.as_ref()) {
        Ok(site) => Some(site),
        // A push needs one; what is wrong with the build does not depend on it.
        Err(ProjectError::NoSite) => None,
        Err(error) => return Err(error.into()),
    };
    let shown = display_path(&dir.path, &environment.current_dir);
    let reason = dir.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    let purpose = site.as_ref().map_or_else(String::new, |site| format!(" for {site}"));
    output.info(format_args!("checking {shown}{purpose}{reason}"));
    print_others(&dir, context);
    let options = scan_options::of(&arguments.scan, &project, &dir.path, environment)?;
    let name = site.clone().unwrap_or_else(unnamed);
    let report = check(&dir.path, &name, options, environment.data.as_deref());
    if site.is_none() {
        output.info("  the project names no site: `verge push` needs --site, or `site` in verge.toml");
    }
    if output.options().json {
        let (problems, hints) = match &report.refusal {
            Some(Refusal { problems, hints }) => (&problems[..], &hints[..]),
            None => (&[][..], &[][..]),
        };
        output.result(json!({
            "dir": dir.path, "site": site, "files": report.files, "bytes": report.bytes,
            "single_page": report.single_page, "redirects": report.redirects, "headers": report.headers,
            "passwords": report.passwords, "problems": problems, "hints": hints, "warnings": report.warnings,
        }))?;
        let is_failed = report.refusal.is_some() || (arguments.strict && !report.warnings.is_empty());
        return Ok(if is_failed { Exit::Refused } else { Exit::Success });
    }
    print(&report, context);
    let warnings = human::count(report.warnings.len() as u64, "warning");
    if let Some(Refusal { problems: details, hints }) = report.refusal {
        let message = "the directory cannot be pushed".to_owned();
        return Err(Failure { exit: Exit::Refused, message, details, hints });
    }
    if arguments.strict && !report.warnings.is_empty() {
        let (details, hints) = (Vec::new(), Vec::new());
        return Err(Failure { exit: Exit::Refused, message: warnings, details, hints });
    }
    output.result(match report.warnings.len() {
        0 => "nothing is wrong".to_owned(),
        _ => format!("it can be pushed, with {warnings}"),
    })?;
    Ok(Exit::Success)
}

/// The name of a site that has none.
fn unnamed() -> SiteName {
    "site".parse().expect("a name of a site")
}

fn print(report: &Report, context: &Context<'_>) {
    let output = context.output;
    output.info(format_args!("  {}, {}", human::count(report.files, "file"), human::bytes(report.bytes)));
    match (report.single_page, &report.single_page_source) {
        // A push says nothing of what it was told.
        (Some(page), FallbackSource::Configured | FallbackSource::Redirects) => {
            output.info(format_args!("  single-page app: paths that match no file serve {page}"));
        }
        (page, source) => crate::push::print_single_page(page, source, output),
    }
    let rules =
        [(report.redirects, "redirect rule"), (report.headers, "header rule"), (report.passwords, "password rule")];
    let rules: Vec<String> =
        rules.into_iter().filter(|(count, _)| *count > 0).map(|(count, thing)| human::count(count, thing)).collect();
    if !rules.is_empty() {
        output.info(format_args!("  {}", rules.join(", ")));
    }
    crate::push::print_skipped(&report.skipped, output);
    for warning in report.warnings.iter().take(WARNINGS_SHOWN) {
        output.warn(human::line(warning, 300));
    }
    let more = report.warnings.len().saturating_sub(WARNINGS_SHOWN);
    if more > 0 {
        output.warn(format_args!("and {} (all of them: --json)", human::count(more as u64, "more warning")));
    }
}
