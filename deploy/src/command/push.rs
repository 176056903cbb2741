//! `verge push`: finds out what is meant, pushes it, and tells what came of it.

mod provenance;
mod summary;

use std::path::{Path, PathBuf};

use super::Context;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::Project;
use crate::push::Push;
use crate::scan::Options;
use crate::upload::Patience;

pub(super) async fn run(arguments: &cli::Push, context: &Context<'_>) -> Result<Exit, Failure> {
    let Context { environment, output, .. } = *context;
    let project = Project::find(arguments.dir.as_deref(), &environment.current_dir)?;
    let folder = project.folder()?;
    let site = project.site(arguments.site.site.as_ref())?;
    let client = context.client()?;
    let shown = shown(&folder.path, &environment.current_dir);
    match folder.because {
        Some(because) => output.say(format_args!("pushing {shown} to {site} ({because})")),
        None => output.say(format_args!("pushing {shown} to {site}")),
    }
    let push = Push {
        client: &client,
        site: &site,
        channel: &arguments.channel.channel,
        folder: &folder.path,
        options: options(arguments, project.settings.spa),
        provenance: provenance::find(arguments, &folder.path, environment.user.as_deref()).await,
        wait: !arguments.channel.no_wait,
        patience: Patience::default(),
    };
    let pushed = push.run(output).await?;
    pushed.followed.warn(output);
    let manner = output.manner();
    if manner.json {
        output.result(summary::json(&push, &pushed))?;
    } else {
        for notice in &pushed.followed.released.notices {
            output.warn(crate::output::human::line(notice, 300));
        }
        if manner.quiet {
            output.result(&pushed.followed.released.url)?;
        } else {
            output.say("");
            output.result(summary::text(&push, &pushed, &output.results_style()))?;
        }
    }
    Ok(pushed.followed.exit())
}

fn options(arguments: &cli::Push, set: Option<bool>) -> Options {
    let single_page = match (arguments.spa, arguments.no_spa) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        (false, false) => set,
    };
    Options {
        allow_secrets: arguments.allow_secrets,
        ignore_rules: arguments.ignore_rules,
        force: arguments.force,
        single_page,
    }
}

/// A path as a person would type it from `current`.
fn shown(path: &Path, current: &Path) -> String {
    match path.strip_prefix(current) {
        Ok(inside) if inside.as_os_str().is_empty() || inside == Path::new(".") => "this folder".to_owned(),
        Ok(inside) => inside.components().collect::<PathBuf>().display().to_string(),
        Err(_) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_they_would_be_typed() {
        let current = Path::new("/home/ada/app");
        for (path, text) in [("dist", "dist"), ("./dist/", "dist"), (".", "this folder"), ("/srv/x", "/srv/x")] {
            assert_eq!(shown(&current.join(path), current), text);
        }
    }
}
