//! The process as operators run it: `check-config`, and the log.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use verge_protocol::api::TokenOwner;
use verge_test_kit::{FakeOrigin, TOKEN, release, until};

/// Writes a configuration of edge `fra-1` that follows `origin`.
pub(super) fn write_config(folder: &Path, origin: &str, token: &str) {
    let config = format!(
        "name = \"fra-1\"\norigins = [\"{origin}\"]\n{token}\ndata = \"{}\"\nlisten = \"127.0.0.1:0\"\n\
         private_listen = \"127.0.0.1:0\"\nbase_domain = \"verge.test\"\n",
        folder.join("data").display()
    );
    std::fs::write(folder.join("edge.toml"), config).unwrap();
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-edge"));
    command.arg("--config").arg(folder.join("edge.toml"));
    command
}

/// The exit code, standard output and standard error of `check-config`.
async fn check(folder: &Path, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = command(folder);
    command.arg("check-config").args(flags);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A process that is killed at the end of a test.
pub(super) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn start(folder: &Path) -> Process {
    let log = File::create(folder.join("log")).unwrap();
    Process(command(folder).stderr(Stdio::from(log)).spawn().unwrap())
}

async fn until_logged(folder: &Path, texts: &[&str]) {
    until("the log", async || {
        let log = std::fs::read_to_string(folder.join("log")).unwrap();
        texts.iter().all(|text| log.contains(text))
    })
    .await;
}

#[tokio::test]
async fn edge_with_the_token_of_another_edge_logs_that_reports_are_refused() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), FakeOrigin::start().await);
    origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[]);
    origin.set_token_owner(TokenOwner::Edge("fra-2".parse().unwrap()));
    write_config(folder.path(), &origin.url(), &format!("token = \"{TOKEN}\""));
    let _process = start(folder.path());
    let refused = "reports are refused: this edge is not live for the origin";
    until_logged(
        folder.path(),
        &[refused, "answered 403 Forbidden: the token belongs to edge fra-2; put this edge's own"],
    )
    .await;
    assert_eq!(origin.reports(), []);
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(!log.contains(TOKEN), "{log}");
    origin.set_token_owner(TokenOwner::Edge("fra-1".parse().unwrap()));
    until("a report", async || !origin.reports().is_empty()).await;
    assert_eq!(origin.reports()[0].edge.as_ref().unwrap().as_str(), "fra-1");
}

#[tokio::test]
async fn placeholder_is_an_error_of_check_config_and_a_warning_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), "https://origin.example.com", &format!("token = \"{TOKEN}\""));
    let (code, shown, errors) = check(folder.path(), &[]).await;
    assert_eq!((code, shown.as_str()), (Some(1), ""), "{errors}");
    let placeholder = "`origins` is `https://origin.example.com`: a name reserved for examples";
    let expected = format!("edge.toml: replace these placeholders by your own values:\n  {placeholder}\n");
    assert!(errors.ends_with(&expected), "{errors}");
    let _process = start(folder.path());
    until_logged(folder.path(), &["WARN", placeholder, "listening"]).await;

    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/edge.sample.toml");
    std::fs::copy(sample, folder.path().join("edge.toml")).unwrap();
    let (code, _, errors) = check(folder.path(), &[]).await;
    assert_eq!(code, Some(1));
    assert!(errors.contains("`base_domain` is `sites.example.com`") && errors.contains(placeholder), "{errors}");
}

#[tokio::test]
async fn invalid_token_file_is_an_error_of_check_config_and_at_the_start() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge.token");
    write_config(folder.path(), "http://127.0.0.1:1", &format!("token_file = \"{}\"", file.display()));
    std::fs::write(&file, "<token>\n").unwrap();
    let error = format!(
        "edge.toml: invalid `token_file` {}: expected a token, found a placeholder; issue one with \
         `verge edges token fra-1` and write it to `token_file`\n",
        file.display()
    );
    let (code, _, errors) = check(folder.path(), &[]).await;
    assert!(code == Some(1) && errors.ends_with(&error), "{errors}");
    let mut command = command(folder.path());
    let started = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(started.status.code(), Some(1));
    assert!(String::from_utf8(started.stderr).unwrap().ends_with(&error));

    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, errors) = check(folder.path(), &[]).await;
    assert!(code == Some(0) && errors.contains("every user of this machine can read the secret"), "{errors}");
}

#[tokio::test]
async fn check_config_online_prints_a_line_for_each_check() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), FakeOrigin::start().await);
    origin.set_token_owner(TokenOwner::Edge("fra-1".parse().unwrap()));
    write_config(folder.path(), &origin.url(), &format!("token = \"{TOKEN}\""));
    let lines = async || {
        let (code, shown, errors) = check(folder.path(), &["--online"]).await;
        let data = folder.path().join("data").display().to_string();
        let lines = shown.split_once("edge.toml is valid\n").unwrap().1;
        (code, lines.replace(&data, "DATA").replace(&origin.url(), "URL"), errors)
    };
    let ports = "ok    listen 127.0.0.1:0: can be opened\nok    private_listen 127.0.0.1:0: can be opened\n";
    let access = "ok    origin URL: reachable, and the token is that of edge fra-1\n";
    let expected = format!("ok    data DATA: can be created\n{ports}{access}");
    assert_eq!(lines().await, (Some(0), expected, String::new()));
    assert!(!folder.path().join("data").exists(), "check-config must not create anything");

    let _process = start(folder.path());
    until_logged(folder.path(), &["listening"]).await;
    let expected = format!("note  data DATA: in use by a running process\n{ports}{access}");
    assert_eq!(lines().await, (Some(0), expected, String::new()));

    origin.set_token_owner(TokenOwner::NameServer("ns-1".parse().unwrap()));
    let (code, shown, errors) = lines().await;
    assert_eq!((code, errors.as_str()), (Some(1), "error: 1 of 4 checks failed\n"));
    assert!(
        shown.contains("\nFAIL  origin URL: the token belongs to name server ns-1, but this is edge fra-1: "),
        "{shown}"
    );
}

/// Adds a section `[access_log]` with this path.
fn log_access_to(folder: &Path, path: &str) {
    let file = folder.join("edge.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, format!("{config}[access_log]\npath = \"{path}\"\n")).unwrap();
}

#[tokio::test]
async fn access_log_that_cannot_be_opened_is_an_error_of_check_config_and_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    write_config(folder.path(), "http://127.0.0.1:1", &format!("token = \"{TOKEN}\""));
    let path = folder.path().join("none/access.log").display().to_string();
    log_access_to(folder.path(), &path);
    let (code, _, errors) = check(folder.path(), &[]).await;
    let error =
        format!("invalid `path` `{path}` in the section `[access_log]`: its directory does not exist; create it");
    assert!(code == Some(1) && errors.contains(&error), "{errors}");
    let mut command = command(folder.path());
    let started = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let errors = String::from_utf8(started.stderr).unwrap();
    let error = format!(
        "error: failed to open the access log {path}: check `path` in the section `[access_log]`: No such file or directory"
    );
    assert!(started.status.code() == Some(1) && errors.contains(&error), "{errors}");
}

#[tokio::test]
async fn access_log_on_standard_output_has_nothing_but_lines() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), FakeOrigin::start().await);
    write_config(folder.path(), &origin.url(), &format!("token = \"{TOKEN}\""));
    log_access_to(folder.path(), "-");
    let (log, lines) = (folder.path().join("log"), folder.path().join("lines"));
    let mut command = command(folder.path());
    command.stderr(Stdio::from(File::create(&log).unwrap())).stdout(Stdio::from(File::create(&lines).unwrap()));
    let _process = Process(command.spawn().unwrap());
    until_logged(folder.path(), &["listening readers=["]).await;
    let text = std::fs::read_to_string(log).unwrap();
    let address = text.split("readers=[").nth(1).unwrap().split(']').next().unwrap();
    let status = reqwest::get(format!("http://{address}/a")).await.unwrap().status().as_u16();
    until("the line", async || std::fs::read_to_string(&lines).unwrap().ends_with('\n')).await;
    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&lines).unwrap()).unwrap();
    assert_eq!((&line["target"], &line["status"]), (&serde_json::json!("/a"), &serde_json::json!(status)));
}
