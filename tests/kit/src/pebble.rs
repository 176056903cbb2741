//! Pebble, the certificate authority for tests, as a process of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// How Pebble is started.
pub struct PebbleSettings {
    /// The name server that resolves all names.
    pub dns: SocketAddr,
    /// The port of hosts for HTTP-01.
    pub http_port: u16,
    /// How many of a hundred good nonces are rejected.
    pub rejected_nonces: u32,
    /// The HMAC keys of external accounts, in base64url, by identifier. If there is one, every account must be bound to one.
    pub external_accounts: BTreeMap<String, String>,
}

/// A running authority; ends when dropped.
pub struct Pebble {
    /// The URL of its directory.
    pub directory_url: String,
    /// The certificate of its own TLS.
    pub ca_file: PathBuf,
    /// Where it serves its own root certificate.
    management_url: String,
    directory: TempDir,
    process: Child,
}

impl Pebble {
    /// Starts one that rejects 5 % of good nonces, and reuses half of the authorizations.
    pub async fn start(dns: SocketAddr, http_port: u16) -> Self {
        let external_accounts = BTreeMap::new();
        Self::start_with(PebbleSettings { dns, http_port, rejected_nonces: 5, external_accounts }).await
    }

    /// Starts one with other settings.
    ///
    /// # Panics
    /// If it does not listen within two minutes, or ends at once several times.
    pub async fn start_with(settings: PebbleSettings) -> Self {
        let mut log = String::new();
        for _ in 0..5 {
            let mut pebble = Self::spawn(&settings, [free_port(), free_port()]);
            let is_listening = tokio::time::timeout(Duration::from_mins(2), pebble.is_listening()).await;
            if is_listening.unwrap_or_else(|_| panic!("pebble does not listen: {}", pebble.log())) {
                return pebble;
            }
            // Another process has taken a port meanwhile.
            log = pebble.log();
        }
        panic!("pebble ends at once: {log}");
    }

    /// Spawns one that is to listen at these ports; the second one is for its own root certificate.
    fn spawn(settings: &PebbleSettings, [port, management]: [u16; 2]) -> Self {
        let PebbleSettings { dns, http_port, rejected_nonces, external_accounts } = settings;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        std::fs::write(path("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "httpPort": http_port,
            "tlsPort": 1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": !external_accounts.is_empty(),
            "externalAccountMACKeys": external_accounts,
        }});
        std::fs::write(path("config.json"), config.to_string()).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let process = Command::new("pebble")
            .arg("-config")
            .arg(path("config.json"))
            .arg("-dnsserver")
            .arg(dns.to_string())
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", rejected_nonces.to_string())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let ca_file = path("cert.pem");
        let directory_url = format!("https://127.0.0.1:{port}/dir");
        let management_url = format!("https://127.0.0.1:{management}");
        Self { directory_url, ca_file, management_url, directory, process }
    }

    /// Waits until it answers at both ports; false if it has ended.
    async fn is_listening(&mut self) -> bool {
        let client = self.client();
        // Another process at the port has another certificate.
        for url in [self.directory_url.clone(), self.root_url()] {
            while client.get(&url).send().await.is_err() {
                if self.process.try_wait().unwrap().is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        true
    }

    fn client(&self) -> reqwest::Client {
        let own = reqwest::Certificate::from_pem(&std::fs::read(&self.ca_file).unwrap()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([own]).no_proxy().timeout(Duration::from_secs(5));
        client.build().unwrap()
    }

    fn root_url(&self) -> String {
        format!("{}/roots/0", self.management_url)
    }

    /// The root certificate under which it issues, in PEM.
    pub async fn root(&self) -> String {
        let answer = self.client().get(self.root_url()).send().await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }

    /// Whether the machine has it.
    pub fn is_installed() -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| Path::new(&directory).join("pebble").exists())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.directory.path().join("log")).unwrap()).into_owned()
    }

    /// How many orders were made.
    pub fn orders(&self) -> usize {
        self.log().matches("Added order").count()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A TCP port of loopback that is free. It is below the range from which systems give ports to connections and listeners without one, so
/// that nobody else gets it meanwhile; no other call in this process returns it.
pub fn free_port() -> u16 {
    const PORTS: u16 = 1000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let of_process = u16::try_from(std::process::id() % 20).expect("below 20") * PORTS;
    loop {
        let port = 10_000 + of_process + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn authority_whose_port_is_taken_does_not_count_as_listening() {
        if !Pebble::is_installed() {
            return;
        }
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let dns = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let settings = PebbleSettings { dns, http_port: 9, rejected_nonces: 0, external_accounts: BTreeMap::new() };
        let ports = [taken.local_addr().unwrap().port(), free_port()];
        assert!(!Pebble::spawn(&settings, ports).is_listening().await);
        assert!(Pebble::spawn(&settings, [free_port(), free_port()]).is_listening().await);
    }
}
