//! `verge login` and `verge logout`, against a real origin over TLS.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use verge::Exit;
use verge_daemon::Clock;
use verge_origin::{Config, Origin};
use verge_protocol::{Digest, KeyPin, Timestamp};

use crate::world::{Ran, verge_typing};

/// An origin that presents its identity key, and a user's configuration directory.
struct Login {
    dir: tempfile::TempDir,
    origin: Origin,
}

impl Login {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            tls_listen: vec![std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()],
            ..Config::new(dir.path().join("origin"), "https://sites.example.org".parse().unwrap())
        };
        let origin = Origin::bind_with_clock(config, Clock::manual(Timestamp(3_600_000))).await.unwrap();
        Self { dir, origin }
    }

    fn url(&self) -> String {
        format!("https://{}", self.origin.tls_addrs()[0])
    }

    fn pin(&self) -> KeyPin {
        self.origin.pin().unwrap()
    }

    fn profile(&self) -> PathBuf {
        self.dir.path().join("config/verge/profile.toml")
    }

    /// Runs `verge` with the profile only, or with these variables too.
    async fn verge(&self, typed: &str, variables: &[(&str, &str)], answers: Option<&'static str>, secret: &str) -> Ran {
        let config = self.dir.path().join("config").display().to_string();
        let variables = [&[("XDG_CONFIG_HOME", &*config)], variables].concat();
        let arguments: Vec<&str> = typed.split_whitespace().collect();
        verge_typing(self.dir.path(), &variables, &arguments, answers, secret).await
    }

    async fn log_in(&self, more: &str, answers: Option<&'static str>, secret: &str) -> Ran {
        self.verge(&format!("login {} {more}", self.url()), &[], answers, secret).await
    }
}

#[tokio::test]
async fn pin_is_shown_and_kept_with_the_token_for_later_commands() {
    let login = Login::new().await;
    let token = login.origin.admin_token().expose().to_owned();
    let logged_in = login.log_in("", Some("y\n"), &token).await.ended(Exit::Success);
    assert!(logged_in.stderr.contains(&login.pin().to_string()), "{}", logged_in.stderr);
    assert!(!format!("{}{}", logged_in.stdout, logged_in.stderr).contains(&token));
    assert_eq!(std::fs::metadata(login.profile()).unwrap().permissions().mode() & 0o777, 0o600);

    let status = login.verge("status", &[], None, "").await.ended(Exit::Success);
    let head = format!("origin {}, version {}, position", login.url(), env!("CARGO_PKG_VERSION"));
    assert!(status.stdout.starts_with(&head) && status.stdout.contains(&login.pin().to_string()), "{}", status.stdout);
    login.verge("logout", &[], None, "").await.ended(Exit::Success);
    assert!(!login.profile().exists());
    let gone = login.verge("status", &[], None, "").await.ended(Exit::Usage);
    assert!(gone.stderr.contains("run `verge login URL`"), "{}", gone.stderr);
    assert_eq!(login.verge("logout", &[], None, "").await.ended(Exit::Success).stdout, "not logged in\n");
    login.origin.shutdown().await.unwrap();
}

#[tokio::test]
async fn unknown_key_is_refused_without_a_pin_or_a_yes() {
    let login = Login::new().await;
    let token = login.origin.admin_token().expose().to_owned();
    let no = login.log_in("", Some("n\n"), &token).await.ended(Exit::Refused);
    assert!(no.stderr.contains("nothing was stored"), "{}", no.stderr);
    let piped = login.log_in("", None, &token).await.ended(Exit::Refused);
    assert!(piped.stderr.contains(&login.pin().to_string()) && piped.stderr.contains("use --pin"), "{}", piped.stderr);
    assert!(!login.profile().exists());
    let pin = login.pin();
    let json = login.log_in(&format!("--pin {pin} --json"), None, &token).await.ended(Exit::Success).json();
    assert_eq!((json["origin"].as_str(), json["pin"].as_str()), (Some(&*login.url()), Some(&*pin.to_string())));
    login.origin.shutdown().await.unwrap();
}

#[tokio::test]
async fn token_is_checked_before_it_is_kept() {
    let login = Login::new().await;
    let pin = format!("--pin {}", login.pin());
    let foreign = verge_protocol::token::from_random_digits(&"0".repeat(verge_protocol::token::RANDOM_DIGITS));
    for (secret, wrong) in [("", "the token is empty"), ("hunter2", "malformed token"), (&*foreign, "unknown token")] {
        let refused = login.log_in(&pin, None, secret).await.ended(Exit::NotAllowed);
        assert!(refused.stderr.contains(wrong) && refused.stderr.contains("`admin-token`"), "{}", refused.stderr);
    }
    assert!(!login.profile().exists());
    login.origin.shutdown().await.unwrap();
}

#[tokio::test]
async fn other_key_is_refused_with_both_pins() {
    let login = Login::new().await;
    let (url, token) = (login.url(), login.origin.admin_token().expose().to_owned());
    let other = KeyPin::new(Digest::of(b"other")).to_string();
    let variables = [("VERGE_ORIGIN", &*url), ("VERGE_TOKEN", &*token), ("VERGE_PIN", &*other)];
    let refused = login.verge("status", &variables, None, "").await.ended(Exit::Unreachable);
    let pin = login.pin().to_string();
    assert!(refused.stderr.contains(&other) && refused.stderr.contains(&pin), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint:"), "{}", refused.stderr);
    let unpinned = login.verge("status", &variables[..2], None, "").await.ended(Exit::Unreachable);
    assert!(unpinned.stderr.contains(&format!("run `verge login {url}`")), "{}", unpinned.stderr);
    login.verge(&format!("status --pin {pin}"), &variables, None, "").await.ended(Exit::Success);
    login.origin.shutdown().await.unwrap();
}

#[tokio::test]
async fn plain_http_to_another_machine_is_refused() {
    let login = Login::new().await;
    let refused = login.verge("login http://192.0.2.1:7400", &[], None, "").await.ended(Exit::Usage);
    assert!(refused.stderr.contains("unencrypted"), "{}", refused.stderr);
    login.origin.shutdown().await.unwrap();
}
