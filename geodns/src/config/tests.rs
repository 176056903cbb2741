//! Tests of the configuration file.

use verge_daemon::config::placeholders;
use verge_daemon::error_chain;

use super::raw::RawConfig;
use super::*;

const TOKEN: &str = "vrg_00000000000000000000000000000000000000009692e67b";

fn read(text: &str) -> Result<Config, String> {
    let raw: RawConfig = toml::from_str(text).map_err(|error| error.to_string())?;
    Config::try_from(raw).map_err(|error| error_chain(&error))
}

fn sample() -> String {
    include_str!("../../geodns.sample.toml")
        .replace("token_file = \"/etc/verge/ns.token\"", &format!("token = \"{TOKEN}\""))
}

/// The sample with every commented setting enabled, except these.
fn uncommented(but: &[&str]) -> String {
    let line = |line: &str| {
        let setting = line.strip_prefix("# ").filter(|setting| setting.contains(" = ") && !setting.contains(". "));
        let name = setting.and_then(|setting| setting.split(' ').next()).filter(|name| !but.contains(name));
        name.map_or_else(|| line.to_owned(), |_| line[2..].to_owned())
    };
    sample().lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn sample_shows_the_defaults() {
    let config = read(&sample()).unwrap();
    assert_eq!((config.name.as_str(), config.listen.len(), config.zones.len()), ("ns-1", 2, 1));
    assert_eq!((config.zones[0].sites, config.locations.len()), (true, 2));
    assert_eq!((config.answers, config.tcp), (Policy::default(), TcpLimits::default()));
    assert_eq!((&config.health, &config.rate_limit), (&HealthConfig::default(), &RateLimit::default()));
    // A commented setting shows its default, except those without one.
    let all = uncommented(&["origin_pin", "workers", "database", "host", "ca_file", "name", "file"]);
    assert_eq!(all.matches("\n# ").count() + 21, sample().matches("\n# ").count());
    assert_eq!(format!("{:#?}", read(&all).unwrap()), format!("{config:#?}"));
}

#[test]
fn sample_has_placeholders_for_what_must_be_set() {
    let found = placeholders(include_str!("../../geodns.sample.toml"));
    let settings: Vec<&str> = found.iter().map(|placeholder| placeholder.setting.as_str()).collect();
    assert_eq!(settings, ["origins", "zones.name"]);
}

#[test]
fn settings_override_the_defaults() {
    let set = |from: &str, to: &str| read(&sample().replace(from, to)).unwrap();
    let answers =
        set("# count = 2", "count = 1\nttl_seconds = 20\nsuspect_ttl_seconds = 5\nall_down = \"nothing\"").answers;
    assert_eq!(answers, Policy { answers: 1, ttl: 20, suspect_ttl: 5, all_down: AllDown::Nothing });
    let config = set("# interval_seconds = 5", "interval_seconds = 1.5\nfall = 1\nrise = 9\nlag_seconds = 4");
    let ProbeSettings { interval, fall, rise, .. } = config.health.probe;
    assert_eq!((interval.as_millis(), fall.get(), rise.get()), (1500, 1, 9));
    assert_eq!(config.health.lag_after, Duration::from_secs(4));
    let health = set("# host = \"status", "scheme = \"https\"\nhost = \"status").health;
    assert_eq!((health.scheme, health.host.unwrap().as_str()), (ProbeScheme::Https, "status.sites.example.com"));
    let tcp = set("# connections = 1000", "connections = 5\nper_address = 2\nidle_seconds = 0.5").tcp;
    assert_eq!(tcp, TcpLimits { connections: 5, per_address: 2, idle: Duration::from_millis(500) });
    let limit = set("# per_second = 200", "per_second = 0\nslip = 1\nexempt = []").rate_limit;
    assert_eq!(limit, RateLimit { per_second: 0, slip: 1, exempt: Vec::new() });
    let config = set("# workers = 2", "workers = 7\ndrain_timeout_seconds = 9\ndatabase = \"x.mmdb\"");
    assert_eq!((config.workers, config.drain_timeout.as_secs(), config.database), (7, 9, Some("x.mmdb".into())));
    assert_eq!(set("# one_in = 0", "one_in = 10").log_one_in, 10);
}

/// The zone of the sample again.
const DUPLICATE: &str = "[[zones]]\nname = \"sites.example.com\"\nfile = \"x\"";

#[test]
fn private_hosts_are_a_list_of_names() {
    let config = read(&sample().replace("# private_hosts = []", "private_hosts = [\"metrics.internal\"]")).unwrap();
    assert_eq!(format!("{:?}", config.private_hosts), "[metrics.internal]");
}

#[test]
fn invalid_setting_is_named_with_the_expectation() {
    for (from, to, wrong) in [
        ("[answers]", "[answer]", "unknown field `answer`"),
        ("# count = 2", "cuont = 2", "unknown field `cuont`"),
        ("# count = 2", "count = 5", "invalid `answers.count`: expected from 1 to 4"),
        ("# ttl_seconds = 60", "ttl_seconds = 0", "invalid `answers.ttl_seconds`: expected from 1 to 86400"),
        ("# interval_seconds = 5", "interval_seconds = -1", "invalid `health.interval_seconds`: expected more than 0"),
        ("# interval_seconds = 5", "interval_seconds = nan", "invalid `health.interval_seconds`: expected more than 0"),
        ("# fall = 3", "fall = 0", "nonzero"),
        ("# private_hosts = []", "private_hosts = [\"ns-1:7601\"]", "invalid domain name `ns-1:7601`"),
        ("# scheme = \"http\"", "scheme = \"ftp\"", "unknown variant `ftp`"),
        (
            "# ca_file = \"/etc/verge/ca.pem\"",
            "ca_file = \"/nowhere/ca\"",
            "failed to read `health.ca_file` /nowhere/ca",
        ),
        ("# connections = 1000", "connections = 0", "invalid `tcp.connections`: expected from 1 to 100000"),
        ("# workers = 2", "workers = 0", "invalid `workers`: expected from 1 to 256"),
        ("[\"0.0.0.0:53\", \"[::]:53\"]", "[]", "the list is empty: expected at least one value"),
        ("# [[zones]]", DUPLICATE, "zone sites.example.com is listed twice"),
        (
            "[\"https://origin.example.com\"]",
            "[\"http://origin.example.com\"]",
            "insecure origin URL `http://origin.example.com`",
        ),
        ("203.0.113.0/24", "203.0.113.0/28", "invalid `locations`"),
        ("50.11,8.68", "91,8", "91"),
    ] {
        assert!(sample().contains(from), "{from}");
        let error = read(&sample().replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(wrong), "{to}: {error}");
    }
    let without_zones: String = sample().split("[[zones]]").next().unwrap().to_owned();
    assert_eq!(read(&without_zones).unwrap_err(), "no zone is configured: add [[zones]] with a `name` and a `file`");
}

#[test]
fn debug_output_shows_bounds_and_no_secret() {
    let shown = format!("{:#?}", read(&sample()).unwrap());
    assert!(!shown.contains("vrg_"), "{shown}");
    for bound in ["detected within: 15s", "other edges within: 75s", "10 minutes, at most: "] {
        assert!(shown.contains(bound), "{shown}");
    }
}
