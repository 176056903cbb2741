//! A line in the log for one query in so many.

use std::net::IpAddr;

use tokio::sync::mpsc;
use verge_daemon::Tasks;

use crate::answer::{Answered, Transport};
use crate::dns::name::Name;
use crate::dns::rcode::Rcode;
use crate::dns::record::RecordType;

/// Lines that may wait to be written; what comes on top is not logged. A question never waits for the log.
const WAITING: usize = 1024;

/// Takes what one thread answered. Cloned for each.
#[derive(Clone)]
pub(crate) struct QueryLog {
    one_in: u32,
    seen: u32,
    lines: Option<mpsc::Sender<Line>>,
}

struct Line {
    peer: IpAddr,
    transport: Transport,
    name: Name,
    record_type: RecordType,
    rcode: Rcode,
    edge: Option<IpAddr>,
}

impl QueryLog {
    /// Logs one query in `one_in`; 0: none.
    pub(crate) fn start(one_in: u32, tasks: &Tasks) -> Self {
        if one_in == 0 {
            return Self { one_in, seen: 0, lines: None };
        }
        let (lines, mut waiting) = mpsc::channel::<Line>(WAITING);
        let write = async move {
            while let Some(line) = waiting.recv().await {
                tracing::info!(
                    peer = %line.peer,
                    over = ?line.transport,
                    name = %line.name,
                    asked = %line.record_type,
                    rcode = line.rcode.name(),
                    edge = line.edge.map(tracing::field::display),
                    "query"
                );
            }
        };
        drop(tasks.spawn("query log", tasks.draining().clone().run_until_cancelled_owned(write)));
        Self { one_in, seen: 0, lines: Some(lines) }
    }

    /// One more was answered.
    pub(crate) fn answered(&mut self, answered: &Answered<'_>, peer: IpAddr, transport: Transport) {
        let Some(lines) = &self.lines else { return };
        self.seen += 1;
        if self.seen < self.one_in {
            return;
        }
        self.seen = 0;
        let Some((name, record_type)) = answered.question else { return };
        let edge = answered.selection.and_then(|selection| Some(selection.edges().first()?.address));
        let name = Name::from_canonical(name);
        let _ = lines.try_send(Line { peer, transport, name, record_type, rcode: answered.rcode, edge });
    }
}
