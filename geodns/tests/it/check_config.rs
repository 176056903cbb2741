//! The process as operators run it: `check-config` and startup.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use verge_protocol::api::TokenOwner;
use verge_test_kit::{FakeOrigin, TOKEN, until};

/// Writes a configuration with one zone, whose file includes another.
fn write(folder: &Path, included: &str, more: &str) {
    write_with_origin(folder, "http://127.0.0.1:1", included, more);
}

fn write_with_origin(folder: &Path, origin: &str, included: &str, more: &str) {
    let zone =
        "$TTL 60\n@ SOA ns-1 hostmaster 1 7200 900 1209600 60\n@ NS ns-1\nns-1 A 192.0.2.1\n$INCLUDE mail.zone\n";
    std::fs::write(folder.join("example.zone"), zone).unwrap();
    std::fs::write(folder.join("mail.zone"), included).unwrap();
    let data = folder.join("data").display().to_string();
    let config = format!(
        "name = \"ns-1\"\norigins = [\"{origin}\"]\ntoken = \"{TOKEN}\"\ndata = \"{data}\"\nlisten = \"127.0.0.1:0\"\n\
         private_listen = \"127.0.0.1:0\"\n{more}\n[[zones]]\nname = \"verge.test\"\nfile = \"{}\"\n",
        folder.join("example.zone").display()
    );
    std::fs::write(folder.join("geodns.toml"), config).unwrap();
}

/// The exit code, standard output and standard error.
fn check(folder: &Path) -> (Option<i32>, String, String) {
    check_with(folder, &[])
}

fn check_with(folder: &Path, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-geodns"));
    let output =
        command.arg("--config").arg(folder.join("geodns.toml")).arg("check-config").args(flags).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_config_of_a_valid_file_shows_settings_and_bounds() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "@ MX 10 mail\nmail A 192.0.2.2\n", "");
    let (code, shown, errors) = check(folder.path());
    assert_eq!(code, Some(0), "{errors}");
    assert!(shown.ends_with("geodns.toml is valid\n"), "{shown}");
    assert!(shown.contains("readers moved to other edges within: 75s") && !shown.contains("vrg_"), "{shown}");
    assert!(!folder.path().join("data").exists(), "check-config must not create anything");
}

/// Nor does SIGHUP end the process.
#[test]
fn missing_database_does_not_prevent_startup() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "@ MX 10 mail\nmail A 192.0.2.2\n", "database = \"nowhere.mmdb\"");
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-geodns"));
    let mut node =
        command.arg("--config").arg(folder.path().join("geodns.toml")).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(node.stderr.take().unwrap()).lines().map(Result::unwrap);
    let start: Vec<String> = log.by_ref().take_while(|line| !line.contains("listening")).collect();
    assert!(start.iter().any(|line| line.contains("nowhere.mmdb")), "{start:?}");
    let pid = node.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    assert!(log.any(|line| line.contains("SIGHUP")), "it ended");
    assert!(node.try_wait().unwrap().is_none());
    node.kill().unwrap();
    node.wait().unwrap();
}

/// Starts the name server, returns its log up to and including the line that says so, and kills it.
fn start(folder: &Path) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-geodns"));
    let mut node = command.arg("--config").arg(folder.join("geodns.toml")).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = Vec::new();
    for line in BufReader::new(node.stderr.take().unwrap()).lines() {
        log.push(line.unwrap());
        if log.last().unwrap().contains("listening") {
            break;
        }
    }
    node.kill().unwrap();
    node.wait().unwrap();
    log
}

#[test]
fn broken_zone_file_fails_check_config_but_not_a_start_with_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "@ MX 10 mail\nmail A 192.0.2.2\n", "");
    let log = start(folder.path());
    assert!(log.last().unwrap().contains("listening"), "{log:?}");
    write(folder.path(), "@ MX mail\nmail A 192.0.2.999\n", "");
    let (code, shown, errors) = check(folder.path());
    assert_eq!((code, shown.as_str()), (Some(1), ""), "{errors}");
    assert!(errors.contains("mail.zone:1: ") && errors.contains("mail.zone:2: "), "{errors}");
    let log = start(folder.path());
    assert!(log.last().unwrap().contains("listening"), "{log:?}");
    let log = log.join("\n");
    for part in ["ERROR", "serving the copy of an earlier version", "mail.zone:1: ", "mail.zone:2: ", "age_seconds"] {
        assert!(log.contains(part), "{part}: {log}");
    }

    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    let log = start(folder.path()).join("\n");
    for part in
        ["error: ", "mail.zone:1: ", "mail.zone:2: ", "hint: fix the zone file; no earlier version can be served"]
    {
        assert!(log.contains(part) && !log.contains("listening"), "{part}: {log}");
    }
}

#[test]
fn check_config_of_an_invalid_file_reports_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    for (included, more, location, wrong) in [
        ("@ MX 10 mail\nmail A 192.0.2.999\n", "", "mail.zone:2: ", "192.0.2.999"),
        ("@ MX 10 mail\n", "wrokers = 2", "line 7", "unknown field `wrokers`"),
        ("@ MX 10 mail\n", "database = \"nowhere.mmdb\"", "nowhere.mmdb", "No such file"),
        ("@ MX 10 mail\n", "drain_timeout_seconds = -1", "line 7", "drain_timeout_seconds = -1"),
    ] {
        write(folder.path(), included, more);
        let (code, shown, errors) = check(folder.path());
        assert_eq!((code, shown.as_str()), (Some(1), ""), "{errors}");
        assert!(errors.contains(location) && errors.contains(wrong), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_of_another_owner_is_logged_and_found_by_check_config() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), FakeOrigin::start().await);
    origin.set_token_owner(TokenOwner::Edge("fra-1".parse().unwrap()));
    write_with_origin(folder.path(), &origin.url(), "@ MX 10 mail\nmail A 192.0.2.2\n", "");
    let wrong = "the token belongs to edge fra-1, but this is name server ns-1: issue one with `verge dns token ns-1`";
    let (code, shown, _) = tokio::task::block_in_place(|| check_with(folder.path(), &["--online"]));
    assert_eq!(code, Some(1));
    assert!(shown.contains("\nok    listen 127.0.0.1:0: can be opened\n") && shown.contains(wrong), "{shown}");
    let log = folder.path().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge-geodns"));
    command.arg("--config").arg(folder.path().join("geodns.toml")).stderr(std::fs::File::create(&log).unwrap());
    let mut process = command.spawn().unwrap();
    until("the log", async || std::fs::read_to_string(&log).unwrap().contains(wrong)).await;
    process.kill().unwrap();
    process.wait().unwrap();
}
