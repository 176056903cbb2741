//! What the tests of several crates need.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod acme_authority;
mod copy;
mod fake_dns;
mod files_with;
mod light_edge;
mod origin;
mod pebble;
mod proxy;
mod release;
mod small_disk;
mod wait;

pub use self::acme_authority::{Absence, AcmeAuthority, AuthorityCounts, IssuedCertificate};
pub use self::copy::copy_directory;
pub use self::fake_dns::{Answer, FakeDns};
pub use self::files_with::{bytes_have, files_with};
pub use self::light_edge::LightEdge;
pub use self::origin::{FakeOrigin, Faults, TOKEN};
pub use self::pebble::{Pebble, PebbleSettings, free_port};
pub use self::proxy::{Link, Proxy};
pub use self::release::{TestRelease, noise, release};
pub use self::small_disk::on_small_disk;
pub use self::wait::{STUCK, in_time, until};
