//! `verge up`: starts a cluster, pushes a site to it, prints a summary, and waits for a signal.

mod pushed_site;

use std::convert::Infallible;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::pin::pin;

use verge_daemon::telemetry::{self, LogFormat};
use verge_protocol::api::{Provenance, Release, Site};
use verge_protocol::{ChannelName, Manifest, SiteName, error_chain};

use super::context::Context;
use super::push::{display_path, print_others};
use crate::cli;
use crate::client::{ClientError, ServerUrl, Token};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::profile::{self, Profile, ProfileError};
use crate::project::Project;
use crate::push::Push;
use crate::rollout::Wait;
use crate::scan::Options;
use crate::up::{Cluster, ClusterConfig, ClusterSummary, Demo, Ports, SiteProjects};
use crate::upload::RetryPolicy;

/// The message of releases.
const PUSH_MESSAGE: &str = "pushed by verge up";

pub(super) async fn run(arguments: &cli::Up, context: &Context<'_>) -> Result<Exit, Failure> {
    telemetry::init(LogFormat::Human, &arguments.log)
        .map_err(|error| Failure::new(Exit::Usage, &error).hint(Some("use a level such as `--log info`")))?;
    // Signals are handled from the start, so that none leaves half a cluster behind.
    let mut terminated = pin!(verge_daemon::run::shutdown_signal_or_hangup());
    tokio::select! {
        biased;
        signal = &mut terminated => return Ok(stopped(signal?, context)),
        // Ready at once: the first poll installs the signal handlers.
        () = ready(()) => {}
    }
    let temporary = arguments.temp.then(tempfile::tempdir).transpose()?;
    let data = match &temporary {
        Some(dir) => dir.path().to_owned(),
        None => data_dir(arguments, context.environment)?,
    };
    let ports = Ports::new(arguments.port).map_err(|error| Failure::new(Exit::Usage, &error))?;
    let config =
        ClusterConfig { edges: arguments.edges, ports, data, temporary: arguments.temp, https: arguments.https };
    let mut starting = pin!(Cluster::start(&config));
    let cluster = tokio::select! {
        cluster = &mut starting => cluster?,
        signal = &mut terminated => {
            if let Ok(cluster) = starting.await {
                cluster.shutdown().await;
            }
            return Ok(stopped(signal?, context));
        }
    };
    let profile_before = context.environment.profile.as_deref().and_then(|path| profile::load(path).ok().flatten());
    let outcome = tokio::select! {
        served = serve(arguments, context, &config, &cluster) => served.map(|never| match never {}),
        signal = &mut terminated => signal.map(|signal| stopped(signal, context)).map_err(Failure::from),
    };
    restore_profile(profile_before, &config, &cluster, context.environment);
    cluster.shutdown().await;
    outcome
}

fn stopped(signal: &str, context: &Context<'_>) -> Exit {
    context.output.info(format_args!("{signal}: stopping"));
    Exit::Success
}

async fn serve(
    arguments: &cli::Up,
    context: &Context<'_>,
    config: &ClusterConfig,
    cluster: &Cluster,
) -> Result<Infallible, Failure> {
    cluster.until_caught_up().await?;
    // The profile is a convenience: what it says is in the summary too.
    let profile_saved = save_profile(cluster, context.environment).unwrap_or_else(|error| {
        context.output.warn(error_chain(&error));
        false
    });
    push(arguments, context, config, cluster).await?;
    let sites: Vec<Site> = cluster.client().sites().await?;
    cluster.until_named(&sites).await?;
    if let Some(certificate) = cluster.certificate() {
        if certificate.has_replaced_root() {
            context.output.warn(format_args!(
                "{} was replaced: the root of an earlier version could vouch for any address",
                certificate.root().display()
            ));
            context.output.hint("remove the earlier one from where you have imported it, and import this one");
        }
        certificate.update(cluster.client()).await?;
        cluster.until_encrypted(&sites).await?;
    }
    let summary = ClusterSummary::new(cluster, &sites);
    if context.output.options().json {
        context.output.result(serde_json::to_string(&summary)?)?;
    } else {
        let style = context.output.results_style();
        context.output.result(summary.text(config, &context.environment.program, profile_saved, &style))?;
    }
    match cluster.certificate() {
        Some(certificate) => Ok(certificate.follow(cluster.client()).await),
        None => std::future::pending().await,
    }
}

/// The data directory.
fn data_dir(arguments: &cli::Up, environment: &Environment) -> Result<PathBuf, Failure> {
    let given = arguments.data.as_ref().map(|data| environment.current_dir.join(data));
    given.or_else(|| environment.data.clone()).ok_or_else(|| Failure {
        exit: Exit::Usage,
        message: "no data directory: the home directory is unknown".to_owned(),
        details: Vec::new(),
        hints: vec!["use --data DIR, or --temp for a temporary directory".to_owned()],
    })
}

/// Saves a profile, so that `verge push` in another terminal finds this origin. Returns whether it was saved: not without a home
/// directory, and not over the profile of an origin on another machine, which may have the only copy of its token.
fn save_profile(cluster: &Cluster, environment: &Environment) -> Result<bool, ProfileError> {
    let Some(path) = &environment.profile else { return Ok(false) };
    let is_remote = |known: &Profile| known.origin.parse::<ServerUrl>().is_ok_and(|url| !url.is_loopback());
    if profile::load(path).ok().flatten().as_ref().is_some_and(is_remote) {
        return Ok(false);
    }
    let profile = Profile {
        origin: cluster.client().origin().to_string(),
        token: Token::new(cluster.token().expose()),
        pin: None,
        name_server: Some(format!("http://{}", cluster.dns_private())),
    };
    profile::save(&profile, path)?;
    Ok(true)
}

/// Restores the earlier profile, if the current one still names this cluster: another `verge up` may be running and need its own.
/// Without an earlier profile, the current one stays for the next start, unless the data directory is temporary.
fn restore_profile(before: Option<Profile>, config: &ClusterConfig, cluster: &Cluster, environment: &Environment) {
    let Some(path) = &environment.profile else { return };
    let ours = cluster.client().origin().to_string();
    if profile::load(path).ok().flatten().is_none_or(|now| now.origin != ours) {
        return;
    }
    let restored = match before {
        Some(before) if before.origin != ours => profile::save(&before, path).is_ok(),
        None if config.temporary => std::fs::remove_file(path).is_ok(),
        _ => true,
    };
    if !restored {
        tracing::warn!(profile = %path.display(), "failed to restore the profile");
    }
}

/// Pushes the given directory; without one the demo, unless its site has a release of anything else. The demo is pushed again if it has
/// changed: it has the URLs of this cluster.
async fn push(
    arguments: &cli::Up,
    context: &Context<'_>,
    config: &ClusterConfig,
    cluster: &Cluster,
) -> Result<(), Failure> {
    if let Some(dir) = &arguments.dir {
        let project = Project::find(Some(dir), &context.environment.current_dir)?;
        let dir = project.build_dir(false)?;
        let own_dir = project.own_dir(&dir.path).display().to_string();
        let mut projects = SiteProjects::load(&config.data);
        let given = arguments.site.site.as_ref();
        let site = pushed_site::choose(&project, &own_dir, given, &projects, cluster.client(), context).await?;
        if let Some(reason) = &dir.reason {
            let shown = display_path(&dir.path, &context.environment.current_dir);
            context.output.info(format_args!("pushing {shown} ({reason})"));
        }
        print_others(&dir, context);
        let options = Options {
            single_page: project.settings.spa,
            legacy_service_workers: project.settings.legacy_service_workers.clone(),
            html: project.settings.html,
            netlify_toml: project.netlify_toml(),
            protection: project.protection(context.environment.users.as_ref(), &dir.path)?,
            ..Options::default()
        };
        push_folder(context, cluster, &site, &dir.path, options).await?;
        if let Err(error) = projects.set(&site, &own_dir) {
            context.output.warn(format_args!("failed to remember the project of {site}: {}", error_chain(&error)));
        }
        return Ok(());
    }
    let demo = || pushed_site::DEMO_SITE.parse().expect("the name of the demo site is valid");
    let site: SiteName = arguments.site.site.clone().unwrap_or_else(demo);
    cluster.client().create_site(&site).await?;
    let known: Site = cluster.client().get(&format!("/v1/sites/{site}")).await?;
    let demo = Demo::new(cluster, &format!("{site}.localhost"), &context.environment.program);
    if !known.channels.is_empty() {
        let served = served_demo(&known, &SiteProjects::load(&config.data), cluster).await?;
        if served.is_none_or(|manifest| demo.is_in(&manifest)) {
            return Ok(());
        }
    }
    let dir = tempfile::tempdir()?;
    demo.write(dir.path())?;
    push_folder(context, cluster, &site, dir.path(), Options::default()).await
}

/// The manifest of the live release of a site, if that is a demo that an earlier start has pushed.
async fn served_demo(site: &Site, projects: &SiteProjects, cluster: &Cluster) -> Result<Option<Manifest>, ClientError> {
    let Some(live) = site.channels.iter().find(|channel| channel.name.is_live()) else { return Ok(None) };
    let releases: Vec<Release> = cluster.client().get(&format!("/v1/sites/{}/releases", site.name)).await?;
    let is_own = |release: &Release| {
        release.number == live.release && release.provenance.message.as_deref() == Some(PUSH_MESSAGE)
    };
    let release = releases.into_iter().find(is_own).filter(|_| projects.get(&site.name).is_none());
    let Some(release) = release else { return Ok(None) };
    let manifest = cluster.client().manifest(release.manifest).await?;
    Ok(Some(manifest).filter(Demo::is_like))
}

async fn push_folder(
    context: &Context<'_>,
    cluster: &Cluster,
    site: &SiteName,
    dir: &Path,
    options: Options,
) -> Result<(), Failure> {
    let push = Push {
        client: cluster.client(),
        site,
        channel: &ChannelName::live(),
        lifetime: None,
        dir,
        options,
        provenance: Provenance { message: Some(PUSH_MESSAGE.to_owned()), ..Provenance::default() },
        canary: None,
        wait: Wait::All,
        retry: RetryPolicy::default(),
    };
    let rollout = push.run(context.output).await?.rollout;
    rollout.warn(context.output, context.environment.now);
    for warning in &rollout.released.warnings {
        context.output.warn(crate::output::human::line(warning, 300));
    }
    Ok(())
}
