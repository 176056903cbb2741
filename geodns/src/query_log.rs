//! Logs a sample of the queries.

use std::net::IpAddr;

use tokio::sync::mpsc;
use verge_daemon::Tasks;

use crate::answer::AnswerSummary;
use crate::dns::message::Rcode;
use crate::dns::name::Name;
use crate::dns::record::RecordType;
use crate::dns::transport::Transport;

/// The most lines that wait to be written. Further ones are dropped: queries never wait for the log.
const MAX_PENDING: usize = 1024;

/// Chooses the queries of one thread or connection that are logged. Cloned for each.
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
    /// Starts a log of one query in `one_in`; 0: none.
    pub(crate) fn start(one_in: u32, tasks: &Tasks) -> Self {
        if one_in == 0 {
            return Self { one_in, seen: 0, lines: None };
        }
        let (lines, mut pending) = mpsc::channel::<Line>(MAX_PENDING);
        let write = async move {
            while let Some(line) = pending.recv().await {
                tracing::info!(
                    peer = %line.peer,
                    transport = ?line.transport,
                    name = %line.name,
                    record_type = %line.record_type,
                    rcode = line.rcode.name(),
                    edge = line.edge.map(tracing::field::display),
                    "query"
                );
            }
        };
        drop(tasks.spawn("query log", tasks.draining().clone().run_until_cancelled_owned(write)));
        Self { one_in, seen: 0, lines: Some(lines) }
    }

    /// Counts a query, and logs it if it is its turn.
    pub(crate) fn answered(&mut self, summary: &AnswerSummary<'_>, peer: IpAddr, transport: Transport) {
        let Some(lines) = &self.lines else { return };
        self.seen += 1;
        if self.seen < self.one_in {
            return;
        }
        self.seen = 0;
        let Some((name, record_type)) = summary.question else { return };
        let edge = summary.selection.and_then(|selection| Some(selection.edges().first()?.address));
        let name = Name::from_canonical(name);
        let _ = lines.try_send(Line { peer, transport, name, record_type, rcode: summary.rcode, edge });
    }
}
