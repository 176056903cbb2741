//! `verge up`: an origin and its edges in this process, on the loopback interface.

mod cluster;
mod demo;
mod ports;
mod told;

pub use self::cluster::{Cluster, ClusterError, Plan};
pub use self::demo::Demo;
pub use self::ports::{Ports, PortsError};
pub use self::told::Told;
