//! The end of the file, where readers begin.

use super::{Family, Options};
use crate::Value;

const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// The metadata, after their marker.
pub(super) fn section(options: &Options, node_count: u32) -> Vec<u8> {
    let ip_version = match options.family {
        Family::V4 => 4,
        Family::V6 => 6,
    };
    let mut bytes = MARKER.to_vec();
    Value::map([
        ("binary_format_major_version", Value::Uint16(2)),
        ("binary_format_minor_version", Value::Uint16(0)),
        ("build_epoch", Value::Uint64(options.build_epoch)),
        ("database_type", Value::text(&options.database_type)),
        ("description", Value::map([("en", Value::text("Made up, for tests"))])),
        ("ip_version", Value::Uint16(ip_version)),
        ("languages", Value::Array(vec![Value::text("en")])),
        ("node_count", Value::Uint32(node_count)),
        ("record_size", Value::Uint16(options.record_size.bits())),
    ])
    .encode(&mut bytes);
    bytes
}
