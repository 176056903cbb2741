//! Weights in `Accept` and `Accept-Encoding` (RFC 9110 §12.4.2).

/// The weight of what has none, in thousandths.
pub(super) const MAX: u16 = 1000;

/// Parses a weight, in thousandths: 0 to 1 with at most three decimals. `None` if it is malformed.
pub(super) fn parse(value: &str) -> Option<u16> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let mut digits = decimals.bytes().chain(std::iter::repeat(b'0'));
    let thousandths = (0..3).fold(0, |sum, _| sum * 10 + u16::from(digits.next().unwrap_or(b'0') - b'0'));
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_has_at_most_three_decimals() {
        for (value, weight) in
            [("0", 0), ("0.", 0), ("0.5", 500), ("0.05", 50), ("0.123", 123), ("1", MAX), ("1.000", MAX)]
        {
            assert_eq!(parse(value), Some(weight), "{value}");
        }
        for value in ["", ".5", "1.1", "1.001", "2", "0.1234", "-0", "+0", "0.x", "00", "0 ", "0.5.5", "\"1\""] {
            assert_eq!(parse(value), None, "{value}");
        }
    }
}
