//! The site that `verge up` pushes a project to: not that of another project, unless a person says so.

use verge_protocol::SiteName;

use crate::client::Client;
use crate::command::context::Context;
use crate::command::linking::{self, SiteOwnerUnknown};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::{NamedSite, Project, ProjectError, SiteSource};
use crate::up::SiteProjects;

/// The site of the demo, and of a directory without a site name.
pub(super) const DEMO_SITE: &str = "demo";

/// A site that another project was pushed to.
#[derive(Debug, thiserror::Error)]
#[error("site {site} may be another project's: it was last pushed from {project}")]
struct SiteOfOtherProject {
    site: SiteName,
    project: String,
}

/// Whether a site is this project's, as far as is known before the origin is asked.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// This project, or a person has named the site.
    This,
    /// Not known: only `package.json` names the site.
    Unknown,
    /// The project in this directory.
    Another(String),
}

fn owner(source: Option<&SiteSource>, last: Option<&str>, project: &str) -> Owner {
    match (source, last) {
        // A directory without a name replaces the demo, which is no project.
        (Some(SiteSource::Argument | SiteSource::Settings), _) | (None, None) => Owner::This,
        (Some(SiteSource::Package(_)), None) => Owner::Unknown,
        (_, Some(last)) if last == project => Owner::This,
        (_, Some(last)) => Owner::Another(last.to_owned()),
    }
}

/// The site of `project`, which is in the directory `dir`. If it has releases that are, or may be, those of another project, a person decides,
/// or it is refused.
///
/// The project is not linked: that would let `verge push` replace a site of the same name at another origin without a question.
pub(super) async fn choose(
    project: &Project,
    dir: &str,
    given: Option<&SiteName>,
    projects: &SiteProjects,
    client: &Client,
    context: &Context<'_>,
) -> Result<SiteName, Failure> {
    let (site, source) = match project.named_site(given) {
        Err(ProjectError::NoSite) => (DEMO_SITE.parse().expect("the name of the demo site is valid"), None),
        named => {
            let NamedSite { site, source } = named?;
            (site, Some(source))
        }
    };
    let error: Box<dyn std::error::Error> = match owner(source.as_ref(), projects.get(&site), dir) {
        Owner::This => return Ok(site),
        Owner::Unknown => Box::new(SiteOwnerUnknown(site.clone())),
        Owner::Another(project) => Box::new(SiteOfOtherProject { site: site.clone(), project }),
    };
    let Some(newest) = linking::newest_release(&site, client, context).await? else { return Ok(site) };
    let question = format!("{error}.\nIt has {newest}. Push to it?");
    let refused = Failure::new(Exit::Refused, &*error);
    // In a thread of its own, so that a signal ends the program while it waits.
    let output = context.output.clone();
    let answer = tokio::task::spawn_blocking(move || output.confirm(question)).await;
    match answer.expect("the question does not panic") {
        Some(true) => Ok(site),
        Some(false) => Err(refused.hint(Some(linking::OTHER_NAME))),
        None => Err(refused.hint(Some(format!("to replace it, use --site {site}"))).hint(Some(linking::OTHER_NAME))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_is_anothers_unless_named_by_a_person_or_pushed_from_the_same_directory() {
        let package = SiteSource::Package("/a/package.json".into());
        let another = || Owner::Another("/b".to_owned());
        for (source, last, expected) in [
            (Some(&SiteSource::Argument), Some("/b"), Owner::This),
            (Some(&SiteSource::Settings), Some("/b"), Owner::This),
            (Some(&package), Some("/a"), Owner::This),
            (Some(&package), Some("/b"), another()),
            (Some(&package), None, Owner::Unknown),
            (None, Some("/a"), Owner::This),
            (None, Some("/b"), another()),
            (None, None, Owner::This),
        ] {
            assert_eq!(owner(source, last, "/a"), expected, "{source:?} {last:?}");
        }
    }
}
