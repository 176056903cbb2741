//! A line of the access log. Whatever a client sends, a line is printable ASCII and ends with the only line break in it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use http::Version;
use verge_protocol::Timestamp;

use crate::config::AccessLogFormat;

/// Lengths beyond which fields of a request are cut, in bytes before escaping.
pub(super) const METHOD_MAX: usize = 32;
pub(super) const HOST_MAX: usize = 255;
pub(super) const TARGET_MAX: usize = 2048;
pub(super) const REFERER_MAX: usize = 1024;
pub(super) const USER_AGENT_MAX: usize = 512;

/// What follows a field that was cut.
const CUT: &str = "...";

/// The status of a request that got none, because its client left before: nginx's, since a line of `combined` must have one.
const CLIENT_LEFT: u16 = 499;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A request and how it was answered. Bytes are as the client sent them.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    /// When the request came.
    pub(super) time: Timestamp,
    pub(super) remote: IpAddr,
    pub(super) host: Option<&'a [u8]>,
    pub(super) method: &'a [u8],
    /// Path and query.
    pub(super) target: &'a [u8],
    pub(super) protocol: Version,
    /// `None`: the client left before there was a response.
    pub(super) status: Option<u16>,
    pub(super) sent_bytes: u64,
    pub(super) duration: Duration,
    pub(super) is_complete: bool,
    pub(super) site: Option<&'a str>,
    pub(super) channel: Option<&'a str>,
    pub(super) release: Option<&'a str>,
    pub(super) cache: &'static str,
    pub(super) tls: Option<&'static str>,
    pub(super) referer: Option<&'a [u8]>,
    pub(super) user_agent: Option<&'a [u8]>,
}

impl Line<'_> {
    /// The line with its line break.
    pub(super) fn text(&self, format: AccessLogFormat) -> String {
        let mut text = String::with_capacity(512);
        match format {
            AccessLogFormat::Json => self.write_json(&mut text),
            AccessLogFormat::Combined => self.write_combined(&mut text),
        }
        text.push('\n');
        text
    }

    fn write_json(&self, text: &mut String) {
        let time = self.time.to_string();
        let _ = write!(text, "{{\"time\":\"{}.{:03}Z\"", time.trim_end_matches('Z'), self.time.0 % 1000);
        let _ = write!(text, ",\"remote\":\"{}\"", self.remote);
        json_field(text, "host", self.host, HOST_MAX);
        json_field(text, "method", Some(self.method), METHOD_MAX);
        json_field(text, "target", Some(self.target), TARGET_MAX);
        let _ = write!(text, ",\"protocol\":\"{:?}\",\"status\":", self.protocol);
        match self.status {
            Some(status) => write!(text, "{status}").unwrap_or_default(),
            None => text.push_str("null"),
        }
        let (milliseconds, rest) = (self.duration.as_millis(), self.duration.subsec_micros() % 1000);
        let _ = write!(text, ",\"bytes\":{},\"duration_ms\":{milliseconds}.{rest:03}", self.sent_bytes);
        let _ = write!(text, ",\"complete\":{}", self.is_complete);
        let own = [("site", self.site), ("channel", self.channel), ("release", self.release)];
        for (name, value) in own.into_iter().chain([("cache", Some(self.cache)), ("tls", self.tls)]) {
            json_field(text, name, value.map(str::as_bytes), usize::MAX);
        }
        json_field(text, "referer", self.referer, REFERER_MAX);
        json_field(text, "user_agent", self.user_agent, USER_AGENT_MAX);
        text.push('}');
    }

    /// `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
    fn write_combined(&self, text: &mut String) {
        let _ = write!(text, "{} - - [", self.remote);
        write_clf_time(text, self.time);
        text.push_str("] \"");
        write_combined_field(text, self.method, METHOD_MAX);
        text.push(' ');
        write_combined_field(text, self.target, TARGET_MAX);
        let (status, bytes) = (self.status.unwrap_or(CLIENT_LEFT), self.sent_bytes);
        let _ = write!(text, " {:?}\" {status} {bytes} \"", self.protocol);
        write_combined_field(text, self.referer.unwrap_or(b"-"), REFERER_MAX);
        text.push_str("\" \"");
        write_combined_field(text, self.user_agent.unwrap_or(b"-"), USER_AGENT_MAX);
        text.push('"');
    }
}

/// `28/Nov/2026:19:04:44 +0000`, of `2026-11-28T19:04:44Z`.
fn write_clf_time(text: &mut String, time: Timestamp) {
    let time = time.to_string();
    let (date, clock) = time.trim_end_matches('Z').split_once('T').unwrap_or_default();
    let mut date = date.split('-');
    let (year, month, day) = (date.next().unwrap_or_default(), date.next(), date.next().unwrap_or_default());
    let month = month.and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
    let _ = write!(text, "{day}/{}/{year}:{clock} +0000", MONTHS[(month - 1) % 12]);
}

fn json_field(text: &mut String, name: &str, value: Option<&[u8]>, length_max: usize) {
    let _ = write!(text, ",\"{name}\":");
    let Some(value) = value else { return text.push_str("null") };
    let (value, end) = cut(value, length_max);
    text.push('"');
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                ' '..='~' => text.push(character),
                // Not as it is: among these are C1 control characters, and those that reverse what is shown.
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let _ = write!(text, "\\u{unit:04x}");
                    }
                }
            }
        }
        if !chunk.invalid().is_empty() {
            text.push_str("\\ufffd");
        }
    }
    text.push_str(end);
    text.push('"');
}

/// As nginx escapes: `\xXX` for quotes, backslashes, and what is not printable ASCII.
fn write_combined_field(text: &mut String, value: &[u8], length_max: usize) {
    let (value, end) = cut(value, length_max);
    for byte in value {
        match byte {
            b'"' | b'\\' => write!(text, "\\x{byte:02X}").unwrap_or_default(),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02X}").unwrap_or_default(),
        }
    }
    text.push_str(end);
}

fn cut(value: &[u8], length_max: usize) -> (&[u8], &'static str) {
    if value.len() > length_max { (&value[..length_max], CUT) } else { (value, "") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn line() -> Line<'static> {
        Line {
            time: Timestamp(1_795_892_684_042),
            remote: "203.0.113.9".parse().unwrap(),
            host: Some(b"demo.example.com"),
            method: b"GET",
            target: b"/a?b=c",
            protocol: Version::HTTP_11,
            status: Some(200),
            sent_bytes: 1234,
            duration: Duration::from_micros(12_345),
            is_complete: true,
            site: Some("demo"),
            channel: Some("live"),
            release: Some("v3"),
            cache: "memory",
            tls: Some("TLSv1.3"),
            referer: Some(b"https://example.com/"),
            user_agent: Some(b"curl/8"),
        }
    }

    fn unanswered() -> Line<'static> {
        Line {
            host: None,
            protocol: Version::HTTP_2,
            status: None,
            sent_bytes: 0,
            is_complete: false,
            site: None,
            channel: None,
            release: None,
            cache: "none",
            tls: None,
            referer: None,
            user_agent: None,
            ..line()
        }
    }

    #[test]
    fn json_line_has_all_fields() {
        assert_eq!(
            line().text(AccessLogFormat::Json),
            "{\"time\":\"2026-11-28T19:04:44.042Z\",\"remote\":\"203.0.113.9\",\"host\":\"demo.example.com\",\"method\":\"GET\",\
             \"target\":\"/a?b=c\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":1234,\"duration_ms\":12.345,\"complete\":true,\
             \"site\":\"demo\",\"channel\":\"live\",\"release\":\"v3\",\"cache\":\"memory\",\"tls\":\"TLSv1.3\",\
             \"referer\":\"https://example.com/\",\"user_agent\":\"curl/8\"}\n"
        );
        let unanswered: Value = serde_json::from_str(&unanswered().text(AccessLogFormat::Json)).unwrap();
        for name in ["host", "status", "site", "channel", "release", "tls", "referer", "user_agent"] {
            assert_eq!(unanswered[name], json!(null), "{name}");
        }
        assert_eq!((&unanswered["complete"], &unanswered["cache"]), (&json!(false), &json!("none")));
    }

    #[test]
    fn combined_line_is_that_of_nginx() {
        assert_eq!(
            line().text(AccessLogFormat::Combined),
            "203.0.113.9 - - [28/Nov/2026:19:04:44 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234 \"https://example.com/\" \"curl/8\"\n"
        );
        assert_eq!(
            unanswered().text(AccessLogFormat::Combined),
            "203.0.113.9 - - [28/Nov/2026:19:04:44 +0000] \"GET /a?b=c HTTP/2.0\" 499 0 \"-\" \"-\"\n"
        );
    }

    #[test]
    fn combined_time_has_the_month_by_name() {
        for (milliseconds, expected) in
            [(0, "01/Jan/1970:00:00:00 +0000"), (1_735_689_599_999, "31/Dec/2024:23:59:59 +0000")]
        {
            let mut text = String::new();
            write_clf_time(&mut text, Timestamp(milliseconds));
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn hostile_bytes_are_escaped() {
        for (bytes, in_json, in_combined) in [
            (&b"a\"b"[..], r#"a\"b"#, r"a\x22b"),
            (b"a\\", r"a\\", r"a\x5C"),
            (b"a\r\n1.2.3.4 - -", r"a\u000d\u000a1.2.3.4 - -", r"a\x0D\x0A1.2.3.4 - -"),
            (b"\x1b[31m\x7f\0", r"\u001b[31m\u007f\u0000", r"\x1B[31m\x7F\x00"),
            // The control sequence introducer as one character.
            (b"\xc2\x9b31m", r"\u009b31m", r"\xC2\x9B31m"),
            // A right-to-left override, a line separator, and a character of two UTF-16 units.
            (
                "\u{202e}\u{2028}\u{1f600}".as_bytes(),
                r"\u202e\u2028\ud83d\ude00",
                r"\xE2\x80\xAE\xE2\x80\xA8\xF0\x9F\x98\x80",
            ),
            (b"\xff\xfea\xc3", r"\ufffd\ufffda\ufffd", r"\xFF\xFEa\xC3"),
            (b"%0a", "%0a", "%0a"),
            (b"", "", ""),
        ] {
            let hostile = Line { user_agent: Some(bytes), ..line() };
            let json = hostile.text(AccessLogFormat::Json);
            assert!(json.ends_with(&format!(",\"user_agent\":\"{in_json}\"}}\n")), "{bytes:?}: {json}");
            let combined = hostile.text(AccessLogFormat::Combined);
            assert!(combined.ends_with(&format!(" \"{in_combined}\"\n")), "{bytes:?}: {combined}");
        }
    }

    #[test]
    fn long_fields_are_cut() {
        let long = vec![b'a'; 100_000];
        let cut = Line {
            host: Some(&long),
            method: &long,
            target: &long,
            referer: Some(&long),
            user_agent: Some(&long),
            ..line()
        };
        let json: Value = serde_json::from_str(&cut.text(AccessLogFormat::Json)).unwrap();
        for (name, length) in [("method", 32), ("host", 255), ("target", 2048), ("referer", 1024), ("user_agent", 512)]
        {
            assert_eq!(json[name], format!("{}...", "a".repeat(length)));
        }
        assert!(cut.text(AccessLogFormat::Combined).len() < 4000);
    }

    proptest! {
        #[test]
        fn line_is_printable_ascii_that_gives_back_its_fields(
            target in prop::collection::vec(any::<u8>(), 0..60),
            referer in prop::collection::vec(any::<u8>(), 0..60),
            agent in prop::collection::vec(prop::sample::select(b"\"\\\n\r\x1b -[]{},x5C\xc2\x9b".to_vec()), 0..60),
        ) {
            let hostile = Line { target: &target, host: Some(&agent), referer: Some(&referer), user_agent: Some(&agent), ..line() };
            for format in [AccessLogFormat::Json, AccessLogFormat::Combined] {
                let text = hostile.text(format);
                let content = text.strip_suffix('\n').unwrap();
                prop_assert!(content.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{content}");
            }
            let json: Value = serde_json::from_str(&hostile.text(AccessLogFormat::Json)).unwrap();
            for (name, bytes) in [("target", &target), ("referer", &referer), ("user_agent", &agent), ("host", &agent)] {
                prop_assert_eq!(json[name].as_str().unwrap(), String::from_utf8_lossy(bytes));
            }
            let combined = hostile.text(AccessLogFormat::Combined);
            let parts: Vec<&str> = combined.split('"').collect();
            prop_assert_eq!(parts.len(), 7);
            for (part, bytes) in [(parts[3], &referer), (parts[5], &agent)] {
                prop_assert_eq!(&unescape(part), bytes);
            }
        }
    }

    fn unescape(text: &str) -> Vec<u8> {
        let mut parts = text.split("\\x");
        let mut bytes = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        bytes
    }
}
