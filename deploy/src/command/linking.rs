//! Which site a project has: asked before another project's site is replaced, and written down by the first push.

use verge_protocol::SiteName;
use verge_protocol::api::{Release, Site};

use super::context::Context;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human;
use crate::project::{Link, NamedSite, Project, SiteSource};
use crate::upload::RetryPolicy;

/// A site that exists, and that nothing but the name in a `package.json` connects with this project.
#[derive(Debug, thiserror::Error)]
#[error("site {0} may be another project's: only the name in package.json says that it is this one's")]
pub(super) struct SiteOwnerUnknown(pub(super) SiteName);

/// Makes sure that the site is this project's, if only `package.json` names it: templates name many projects alike. It is if it has no
/// release yet. Otherwise a person decides, or the push is refused. Returns whether a person said so.
pub(super) async fn confirm_site(named: &NamedSite, client: &Client, context: &Context<'_>) -> Result<bool, Failure> {
    let NamedSite { site, source: SiteSource::Package(_) } = named else { return Ok(false) };
    let Some(newest) = newest_release(site, client, context).await? else { return Ok(false) };
    let error = SiteOwnerUnknown(site.clone());
    let question = format!("{error}.\nIt has {newest}. Push to it, and link this project to it?");
    match context.output.confirm(question) {
        Some(true) => Ok(true),
        Some(false) => Err(Failure::new(Exit::Refused, &error).hint(Some(OTHER_NAME))),
        None => Err(Failure::new(Exit::Refused, &error).hint(Some(named_hint(site))).hint(Some(OTHER_NAME))),
    }
}

/// The newest release of a site and where it is, as a phrase; `None`: there is no such site, or it has no release.
pub(super) async fn newest_release(
    site: &SiteName,
    client: &Client,
    context: &Context<'_>,
) -> Result<Option<String>, Failure> {
    let path = format!("/v1/sites/{site}");
    let known = RetryPolicy::default().run_first(context.output, async || client.get::<Site>(&path).await).await;
    let known = match known {
        Ok(known) => known,
        Err(error) if error.code() == Some("unknown_site") => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let live = known.channels.iter().find(|channel| channel.name.is_live()).or(known.channels.first());
    let newest = if let Some(live) = live {
        format!("{} on {}", live.release, live.name)
    } else {
        // Its previews have expired.
        let releases: Vec<Release> = client.get(&format!("{path}/releases")).await?;
        let Some(newest) = releases.first() else { return Ok(None) };
        newest.number.to_string()
    };
    Ok(Some(format!("{newest}, at {}", human::line(&known.url, 300))))
}

/// The site that a command changes. If only `package.json` names it, a person decides whether it is this project's, or the command is refused.
pub(super) fn site_to_change(
    project: &Project,
    given: Option<&SiteName>,
    context: &Context<'_>,
) -> Result<SiteName, Failure> {
    let NamedSite { site, source } = project.named_site(given)?;
    if matches!(source, SiteSource::Package(_)) {
        let error = SiteOwnerUnknown(site.clone());
        let refused = Failure::new(Exit::Refused, &error).hint(Some(named_hint(&site)));
        if context.output.confirm(format!("{error}. Change it?")) != Some(true) {
            return Err(refused);
        }
    }
    Ok(site)
}

fn named_hint(site: &SiteName) -> String {
    format!("if it is, use --site {site}, or commit a verge.toml with `site = \"{site}\"`, as the first push writes it")
}

pub(super) const OTHER_NAME: &str = "for a new site, use --site with another name";

/// Asks whether the project may be linked. `is_confirmed`: that was part of another question. Without a person it may if the project itself
/// names the site. A `--site` may be meant for one push, and a link to it would pass over the question of the next.
pub(super) fn may_link(link: &Link, named: &NamedSite, is_confirmed: bool, context: &Context<'_>) -> bool {
    let by_default = !matches!(named.source, SiteSource::Argument);
    let options = context.output.options();
    if is_confirmed || options.quiet || options.json {
        return is_confirmed || by_default;
    }
    let question = format!("Write {link} to {}, so that this project stays linked to its site?", file(link, context));
    context.output.confirm_unless_no(question).unwrap_or(by_default)
}

/// Links the project, and says so. That it cannot be written does not fail a push; it matters if the next one will ask again.
pub(super) fn write(link: &Link, named: &NamedSite, context: &Context<'_>) {
    let output = context.output;
    match link.write() {
        Ok(()) => output.notice(format_args!(
            "  wrote {link} to {}: commit it, so that the project stays linked",
            file(link, context)
        )),
        Err(error) => {
            let cause = verge_protocol::error_chain(&error);
            let text = format!("the project is not linked to {}: {cause}", named.site);
            if matches!(named.source, SiteSource::Package(_)) {
                output.warn(text);
                output.hint(format_args!("write {link} to verge.toml, or use --site {} from now on", named.site));
            } else {
                output.info(format_args!("  {text}"));
            }
        }
    }
}

/// The path of the file, as a person would write it.
fn file(link: &Link, context: &Context<'_>) -> String {
    let inside = link.file.strip_prefix(&context.environment.current_dir);
    inside.unwrap_or(&link.file).display().to_string()
}
