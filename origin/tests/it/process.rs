//! The process as operators run it: `check-config`.

use std::path::Path;
use std::process::Command;

use tokio::net::UdpSocket;
use verge_test_kit::FakeDns;

/// The exit code, standard output and standard error of `check-config`.
async fn check(config: &Path, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-origin"));
    command.arg("--config").arg(config).arg("check-config").args(flags);
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
