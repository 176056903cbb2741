//! The port at which clients reach the authority: it stays open while the authority is away, so that nothing else gets it.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use verge_daemon::Tasks;

use super::Absence;

/// Forwards connections to `target`, and closes all while the authority is [`Absence::Closed`]. Returns the port.
pub(super) async fn start(target: SocketAddr, absence: watch::Receiver<Absence>, tasks: &Tasks) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = tasks.clone();
    let accept = async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            if *absence.borrow() == Absence::Closed {
                continue;
            }
            drop(connections.spawn("connection to the authority", forward(client, target, absence.clone())));
        }
    };
    drop(tasks.spawn("front of the authority", accept));
    port
}

async fn forward(mut client: TcpStream, target: SocketAddr, mut absence: watch::Receiver<Absence>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = absence.wait_for(|absence| *absence == Absence::Closed) => {}
    }
}
