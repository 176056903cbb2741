//! What the configuration file may hold, and what it comes to.

use verge_daemon::error_chain;

use super::*;

fn read(text: &str) -> Result<Config, String> {
    let raw: RawConfig = toml::from_str(text).map_err(|error| error.to_string())?;
    Config::try_from(raw).map_err(|error| error_chain(&error))
}

fn sample() -> String {
    include_str!("../../geodns.sample.toml").replace("token_file = ", "token = ")
}

/// The sample with what these settings have as comments.
fn uncommented(but: &[&str]) -> String {
    let line = |line: &str| {
        let setting = line.strip_prefix("# ").filter(|setting| setting.contains(" = ") && !setting.contains(". "));
        let name = setting.and_then(|setting| setting.split(' ').next()).filter(|name| !but.contains(name));
        name.map_or_else(|| line.to_owned(), |_| line[2..].to_owned())
    };
    sample().lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_shows_the_defaults() {
    let config = read(&sample()).unwrap();
    assert_eq!((config.name.as_str(), config.listen.len(), config.zones.len()), ("ns-1", 2, 1));
    assert_eq!((config.zones[0].sites, config.places.len()), (true, 2));
    assert_eq!((config.answers, config.tcp), (Policy::default(), TcpLimits::default()));
    assert_eq!((&config.health, &config.rate_limit), (&HealthConfig::default(), &RateLimit::default()));
    // What stands there as a comment is what holds without it, but for what has no default.
    let all = uncommented(&["workers", "database", "host", "ca_file", "name", "file"]);
    assert_eq!(all.matches("\n# ").count() + 20, sample().matches("\n# ").count());
    assert_eq!(format!("{:#?}", read(&all).unwrap()), format!("{config:#?}"));
}

#[test]
fn what_is_set_is_taken() {
    let set = |from: &str, to: &str| read(&sample().replace(from, to)).unwrap();
    let answers =
        set("# count = 2", "count = 1\nttl_seconds = 20\nshaky_ttl_seconds = 5\nall_down = \"nothing\"").answers;
    assert_eq!(answers, Policy { answers: 1, ttl: 20, shaky_ttl: 5, all_down: AllDown::Nothing });
    let config = set("# interval_seconds = 5", "interval_seconds = 1.5\ndown_after = 1\nup_after = 9\nlag_seconds = 4");
    let Pace { interval, down_after, up_after, .. } = config.health.pace;
    assert_eq!((interval.as_millis(), down_after.get(), up_after.get()), (1500, 1, 9));
    assert_eq!(config.health.lag_after, Duration::from_secs(4));
    let health = set("# host = \"status", "scheme = \"https\"\nhost = \"status").health;
    assert_eq!((health.scheme, health.host.unwrap().as_str()), (Scheme::Https, "status.sites.example.com"));
    let tcp = set("# connections = 1000", "connections = 5\nper_address = 2\nidle_seconds = 0.5").tcp;
    assert_eq!(tcp, TcpLimits { connections: 5, per_address: 2, idle: Duration::from_millis(500) });
    let limit = set("# per_second = 200", "per_second = 0\nslip = 1\nexempt = []").rate_limit;
    assert_eq!(limit, RateLimit { per_second: 0, slip: 1, exempt: Vec::new() });
    let config = set("# workers = 2", "workers = 7\ndrain_seconds = 9\ndatabase = \"x.mmdb\"");
    assert_eq!((config.workers, config.drain_timeout.as_secs(), config.database), (7, 9, Some("x.mmdb".into())));
    assert_eq!(set("# one_in = 0", "one_in = 10").log_one_in, 10);
}

/// The sample's zone once more.
const TWICE: &str = "[[zones]]\nname = \"sites.example.com\"\nfile = \"x\"";

#[test]
fn what_is_wrong_is_named() {
    for (from, to, wrong) in [
        ("[answers]", "[answer]", "unknown field `answer`"),
        ("# count = 2", "cuont = 2", "unknown field `cuont`"),
        ("# count = 2", "count = 5", "`answers.count` must be from 1 to 4"),
        ("# ttl_seconds = 60", "ttl_seconds = 0", "`answers.ttl_seconds` must be from 1 to 86400"),
        ("# interval_seconds = 5", "interval_seconds = -1", "`health.interval_seconds` must be more than 0"),
        ("# interval_seconds = 5", "interval_seconds = nan", "`health.interval_seconds` must be more than 0"),
        ("# down_after = 3", "down_after = 0", "nonzero"),
        ("# scheme = \"http\"", "scheme = \"ftp\"", "unknown variant `ftp`"),
        (
            "# ca_file = \"/etc/verge/ca.pem\"",
            "ca_file = \"/nowhere/ca\"",
            "`health.ca_file` cannot be read: /nowhere/ca",
        ),
        ("# connections = 1000", "connections = 0", "`tcp.connections` must be from 1 to 100000"),
        ("# workers = 2", "workers = 0", "`workers` must be from 1 to 256"),
        ("[\"0.0.0.0:53\", \"[::]:53\"]", "[]", "the list is empty: name at least one"),
        ("# [[zones]]", TWICE, "the zone sites.example.com is there twice"),
        ("[\"https://origin.example.com\"]", "[\"http://origin.example.com\"]", "in `origins`"),
        ("203.0.113.0/24", "203.0.113.0/28", "in `places`"),
        ("50.11,8.68", "91,8", "91"),
    ] {
        assert!(sample().contains(from), "{from}");
        let error = read(&sample().replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(wrong), "{to}: {error}");
    }
    let without_zones: String = sample().split("[[zones]]").next().unwrap().to_owned();
    assert_eq!(read(&without_zones).unwrap_err(), "there is no zone: add one with [[zones]], a `name` and a `file`");
}

#[test]
fn it_shows_its_bounds_and_no_secret() {
    let shown = format!("{:#?}", read(&sample()).unwrap());
    assert!(!shown.contains("/etc/verge/ns.token"), "{shown}");
    for bound in ["known after at most: 15s", "elsewhere after at most: 75s", "ten minutes at most: "] {
        assert!(shown.contains(bound), "{shown}");
    }
}
