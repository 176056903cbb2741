//! The commands of `verge-geodns`, beside `check-config`.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use verge_daemon::join::{self, JoinArguments, JoinFiles, Joins, quoted};
use verge_daemon::run::{Commands, ConfigFile, OriginAccess};
use verge_protocol::api::{Joined, TokenOwner};

use crate::config::Config;
use crate::geodns::GeoDns;

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Become a name server of a fleet: exchange a join code for a token, and write the configuration
    Join(Join),
}

/// The arguments of `join`.
#[derive(Args)]
pub struct Join {
    #[command(flatten)]
    arguments: JoinArguments,
    /// The public addresses of this name server, separated by commas, for the zone file
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    address: Vec<IpAddr>,
}

impl Commands<GeoDns> for Command {
    fn run(self, config: &ConfigFile<GeoDns>) -> anyhow::Result<ExitCode> {
        let Self::Join(Join { arguments, address }) = self;
        join::join(&arguments, config, |joined, files| settings(joined, &address, files))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Joins for GeoDns {
    const TOKEN_FILE: &'static str = "ns.token";

    fn is_for(owner: &TokenOwner) -> bool {
        matches!(owner, TokenOwner::NameServer(_))
    }

    fn access(config: &Config) -> OriginAccess {
        config.origin_access()
    }

    fn public_key(_: &Path) -> anyhow::Result<Option<String>> {
        Ok(None)
    }
}

/// The settings of a name server of the base domain. Writes its zone file if there is none and the addresses are known.
fn settings(joined: &Joined, addresses: &[IpAddr], files: &mut JoinFiles) -> anyhow::Result<String> {
    let zone = &joined.base_domain;
    let zone_file = files.config.with_file_name(format!("{zone}.zone"));
    if zone_file.try_exists()? {
        files.note(format!("kept {}", zone_file.display()));
    } else if let (TokenOwner::NameServer(name), false) = (&joined.owner, addresses.is_empty()) {
        files.write(zone_file.clone(), &zone_text(zone.as_str(), name.as_str(), addresses))?;
        files.note(format!(
            "to do: on each name server, {} needs the NS and address records of all of them; then delegate {zone} to them (docs/DNS.md)",
            zone_file.display()
        ));
    } else {
        files.note(format!("to do: write the zone file {} (docs/DNS.md)", zone_file.display()));
    }
    // Beside a local resolver, only the addresses of this machine are free. Behind NAT it does not have its public ones.
    let own: Vec<_> = addresses.iter().filter(|address| UdpSocket::bind((**address, 0)).is_ok()).collect();
    let listen = if own.is_empty() || own.len() < addresses.len() {
        "[\"0.0.0.0:53\", \"[::]:53\"]".to_owned()
    } else {
        let own: Vec<String> = own.into_iter().map(|address| quoted(&SocketAddr::new(*address, 53))).collect();
        format!("[{}]", own.join(", "))
    };
    Ok(format!(
        "listen = {listen}\nprivate_listen = \"127.0.0.1:7601\"\n\n[[zones]]\nname = {}\nfile = {}\nsites = true\n",
        quoted(zone),
        quoted(&zone_file.display())
    ))
}

/// A zone with this name server alone.
fn zone_text(zone: &str, name: &str, addresses: &[IpAddr]) -> String {
    let mut text = format!(
        "; The zone of a base domain of Verge: sites are answered beside these records. The same file belongs on each name server: add\n\
         ; an NS record and address records for every other one.\n\
         $TTL 3600\n\
         @ IN SOA {name}.{zone}. hostmaster.{zone}. ( 1 7200 900 1209600 300 )\n\
         @ IN NS {name}\n"
    );
    for address in addresses {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        let _ = writeln!(text, "{name} IN {kind} {address}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ZoneConfig;
    use crate::watched_files::check_zones;

    #[test]
    fn zone_of_a_name_server_is_valid() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zone");
        let addresses = ["203.0.113.53".parse().unwrap(), "2001:db8::53".parse().unwrap()];
        let text = zone_text("sites.example.net", "ns-1", &addresses);
        std::fs::write(&file, &text).unwrap();
        check_zones(&[ZoneConfig { name: "sites.example.net".parse().unwrap(), file, sites: true }]).unwrap();
        assert!(text.ends_with("ns-1 IN A 203.0.113.53\nns-1 IN AAAA 2001:db8::53\n"), "{text}");
    }
}
