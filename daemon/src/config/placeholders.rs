//! Settings that still have the example of a sample or of the documentation.

use std::fmt;
use std::net::IpAddr;

use toml::Value;
use verge_protocol::placeholder::is_placeholder;

/// A setting that was never filled in: it cannot work for anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// The setting, such as `origins` or `zones.name`.
    pub setting: String,
    /// Its value.
    pub value: String,
    reason: &'static str,
}

impl fmt::Display for Placeholder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` is `{}`: {}", self.setting, self.value, self.reason)
    }
}

/// Every placeholder in the values of a TOML file: names reserved for examples (RFC 2606, RFC 6761), addresses reserved for documentation
/// (RFC 5737, RFC 3849, RFC 9637), and texts such as `<name>`. Keys, networks and paths of files are not looked at. A `token` is
/// not either: it is checked by itself, and its text is not repeated.
///
/// Empty if the text is not valid TOML.
pub fn placeholders(text: &str) -> Vec<Placeholder> {
    let mut found = Vec::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        collect("", &Value::Table(table), &mut found);
    }
    found
}

fn collect(setting: &str, value: &Value, found: &mut Vec<Placeholder>) {
    match value {
        Value::String(text) if setting != "token" => {
            if let Some(reason) = reason(text) {
                found.push(Placeholder { setting: setting.to_owned(), value: text.clone(), reason });
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(setting, value, found)),
        Value::Table(table) => {
            for (key, value) in table {
                let setting = if setting.is_empty() { key.clone() } else { format!("{setting}.{key}") };
                collect(&setting, value, found);
            }
        }
        _ => {}
    }
}

/// Why a value is a placeholder; `None`: it is not one.
fn reason(value: &str) -> Option<&'static str> {
    let host = host(value);
    if is_placeholder(value) {
        Some("a placeholder")
    } else if host.parse().is_ok_and(is_documentation_address) {
        Some("an address reserved for documentation")
    } else if is_example_name(host) {
        Some("a name reserved for examples")
    } else {
        None
    }
}

/// The host in a URL, a socket address, an address or a name; empty if it is a path or a network.
fn host(value: &str) -> &str {
    let authority = match value.split_once("://") {
        Some((_, rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
        None if value.contains('/') => "",
        None => value,
    };
    if authority.parse::<IpAddr>().is_ok() {
        return authority;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.trim_start_matches('[').trim_end_matches(']')
}

fn is_documentation_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets(), [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _]),
        IpAddr::V6(address) => match address.segments() {
            [0x2001, 0x0db8, ..] => true,
            [0x3fff, second, ..] => second < 0x1000,
            _ => false,
        },
    }
}

fn is_example_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let mut labels = name.rsplit('.');
    match (labels.next(), labels.next()) {
        (Some("example"), _) => name.contains('.'),
        (Some("com" | "net" | "org"), Some("example")) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        placeholders(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn placeholders_are_found_wherever_they_are() {
        let text = r#"
            name = "<name of this edge>"
            origins = ["https://cdn.acme.net", "https://origin.example.com:8443/"]
            listen = ["203.0.113.7:80", "[2001:db8::7]:80"]
            url = "http://[3fff::1]"
            base_domain = "Sites.Example."
            token = "<token>"
            [[zones]]
            name = "example.org"
            file = "/etc/verge/sites.example.com.zone"
            [health]
            host = "CHANGE-ME"
        "#;
        assert_eq!(
            found(text),
            [
                "`base_domain` is `Sites.Example.`: a name reserved for examples",
                "`health.host` is `CHANGE-ME`: a placeholder",
                "`listen` is `203.0.113.7:80`: an address reserved for documentation",
                "`listen` is `[2001:db8::7]:80`: an address reserved for documentation",
                "`name` is `<name of this edge>`: a placeholder",
                "`origins` is `https://origin.example.com:8443/`: a name reserved for examples",
                "`url` is `http://[3fff::1]`: an address reserved for documentation",
                "`zones.name` is `example.org`: a name reserved for examples",
            ]
        );
    }

    #[test]
    fn values_that_can_work_are_not_placeholders() {
        let text = r#"
            name = "example"
            origins = ["https://example.com.acme.net", "http://127.0.0.1:7400", "https://[2a01::1]:443"]
            listen = ["0.0.0.0:80", "[::]:80", "192.0.3.1:80"]
            base_domain = ["localhost", "verge.test", "myexample.com"]
            database = "example.com/city.mmdb"
            exempt = ["192.0.2.0/24", "::1/128"]
            one_in = 3
            [locations]
            "203.0.113.0/24" = "50.11,8.68"
        "#;
        assert_eq!(found(text), [""; 0]);
        assert_eq!(found("name = "), [""; 0]);
    }
}
