//! The API over TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rcgen::{CertificateParams, KeyPair, PublicKeyData as _, date_time_ymd};
use reqwest::{Client, Version};
use verge_daemon::tls::CertificateFiles;
use verge_origin::Config;
use verge_protocol::api::{Problem, Status};
use verge_protocol::{Digest, KeyPin};
use verge_test_kit::until;
use verge_trust::TrustError;

use super::test_origin::{TestOrigin, ok};

fn with_tls(config: &mut Config) {
    config.tls_listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
}

/// Reads the status as a client does that has this pin.
async fn status(origin: &TestOrigin, pin: KeyPin) -> reqwest::Result<(Version, Status)> {
    let client = Client::builder().tls_backend_preconfigured(verge_trust::pinned(pin)).build().unwrap();
    let url = format!("https://{}/v1/status", origin.daemon.tls_addrs()[0]);
    let response = client.get(url).bearer_auth(origin.daemon.admin_token().expose()).send().await?;
    Ok((response.version(), ok(response).await))
}

#[tokio::test]
async fn identity_key_is_made_once_and_recognized_by_its_pin() {
    let origin = TestOrigin::start_with(with_tls).await;
    let pin = origin.daemon.pin().unwrap();
    let (version, shown) = status(&origin, pin).await.unwrap();
    assert_eq!((version, shown.pin), (Version::HTTP_2, Some(pin)));
    let data = origin.directory.path().join("origin");
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-origin"));
    command.args(["pin", "--data"]).arg(&data);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{pin}\n"));

    let origin = origin.restart().await;
    assert_eq!(origin.daemon.pin(), Some(pin));
    let other = KeyPin::new(Digest::of(b"other"));
    let error = status(&origin, other).await.unwrap_err();
    let Some(TrustError::Pin(mismatch)) = TrustError::find(&error) else { panic!("{error:?}") };
    assert_eq!((mismatch.expected, mismatch.found), (other, pin));
    origin.stop().await;
}

#[tokio::test]
async fn origin_without_tls_has_no_identity_key() {
    let origin = TestOrigin::start().await;
    assert_eq!((origin.daemon.pin(), origin.get::<Status>("/v1/status").await.pin), (None, None));
    assert!(!origin.directory.path().join("origin/identity.key").exists());
    origin.stop().await;
}

/// Writes a new self-signed certificate and its key. Returns its pin.
fn write(files: &CertificateFiles) -> KeyPin {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["origin.example".to_owned()]).unwrap();
    // The clock of the origin starts there.
    params.not_before = date_time_ymd(1970, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(&files.chain, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    KeyPin::new(Digest::of(&key.subject_public_key_info()))
}

fn files(directory: &Path) -> CertificateFiles {
    CertificateFiles { chain: directory.join("chain.pem"), key: directory.join("key.pem") }
}

async fn problem(origin: &TestOrigin) -> Option<String> {
    let status: Status = origin.get("/v1/status").await;
    status.problems.into_iter().find_map(|problem| match problem {
        Problem::ApiCertificate { reason } => Some(reason),
        _ => None,
    })
}

#[tokio::test]
async fn certificate_files_are_reloaded_and_a_bad_one_does_not_replace_a_good_one() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let first = write(&files);
    let origin = TestOrigin::start_with(|config| {
        with_tls(config);
        config.api_certificate = Some(files.clone());
    })
    .await;
    assert_eq!((status(&origin, first).await.unwrap().1.pin, origin.daemon.pin()), (None, None));
    assert!(!origin.directory.path().join("origin/identity.key").exists());

    std::fs::write(&files.key, "no key").unwrap();
    until("the problem", async || problem(&origin).await.is_some()).await;
    let reason = problem(&origin).await.unwrap();
    assert!(reason.contains("key.pem") && reason.ends_with("the previous one is still presented"), "{reason}");
    status(&origin, first).await.unwrap();

    let second = write(&files);
    until("the new certificate", async || status(&origin, second).await.is_ok()).await;
    assert_eq!(problem(&origin).await, None);
    origin.stop().await;
}
