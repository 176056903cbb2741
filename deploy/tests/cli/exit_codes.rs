//! The program as a process: stdout, stderr and exit codes.

use std::process::{Command, Output};

use crate::world::{TOKEN, World};

async fn run(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verge"));
    command.current_dir(world.path()).args(arguments).env_clear().envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn push_without_terminal_prints_one_line_of_json() {
    let world = World::new().await;
    let variables = [("VERGE_ORIGIN", world.origin.url.as_str()), ("VERGE_TOKEN", TOKEN)];
    let output = run(&world, &["push", "--json"], &variables).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["release"], "v1");
    assert!(text(&output.stderr).starts_with("pushing dist "), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains(['\u{1b}', '\r']), "no progress bars or colors");
}

#[tokio::test]
async fn profile_is_found_in_config_directory_or_variable() {
    let world = World::new().await;
    world.write(".config/verge/profile.toml", format!("origin = \"{}\"\ntoken = \"{TOKEN}\"\n", world.origin.url));
    let home = world.path().to_str().unwrap();
    let output = run(&world, &["sites", "--json"], &[("XDG_CONFIG_HOME", &format!("{home}/.config"))]).await;
    let explicit = format!("{home}/.config/verge/profile.toml");
    let named = run(&world, &["sites", "--json"], &[("VERGE_PROFILE", &explicit)]).await;
    if cfg!(target_os = "linux") {
        assert_eq!(text(&output.stdout), "[]\n", "{}", text(&output.stderr));
    }
    assert_eq!(text(&named.stdout), "[]\n", "{}", text(&named.stderr));
}

#[tokio::test]
async fn each_kind_of_failure_has_its_exit_code() {
    let world = World::new().await;
    let code = async |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = run(&world, arguments, variables).await;
        assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        output.status.code()
    };
    let origin = ("VERGE_ORIGIN", world.origin.url.as_str());
    let token = ("VERGE_TOKEN", TOKEN);
    assert_eq!(code(&["push", "--no-such-flag"], &[]).await, Some(2));
    assert_eq!(code(&["push"], &[]).await, Some(2), "no origin configured");
    assert_eq!(code(&["push"], &[token, ("VERGE_ORIGIN", "http://192.0.2.1")]).await, Some(2), "unencrypted");
    std::fs::create_dir(world.path().join("empty")).unwrap();
    assert_eq!(code(&["push", "empty"], &[origin, token]).await, Some(3));
    assert_eq!(code(&["status"], &[token, ("VERGE_ORIGIN", "http://127.0.0.1:9")]).await, Some(4));
    assert_eq!(
        code(&["push"], &[origin, ("VERGE_TOKEN", "vrg_0123456789012345678901234567890123456789fb526cd4")]).await,
        Some(5)
    );
    world.origin.memory().faults.overtaken = true;
    assert_eq!(code(&["push"], &[origin, token]).await, Some(6));
}

#[tokio::test]
async fn help_and_version_go_to_stdout() {
    let world = World::new().await;
    for flag in ["--help", "--version"] {
        let output = run(&world, &[flag], &[]).await;
        assert!(output.status.success() && !output.stdout.is_empty() && output.stderr.is_empty(), "{flag}");
    }
}
