//! Human-readable numbers, times and text.

use std::time::Duration;

/// Bytes in decimal units with up to three significant digits: `453 B`, `4.2 MB`, `120 MB`.
pub fn bytes(bytes: u64) -> String {
    let mut unit = 1_u64;
    for (name, next) in [("B", 1_000_u64), ("kB", 1_000_000), ("MB", 1_000_000_000), ("GB", 1_000_000_000_000)] {
        // A value that would round up to 1000 uses the next unit.
        if bytes < next - unit / 2 || name == "GB" {
            let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
            return if unit == 1 || tenths >= 1000 {
                format!("{} {name}", (u128::from(bytes) + u128::from(unit) / 2) / u128::from(unit))
            } else {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            };
        }
        unit = next;
    }
    unreachable!("the last unit has no upper bound")
}

/// Bytes of a total, the unit given once if it is the same: `3.1 of 9.8 MB`, `5 B of 9.8 MB`.
pub fn bytes_of(done: u64, total: u64) -> String {
    let (done, total) = (bytes(done), bytes(total));
    let unit = total.rsplit(' ').next().unwrap_or_default();
    let done = done.strip_suffix(unit).and_then(|number| number.strip_suffix(' ')).unwrap_or(&done);
    format!("{done} of {total}")
}

/// A number with thousands separators: `20,000`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with a noun: `1 file`, `2 files`.
pub fn count(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", number(count), if count == 1 { "" } else { "s" })
}

/// A duration: `0.4 s`, `12 s`, `3 min 20 s`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 59.5 {
        format!("{seconds:.0} s")
    } else {
        let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// A short duration: `84 ms`, `1.2 s`.
pub fn milliseconds(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        _ => duration(Duration::from_millis(milliseconds)),
    }
}

/// A time in the past: `3 min ago`.
pub fn age(age: Duration) -> String {
    match age.as_secs() {
        0..5 => "just now".to_owned(),
        _ => format!("{} ago", span(age)),
    }
}

/// A long duration, in its greatest unit: `40 s`, `3 h`.
pub fn span(span: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match span.as_secs() {
        seconds @ 0..MINUTE => format!("{seconds} s"),
        seconds @ MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        seconds @ HOUR..DAY => format!("{} h", seconds / HOUR),
        seconds => count(seconds / DAY, "day"),
    }
}

/// A time in the future: `in 3 h`.
pub fn until(left: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match left.as_secs() {
        0..MINUTE => "now".to_owned(),
        seconds @ MINUTE..HOUR => format!("in {} min", seconds / MINUTE),
        seconds @ HOUR..DAY => format!("in {} h", seconds / HOUR),
        seconds => format!("in {}", count(seconds / DAY, "day")),
    }
}

/// Untrusted text, safe to print on one line of a terminal: its first line, with control and bidirectional formatting characters
/// replaced, truncated to `max` characters.
pub fn line(text: &str, max: usize) -> String {
    let first = text.trim().lines().next().unwrap_or_default();
    let plain = |character: char| if character.is_control() || is_bidi(character) { '\u{fffd}' } else { character };
    let mut line: String = first.chars().take(max).map(plain).collect();
    if first.chars().count() > max {
        line.pop();
        line.push('…');
    }
    line
}

/// Characters that change the order in which text is displayed (UAX #9 §2).
fn is_bidi(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_with_up_to_three_significant_digits() {
        for (number, text) in [
            (0, "0 B"),
            (453, "453 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (4_249, "4.2 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (120_000_000, "120 MB"),
            (4_294_967_296, "4.3 GB"),
            (5_000_000_000_000, "5000 GB"),
        ] {
            assert_eq!(bytes(number), text, "{number}");
        }
        assert_eq!(bytes(u64::MAX), "18446744074 GB");
        assert_eq!(bytes_of(3_100_000, 9_800_000), "3.1 of 9.8 MB");
        assert_eq!(bytes_of(0, 9_800_000), "0 B of 9.8 MB");
    }

    #[test]
    fn numbers_have_thousands_separators() {
        assert_eq!(
            ["0", "12", "999", "1,000", "20,000", "1,234,567"],
            [0, 12, 999, 1000, 20_000, 1_234_567].map(number).each_ref().map(String::as_str)
        );
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".to_owned(), "0 files".to_owned()));
    }

    #[test]
    fn times_use_the_unit_that_fits() {
        let took = |millis| duration(Duration::from_millis(millis));
        assert_eq!([took(0), took(430), took(9_940)], ["0.0 s", "0.4 s", "9.9 s"]);
        assert_eq!(
            [took(9_950), took(59_499), took(59_500), took(200_000)],
            ["10 s", "59 s", "1 min 0 s", "3 min 20 s"]
        );
        let left = |seconds| until(Duration::from_secs(seconds));
        assert_eq!([0, 59].map(left), ["now"; 2]);
        assert_eq!([60, 7200, 86_400, 172_800].map(left), ["in 1 min", "in 2 h", "in 1 day", "in 2 days"]);
        let ago = |seconds| age(Duration::from_secs(seconds));
        assert_eq!([ago(0), ago(5), ago(60), ago(3_599)], ["just now", "5 s ago", "1 min ago", "59 min ago"]);
        let span = |seconds| span(Duration::from_secs(seconds));
        assert_eq!([span(0), span(59), span(10_800), span(86_400)], ["0 s", "59 s", "3 h", "1 day"]);
        assert_eq!([84, 999, 1_240].map(milliseconds), ["84 ms", "999 ms", "1.2 s"]);
        assert_eq!([ago(3_600), ago(86_400), ago(900_000)], ["1 h ago", "1 day ago", "10 days ago"]);
    }

    #[test]
    fn untrusted_text_has_no_control_characters() {
        assert_eq!(line("fix\u{1b}[2Jed \u{202e}it\nand more", 40), "fix\u{fffd}[2Jed \u{fffd}it");
        assert_eq!(line("abcdef", 4), "abc…");
        assert_eq!(line("\n  padded  \n", 40), "padded");
    }
}
