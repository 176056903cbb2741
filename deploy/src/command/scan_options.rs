//! How a directory is scanned: by the flags, the settings and the environment.

use std::path::Path;

use crate::cli::ScanArgs;
use crate::environment::Environment;
use crate::project::{Project, ProjectError};
use crate::scan::Options;

/// How `dir` of `project` is scanned.
pub(super) fn of(
    arguments: &ScanArgs,
    project: &Project,
    dir: &Path,
    environment: &Environment,
) -> Result<Options, ProjectError> {
    let settings = &project.settings;
    Ok(Options {
        allow_secrets: arguments.allow_secrets,
        ignore_rules: arguments.ignore_rules,
        force: arguments.force,
        single_page: arguments.single_page().or(settings.spa),
        legacy_service_workers: settings.legacy_service_workers.clone(),
        html: settings.html,
        netlify_toml: project.netlify_toml(),
        protection: project.protection(environment.users.as_ref(), dir)?,
        ..Options::default()
    })
}
