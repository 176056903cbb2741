//! `verge push`.

mod render;
mod target;

use std::path::{Path, PathBuf};

use super::context::Context;
use super::linking;
use super::provenance;
use super::scan_options;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human;
use crate::project::{BuildDir, Link, NamedSite, Project};
use crate::push::Push;
use crate::upload::RetryPolicy;

pub(super) async fn run(arguments: &cli::Push, context: &Context<'_>) -> Result<Exit, Failure> {
    let Context { environment, output, .. } = *context;
    let project = Project::find(arguments.dir.as_deref(), &environment.current_dir)?;
    let dir = project.build_dir(arguments.scan.force)?;
    let named = project.named_site(arguments.site.site.as_ref())?;
    let client = context.client()?;
    let shown = display_path(&dir.path, &environment.current_dir);
    let target = target::find(arguments, &project.settings, environment, &dir.path).await?;
    let is_confirmed = linking::confirm_site(&named, &client, context).await?;
    // A directory that is pushed by force once, such as one of sources, is not the project's from now on.
    let link = project.link(&named, &dir.path);
    let link = link.map(|link| Link { dir: link.dir.filter(|_| !arguments.scan.force), ..link });
    let link = link.filter(|link| linking::may_link(link, &named, is_confirmed, context));
    let NamedSite { site, .. } = &named;
    match &dir.reason {
        Some(reason) => output.info(format_args!("pushing {shown} to {site} ({reason})")),
        None => output.info(format_args!("pushing {shown} to {site}")),
    }
    print_others(&dir, context);
    match &target.source {
        Some(source) => output.info(format_args!("  channel {} (named after {source})", target.channel)),
        None if !target.channel.is_live() => output.info(format_args!("  channel {}", target.channel)),
        None => {}
    }
    let push = Push {
        client: &client,
        site,
        channel: &target.channel,
        lifetime: target.lifetime,
        dir: &dir.path,
        options: scan_options::of(&arguments.scan, &project, &dir.path, environment)?,
        provenance: provenance::find(arguments, &dir.path, environment.user.as_deref()).await,
        canary: arguments.canary.plan(project.settings.canary.filter(|_| target.channel.is_live())),
        wait: arguments.channel.wait.choice(),
        retry: RetryPolicy::default(),
    };
    let mut pushed = push.run(output).await?;
    if let Some(link) = link {
        linking::write(&link, &named, context);
    }
    if let Some(data) = &environment.data {
        // Only `verge check` reads it, which says less without it.
        let _ = pushed.memory.write(data, &dir.path);
    }
    let options = output.options();
    pushed.rollout.ask_edges(&client, site, &target.channel, context.limit_of_questions()).await;
    if push.canary.is_some() && pushed.is_new && !pushed.rollout.was_tried {
        output.warn("the release went live without a canary: that needs an earlier release, and an edge more than the canary edges");
    }
    pushed.rollout.warn(output, environment.now);
    if pushed.dead_links > 0 {
        let warnings = human::count(pushed.dead_links, "warning");
        let dir = arguments.dir.as_ref().map_or_else(String::new, |dir| format!(" {}", dir.display()));
        output.warn(format_args!("{warnings} about links: run `verge check{dir}`"));
    }
    if options.json {
        output.result(render::json(&push, &pushed))?;
    } else {
        for warning in &pushed.rollout.released.warnings {
            output.warn(human::line(warning, 300));
        }
        if options.quiet {
            output.result(&pushed.rollout.released.url)?;
        } else {
            output.info("");
            output.result(render::text(&push, &pushed, environment.now, output))?;
        }
    }
    Ok(pushed.rollout.exit())
}

/// Names the output directories that were not chosen.
pub(super) fn print_others(dir: &BuildDir, context: &Context<'_>) {
    let current = &context.environment.current_dir;
    let others: Vec<String> = dir.others.iter().map(|other| display_path(other, current)).collect();
    if !others.is_empty() {
        context.output.info(format_args!("  also found {}: to push another, name it", others.join(", ")));
    }
}

/// A path relative to `current`, if it is inside.
pub(super) fn display_path(path: &Path, current: &Path) -> String {
    match path.strip_prefix(current) {
        Ok(inside) if inside.as_os_str().is_empty() || inside == Path::new(".") => "the current directory".to_owned(),
        Ok(inside) => inside.components().collect::<PathBuf>().display().to_string(),
        Err(_) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_relative_to_current_directory() {
        let current = Path::new("/home/ada/app");
        for (path, text) in
            [("dist", "dist"), ("./dist/", "dist"), (".", "the current directory"), ("/srv/x", "/srv/x")]
        {
            assert_eq!(display_path(&current.join(path), current), text);
        }
    }
}
