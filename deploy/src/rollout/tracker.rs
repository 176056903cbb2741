//! Follows the events of a rollout, over as many responses as it takes, and shows them.

use futures_util::{Stream, StreamExt as _};
use verge_protocol::ReleaseNumber;
use verge_protocol::api::{ErrorBody, Progress};

use super::confirmations::Confirmations;
use super::edge_table::{EdgeTable, Milestone};
use super::outcome::{Released, Rollout};
use super::wait::Wait;
use crate::client::ClientError;
use crate::output::{LiveText, Output, Step, Unit, human};

/// The code of [`Tracker::only`]'s error.
pub(super) const SUPERSEDED: &str = "superseded";

/// Follows the events of one rollout.
pub(super) struct Tracker<'a> {
    output: &'a Output,
    wait: Wait,
    only: Option<ReleaseNumber>,
    encoding: Option<Step>,
    has_encoded: bool,
    edges: EdgeTable,
    text: LiveText,
    released: Option<Released>,
    furthest: Milestone,
}

impl<'a> Tracker<'a> {
    /// Waits for what `wait` says, and shows the progress on `output`.
    pub(super) fn new(wait: Wait, output: &'a Output) -> Self {
        Self {
            output,
            wait,
            only: None,
            encoding: None,
            has_encoded: false,
            edges: EdgeTable::default(),
            text: output.live_text(),
            released: None,
            furthest: Milestone::default(),
        }
    }

    /// Makes events of another release an error, with the code [`SUPERSEDED`].
    pub(super) fn only(self, release: ReleaseNumber) -> Self {
        Self { only: Some(release), ..self }
    }

    /// Follows the events until there is no more to wait for. After an error, the events of a repeated request can be followed.
    pub(super) async fn follow(
        &mut self,
        mut events: impl Stream<Item = Result<Progress, ClientError>> + Unpin,
    ) -> Result<Rollout, ClientError> {
        loop {
            let event = match events.next().await {
                Some(event) => event?,
                None => return Err(ClientError::ConnectionLost { reason: "the response ended early".to_owned() }),
            };
            if event != Progress::Unknown {
                self.output.event(&event);
            }
            if let Some(confirmations) = self.take(event)? {
                let reason = "the response names no release".to_owned();
                let released = self.released.clone().ok_or(ClientError::ConnectionLost { reason })?;
                self.print_end(&confirmations);
                let confirmations = (self.wait != Wait::No).then_some(confirmations);
                let rollout = Rollout::new(released, self.wait, confirmations);
                return Ok(Rollout { was_tried: self.edges.was_tried(), ..rollout });
            }
        }
    }

    /// What is known although the events ended before there was nothing more to wait for. `None`: the channel has not moved, as far
    /// as is known.
    pub(super) fn interrupted(&self, reason: String) -> Option<Rollout> {
        let confirmations = Some(self.edges.confirmations()).filter(|confirmations| confirmations.total > 0);
        let rollout = Rollout::new(self.released.clone()?, self.wait, confirmations);
        Some(Rollout { interruption: Some(reason), ..rollout })
    }

    /// Whether the rollout has come further than ever since the last call.
    pub(super) fn has_advanced(&mut self) -> bool {
        let before = self.furthest;
        self.furthest = before.max(self.edges.milestone());
        self.furthest > before
    }

    /// Takes an event. Returns the confirmations if there is nothing more to wait for.
    fn take(&mut self, event: Progress) -> Result<Option<Confirmations>, ClientError> {
        let changed = self.edges.apply(&event);
        if let (Some(only), Some(release)) = (self.only, self.edges.release())
            && only != release
        {
            let message = format!("{release} is on its way");
            return Err(refused(ErrorBody { code: SUPERSEDED.to_owned(), message, hint: None }));
        }
        match event {
            Progress::Encoding { done, total } => self.show_encoding(done, total),
            Progress::Failed(body) => return Err(refused(body)),
            Progress::Finished { confirmed, lagging, .. } => {
                return Ok(Some(Confirmations {
                    confirmed,
                    lagging,
                    pending: Vec::new(),
                    ..self.edges.confirmations()
                }));
            }
            Progress::Released { release, manifest, epoch, url, warnings } => {
                let url = human::line(&url, 300);
                self.finish_encoding();
                self.released = Some(Released { release, manifest, epoch, url, warnings });
                if self.wait == Wait::No {
                    return Ok(Some(self.edges.confirmations()));
                }
            }
            Progress::Confirmed { done, total, .. } if self.wait.is_reached(done, total) && self.released.is_some() => {
                return Ok(Some(self.edges.confirmations()));
            }
            Progress::Preparing { .. } => self.finish_encoding(),
            _ => {}
        }
        if self.encoding.is_none() {
            let line = |edge| self.edges.state(edge).map(|state| format!("{edge}: {state}"));
            let lines: Vec<String> = changed.iter().filter_map(line).collect();
            self.text.show(|max| self.edges.lines(max), &lines);
        }
        Ok(None)
    }

    /// The step starts with the first file: there may be nothing to encode.
    fn show_encoding(&mut self, done: u64, total: u64) {
        let step = self.encoding.get_or_insert_with(|| self.output.step("encoding", Unit::Files, total));
        step.set_total(total);
        step.set_done(done);
    }

    fn finish_encoding(&mut self) {
        if let Some(step) = self.encoding.take() {
            // A repeated request may tell it again.
            if !std::mem::replace(&mut self.has_encoded, true) {
                step.finish(format_args!("encoded {}", human::count(step.done(), "file")));
            }
        }
    }

    fn print_end(&self, confirmations: &Confirmations) {
        if self.wait == Wait::No || confirmations.total == 0 {
            return;
        }
        let text = confirmations.to_string();
        if confirmations.confirmed.len() as u64 == confirmations.total {
            self.output.success(text);
        } else {
            self.output.info(text);
        }
    }
}

fn refused(body: ErrorBody) -> ClientError {
    ClientError::Refused { status: None, body }
}
