//! `verge up`: an origin, its edges and a name server in this process, on the loopback interface.

mod alone;
mod cluster;
mod demo;
mod edge;
mod name_server;
mod places;
mod ports;
mod told;

pub use self::cluster::{Cluster, ClusterError, Plan};
pub use self::demo::Demo;
pub use self::name_server::ZONE;
pub use self::ports::{Ports, PortsError};
pub use self::told::Told;
