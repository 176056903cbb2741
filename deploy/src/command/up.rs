//! `verge up`: starts a cluster, pushes a site to it, says how to go on, and waits to be told to stop.

use std::convert::Infallible;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::pin::pin;

use verge_daemon::telemetry::{self, LogFormat};
use verge_protocol::api::{Provenance, Site};
use verge_protocol::{ChannelName, SiteName};

use super::Context;
use crate::cli;
use crate::client::{Address, Token};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::profile::{self, Profile};
use crate::project::{Project, ProjectError};
use crate::push::Push;
use crate::scan::Options;
use crate::up::{Cluster, Demo, Plan, Ports, Told};
use crate::upload::Patience;

/// The site of the demo, and of a folder that has no name.
const DEMO: &str = "demo";

pub(super) async fn run(arguments: &cli::Up, context: &Context<'_>) -> Result<Exit, Failure> {
    telemetry::init(LogFormat::Human, &arguments.log)
        .map_err(|error| Failure::new(Exit::Usage, &error).hint(Some("try --log info")))?;
    // Listened for from the start, before there is anything: a signal must not leave half of it behind.
    let mut ended = pin!(verge_daemon::run::terminated_or_closed());
    tokio::select! {
        biased;
        signal = &mut ended => return Ok(stopped(signal?, context)),
        // Ready at once: being polled is what makes it listen.
        () = ready(()) => {}
    }
    let temporary = arguments.temp.then(tempfile::tempdir).transpose()?;
    let data = match &temporary {
        Some(folder) => folder.path().to_owned(),
        None => data(arguments, context.environment)?,
    };
    let ports = Ports::new(arguments.port).map_err(|error| Failure::new(Exit::Usage, &error))?;
    let plan = Plan { edges: arguments.edges, ports, data, temporary: arguments.temp };
    let mut starting = pin!(Cluster::start(&plan));
    let cluster = tokio::select! {
        cluster = &mut starting => cluster?,
        signal = &mut ended => {
            if let Ok(cluster) = starting.await {
                cluster.shutdown().await;
            }
            return Ok(stopped(signal?, context));
        }
    };
    let profile_before = context.environment.profile.as_deref().and_then(|path| profile::load(path).ok().flatten());
    let outcome = tokio::select! {
        served = serve(arguments, context, &plan, &cluster) => served.map(|never| match never {}),
        signal = &mut ended => signal.map(|signal| stopped(signal, context)).map_err(Failure::from),
    };
    give_back_profile(profile_before, &plan, &cluster, context.environment);
    cluster.shutdown().await;
    outcome
}

fn stopped(signal: &str, context: &Context<'_>) -> Exit {
    context.output.say(format_args!("{signal}: stopping"));
    Exit::Success
}

async fn serve(
    arguments: &cli::Up,
    context: &Context<'_>,
    plan: &Plan,
    cluster: &Cluster,
) -> Result<Infallible, Failure> {
    cluster.caught_up().await?;
    let profile_saved = save_profile(cluster, context.environment)?;
    push(arguments, context, cluster).await?;
    let sites: Vec<Site> = cluster.client().sites().await?;
    cluster.named(&sites).await?;
    let told = Told::of(cluster, &sites);
    if context.output.manner().json {
        context.output.result(serde_json::to_string(&told)?)?;
    } else {
        let style = context.output.results_style();
        context.output.result(told.text(plan, &context.environment.program, profile_saved, &style))?;
    }
    std::future::pending().await
}

/// Where everything is kept.
fn data(arguments: &cli::Up, environment: &Environment) -> Result<PathBuf, Failure> {
    let wanted = arguments.data.as_ref().map(|data| environment.current_dir.join(data));
    wanted.or_else(|| environment.data.clone()).ok_or_else(|| Failure {
        exit: Exit::Usage,
        message: "there is no home to keep data in".to_owned(),
        details: Vec::new(),
        hints: vec!["name a folder with --data DIR, or throw all away at the end with --temp".to_owned()],
    })
}

/// Lets `verge push` in another terminal find this origin. Whether it was saved: not without a home, and not over the profile of
/// an origin elsewhere, which may hold the only copy of its token.
fn save_profile(cluster: &Cluster, environment: &Environment) -> Result<bool, Failure> {
    let Some(path) = &environment.profile else { return Ok(false) };
    let elsewhere = |known: &Profile| known.origin.parse::<Address>().is_ok_and(|address| !address.is_loopback());
    if profile::load(path).ok().flatten().as_ref().is_some_and(elsewhere) {
        return Ok(false);
    }
    let profile = Profile {
        origin: cluster.client().origin().to_string(),
        token: Token::new(cluster.token().expose()),
        node: Some(format!("http://{}", cluster.dns_private())),
    };
    profile::save(&profile, path).map_err(|error| Failure::new(Exit::Failure, &error))?;
    Ok(true)
}

/// Puts the profile back as it was, if it still names this cluster: another `verge up` may be running, and its push in another
/// terminal must go on finding it. Without an earlier one it stays for the next start, unless everything here was temporary.
fn give_back_profile(before: Option<Profile>, plan: &Plan, cluster: &Cluster, environment: &Environment) {
    let Some(path) = &environment.profile else { return };
    let ours = cluster.client().origin().to_string();
    if profile::load(path).ok().flatten().is_none_or(|now| now.origin != ours) {
        return;
    }
    let given_back = match before {
        Some(before) if before.origin != ours => profile::save(&before, path).is_ok(),
        None if plan.temporary => std::fs::remove_file(path).is_ok(),
        _ => true,
    };
    if !given_back {
        tracing::warn!(profile = %path.display(), "the profile could not be put back");
    }
}

/// Pushes the folder that was named; without one the demo, unless something was pushed there before.
async fn push(arguments: &cli::Up, context: &Context<'_>, cluster: &Cluster) -> Result<(), Failure> {
    let demo = || DEMO.parse().expect("the demo's name is a name");
    if let Some(dir) = &arguments.dir {
        let project = Project::find(Some(dir), &context.environment.current_dir)?;
        let site = match project.site(arguments.site.site.as_ref()) {
            Err(ProjectError::NoSite) => demo(),
            site => site?,
        };
        let options = Options { single_page: project.settings.spa, ..Options::default() };
        return push_folder(context, cluster, &site, &project.folder()?.path, options).await;
    }
    let site: SiteName = arguments.site.site.clone().unwrap_or_else(demo);
    let sites: Vec<Site> = cluster.client().sites().await?;
    if sites.iter().any(|known| known.name == site && !known.channels.is_empty()) {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    Demo::of(cluster, &format!("{site}.localhost"), &context.environment.program).write(folder.path())?;
    push_folder(context, cluster, &site, folder.path(), Options::default()).await
}

async fn push_folder(
    context: &Context<'_>,
    cluster: &Cluster,
    site: &SiteName,
    folder: &Path,
    options: Options,
) -> Result<(), Failure> {
    let push = Push {
        client: cluster.client(),
        site,
        channel: &ChannelName::live(),
        folder,
        options,
        provenance: Provenance { message: Some("pushed by verge up".to_owned()), ..Provenance::default() },
        wait: true,
        patience: Patience::default(),
    };
    push.run(context.output).await?.followed.warn(context.output);
    Ok(())
}
