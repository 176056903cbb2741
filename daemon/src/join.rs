//! `verge-edge join` and `verge-geodns join`: a machine becomes a part of a fleet.
//!
//! A join code is exchanged for a token, and token and settings are written, each readable by its owner only. A machine that has joined is
//! left as it is; one whose token was revoked gets another one. No file that somebody else has written is replaced.

mod exchange;
mod files;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use futures_util::FutureExt as _;
use prometheus_client::metrics::counter::Counter;
use verge_protocol::JoinCode;
use verge_protocol::api::{Joined, TokenOwner};

use self::exchange::exchange;
use crate::origins::{OriginUrl, Origins};
use crate::run::{ConfigFile, Daemon, OriginAccess};

pub use self::files::{JoinFiles, quoted};

/// The arguments of `join`.
#[derive(Args)]
pub struct JoinArguments {
    /// The join code, as `verge edges add` or `verge dns add` has printed it
    code: String,
    /// The data directory [default: /var/lib/<name of the daemon>]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Allow origins without TLS on other machines
    #[arg(long)]
    insecure: bool,
}

/// A daemon that can join a fleet.
pub trait Joins: Daemon {
    /// The name of the file with the token, beside the configuration file.
    const TOKEN_FILE: &'static str;

    /// Whether the daemon is what a code is for.
    fn is_for(owner: &TokenOwner) -> bool;

    /// How it connects to origins.
    fn access(config: &Self::Config) -> OriginAccess;

    /// The public key of this machine, made if there is none; `None` if the daemon has no key. Blocks.
    fn public_key(data: &Path) -> anyhow::Result<Option<String>>;
}

/// Joins the fleet of a code, and prints what was done. `settings` are those of the daemon beside what [`JoinFiles::settings`] has, as lines of
/// TOML; it may write further files. Blocks.
pub fn join<D: Joins>(
    arguments: &JoinArguments,
    config: &ConfigFile<D>,
    settings: impl FnOnce(&Joined, &mut JoinFiles) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let code: JoinCode = arguments.code.parse()?;
    let owner = &code.owner;
    ensure!(D::is_for(owner), "the join code is for {owner}: run it with `{} join`", program(owner));
    let urls = urls(&code, arguments.insecure)?;
    let data = arguments.data.clone().unwrap_or_else(|| PathBuf::from(format!("/var/lib/{}", D::NAME)));
    let mut files = JoinFiles::new(config.path(), D::TOKEN_FILE, data);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let print = |text: &str| writeln!(std::io::stdout(), "{text}");
    let existing = config.path().try_exists()?.then(|| existing(config, &code, &urls)).transpose()?;
    if let Some(existing) = &existing {
        // Its own, which may be elsewhere.
        files.token.clone_from(&existing.token_file);
        files.data.clone_from(&existing.data);
        if runtime.block_on(has_joined(&existing.access, owner))? {
            print(&format!("{owner} has joined already, with {}: nothing was changed", files.config.display()))?;
            return Ok(());
        }
    }
    // Before the code is used up.
    files.check_writable()?;
    let public_key = D::public_key(&files.data)?;
    let joined = runtime.block_on(exchange(&code, urls.clone(), public_key))?;
    files.write_token(&joined.token)?;
    if existing.is_none() {
        let text = [files.settings(&code, &urls, D::NAME), settings(&joined, &mut files)?].concat();
        files.write_settings(&text)?;
    }
    print(&format!("joined the fleet as {owner}"))?;
    for path in &files.written {
        print(&format!("wrote {}", path.display()))?;
    }
    for note in &files.notes {
        print(note)?;
    }
    let (name, file) = (D::NAME, files.config.display());
    let next = if existing.is_some() {
        format!("restart {name}: it has another token")
    } else {
        format!(
            "try it with `{name} check-config --online --config {file}`, then start {name}: docs/OPERATING.md has a systemd unit"
        )
    };
    print(&format!("next: {next}"))?;
    Ok(())
}

/// What an existing configuration file says.
struct Existing {
    access: OriginAccess,
    token_file: PathBuf,
    data: PathBuf,
}

/// The existing configuration; an error unless it is of the owner and the origins of the code.
fn existing<D: Joins>(config: &ConfigFile<D>, code: &JoinCode, urls: &[OriginUrl]) -> anyhow::Result<Existing> {
    let shown = config.path().display();
    let hint = "move it away, or give another file with --config";
    let parsed = config.load().with_context(|| format!("{shown} exists, and is invalid: mend it, {hint}"))?;
    let access = D::access(&parsed);
    ensure!(
        access.owner == code.owner,
        "{shown} is the configuration of {}, the code is for {}: {hint}",
        access.owner,
        code.owner
    );
    let is_same_fleet = access.urls == urls && access.pin == code.pin;
    let table: toml::Table = std::fs::read_to_string(config.path())?.parse()?;
    let path = |setting: &str| table.get(setting).and_then(toml::Value::as_str).map(PathBuf::from);
    match (path("token_file"), path("data")) {
        (Some(token_file), Some(data)) if is_same_fleet => Ok(Existing { access, token_file, data }),
        (None, _) if is_same_fleet => bail!("{shown} has the token itself, in place of `token_file`: {hint}"),
        _ => bail!("{shown} names other origins or another pin than the code: {hint}"),
    }
}

/// Whether the origin accepts the token of an existing configuration.
async fn has_joined(access: &OriginAccess, owner: &TokenOwner) -> anyhow::Result<bool> {
    let OriginAccess { urls, pin, token, .. } = access;
    let origins = Origins::new(urls.clone(), *pin, token, exchange::USER_AGENT, Counter::default())?;
    match origins.first(|origin| origins.token_owner(origin).boxed()).await {
        Ok(actual) => Ok(actual == *owner),
        Err(error) if error.is_refused() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn urls(code: &JoinCode, insecure: bool) -> anyhow::Result<Vec<OriginUrl>> {
    let parse = |text: &String| if insecure { OriginUrl::insecure(text) } else { text.parse() };
    let urls: Vec<OriginUrl> = code.origins.iter().map(parse).collect::<Result<_, _>>()?;
    ensure!(!urls.is_empty(), "the join code names no origin");
    Ok(urls)
}

/// The program that joins as `owner`.
fn program(owner: &TokenOwner) -> &'static str {
    match owner {
        TokenOwner::NameServer(_) => "verge-geodns",
        TokenOwner::Edge(_) | TokenOwner::Admin => "verge-edge",
    }
}
