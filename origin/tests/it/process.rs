//! The process as operators run it: `check-config`, and the master key.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Serialize;
use tokio::net::UdpSocket;
use verge_daemon::sealing::EdgeKey;
use verge_protocol::Digest;
use verge_protocol::api::{IssuedToken, SecretsRequest};
use verge_test_kit::{FakeDns, free_port, until};

/// The exit code, standard output and standard error of `check-config`.
async fn check(config: &Path, flags: &[&str]) -> (Option<i32>, String, String) {
    run(config, &[&["check-config"], flags].concat()).await
}

/// The exit code, standard output and standard error of a command.
async fn run(config: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-origin"));
    command.arg("--config").arg(config).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_copy_of_the_sample_is_refused_until_its_placeholder_is_replaced() {
    let sample = include_str!("../../origin.sample.toml");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("origin.toml");
    std::fs::write(&config, sample).unwrap();
    let (code, _, errors) = check(&config, &[]).await;
    let placeholder = "\n  `sites_url` is `https://sites.example.com`: a name reserved for examples\n";
    assert!(code == Some(1) && errors.ends_with(placeholder), "{errors}");
    std::fs::write(&config, sample.replace("sites.example.com", "sites.verge.test")).unwrap();
    assert_eq!(check(&config, &[]).await.0, Some(0));
}

#[tokio::test]
async fn check_config_names_an_invalid_file() {
    let folder = tempfile::tempdir().unwrap();
    let (config, file) = (folder.path().join("origin.toml"), folder.path().join("file"));
    let checked = async |setting: &str, content: Option<&str>| {
        let text = format!(
            "data = \"{}\"\nsites_url = \"https://sites.verge.test\"\n{}",
            folder.path().join("data").display(),
            setting.replace("FILE", &file.display().to_string())
        );
        std::fs::write(&config, text).unwrap();
        drop(std::fs::remove_file(&file));
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let (code, _, errors) = check(&config, &[]).await;
        (code == Some(0), errors)
    };
    let authority = rcgen::generate_simple_self_signed(["ca.verge.test".to_owned()]).unwrap().cert.pem();
    let master = "master_key_file = \"FILE\"\n";
    let roots = "[acme]\nca_file = \"FILE\"\n";
    let external = "[acme.external_account]\nkey_id = \"k\"\nhmac_key_file = \"FILE\"\n";
    let digits = "7".repeat(64);
    for (setting, content) in [(roots, &*authority), (external, "c2VjcmV0\n"), (master, &*digits)] {
        let (is_valid, errors) = checked(setting, Some(content)).await;
        assert!(is_valid, "{setting}: {errors}");
    }
    assert!(checked(master, None).await.0, "it is made");
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (setting, content) in [
        (roots, Some("")),
        (roots, Some(&authority[..200])),
        (roots, Some(damaged)),
        (roots, None),
        (external, Some("")),
        (external, Some("no base64!")),
        (external, None),
        (master, Some("")),
        (master, Some("77")),
    ] {
        let (is_valid, errors) = checked(setting, content).await;
        assert!(!is_valid && errors.contains(&*file.display().to_string()), "{setting} {content:?}: {errors}");
    }
}

#[tokio::test]
async fn check_config_online_tries_data_ports_and_resolver() {
    let (folder, dns) = (tempfile::tempdir().unwrap(), FakeDns::start().await);
    let config = folder.path().join("origin.toml");
    let data = folder.path().join("data").display().to_string();
    let checked = async |resolver: std::net::SocketAddr| {
        let text = format!(
            "data = \"{data}\"\nsites_url = \"https://verge.test\"\nlisten = \"127.0.0.1:0\"\n\
             private_listen = \"127.0.0.1:0\"\nresolver = \"{resolver}\"\n"
        );
        std::fs::write(&config, text).unwrap();
        let (code, shown, _) = check(&config, &["--online"]).await;
        let lines = shown.split_once("origin.toml is valid\n").unwrap().1.replace(&data, "DATA");
        (code, lines.replace(&resolver.to_string(), "DNS"))
    };
    let machine = "ok    data DATA: can be created\nok    listen 127.0.0.1:0: can be opened\n\
                   ok    private_listen 127.0.0.1:0: can be opened\n";
    assert_eq!(checked(dns.address).await, (Some(0), format!("{machine}ok    resolver DNS: answers\n")));
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let problem = "FAIL  resolver DNS: the resolver did not answer the query for `_verge.verge.test`: \
                   domains cannot be proven\n";
    assert_eq!(checked(closed).await, (Some(1), format!("{machine}{problem}")));
}

/// `verge-origin` as a process; ends when dropped.
struct Process {
    child: Child,
    api: String,
    private: String,
    log: PathBuf,
}

impl Process {
    /// Starts it on this data directory, and waits until it answers.
    async fn start(folder: &Path) -> Self {
        let address = || format!("127.0.0.1:{}", free_port());
        let (api, private, config, log) = (address(), address(), folder.join("origin.toml"), folder.join("log"));
        let text = format!(
            "data = \"{}\"\nsites_url = \"https://verge.test\"\nlisten = \"{api}\"\nprivate_listen = \"{private}\"\n",
            folder.join("data").display()
        );
        std::fs::write(&config, text).unwrap();
        let output = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_verge-origin"));
        command.arg("--config").arg(&config).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let process = Self { child: command.spawn().unwrap(), api, private, log };
        until("the origin to answer", async || process.health().await.is_some()).await;
        process
    }

    /// The status and text of the health page.
    async fn health(&self) -> Option<(u16, String)> {
        let answer = reqwest::get(format!("http://{}/healthz", self.private)).await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.unwrap()))
    }

    async fn post(&self, path: &str, token: &str, body: &impl Serialize) -> reqwest::Response {
        let request = reqwest::Client::new().post(format!("http://{}{path}", self.api)).bearer_auth(token);
        request.json(body).send().await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn process_without_its_master_key_serves_all_but_secrets_and_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data/master.key");
    let (key, none) = (EdgeKey::generate(), Vec::<Digest>::new());
    let body = SecretsRequest { public_key: key.public(), secrets: none };
    let origin = Process::start(folder.path()).await;
    let admin = std::fs::read_to_string(folder.path().join("data/admin-token")).unwrap().trim().to_owned();
    let issued = origin.post("/v1/edges/fra-1/token", &admin, &()).await;
    let token = issued.json::<IssuedToken>().await.unwrap().token;
    // The first request has the secret of session tickets made.
    assert_eq!(origin.post("/v1/secrets", &token, &body).await.status(), 200);
    assert_eq!(origin.health().await.unwrap().0, 200);
    drop(origin);

    let right = std::fs::read(&file).unwrap();
    let wrong = format!("{}\n", Digest::of(b"another"));
    for (bytes, problem) in [
        (None, "does not exist, but secrets are encrypted under master key"),
        (Some(wrong.as_bytes()), "but the secrets are encrypted under master key"),
        (Some(&right), ""),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let origin = Process::start(folder.path()).await;
        let (status, text) = origin.health().await.unwrap();
        assert!(status == 200 && text.contains(problem), "{status} {text}");
        let secrets = origin.post("/v1/secrets", &token, &body).await.status();
        let log = std::fs::read_to_string(&origin.log).unwrap();
        let name = file.display().to_string();
        if problem.is_empty() {
            assert_eq!((secrets.as_u16(), text.as_str()), (200, "ok\n"));
        } else {
            assert_eq!(secrets, 503);
            assert!(log.contains(problem) && log.contains(&name) && text.contains(&name), "{log}");
        }
        let changes = reqwest::Client::new().get(format!("http://{}/v1/changes", origin.api)).bearer_auth(&token);
        assert_eq!(changes.send().await.unwrap().status(), 200, "edges follow the feed");
    }
    std::fs::remove_file(&file).unwrap();
    let config = folder.path().join("origin.toml");
    let origin = Process::start(folder.path()).await;
    let refused = run(&config, &["forget-secrets", "--yes"]).await;
    assert!(refused.0 == Some(2) && refused.2.contains("in use"), "{refused:?}");
    drop(origin);
    let shown = run(&config, &["forget-secrets"]).await.1;
    assert!(shown.starts_with("1 secrets would be deleted"), "{shown}");
    let (code, shown, _) = run(&config, &["forget-secrets", "--yes"]).await;
    assert!(code == Some(0) && shown.starts_with("1 secrets deleted"), "{shown}");
    let origin = Process::start(folder.path()).await;
    assert_eq!(origin.health().await.unwrap(), (200, "ok\n".to_owned()));
    assert_eq!(origin.post("/v1/secrets", &token, &body).await.status(), 200);
    assert!(file.exists(), "there is another master key");
}
