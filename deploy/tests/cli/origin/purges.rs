//! Purges, erasures and the log.

use axum::Json;
use axum::extract::State;
use verge_protocol::api::{EraseRequest, ErasurePlan, LogEntry, PurgeRequest};

use super::state::Shared;

pub(super) async fn create(State(shared): State<Shared>, Json(request): Json<PurgeRequest>) -> String {
    let mut memory = shared.lock().unwrap();
    memory.purges.push(request);
    memory.purge_events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
}

pub(super) async fn plan_erasure(State(shared): State<Shared>) -> Json<ErasurePlan> {
    Json(shared.lock().unwrap().erasure_plan.clone().unwrap())
}

pub(super) async fn erase(State(shared): State<Shared>, Json(request): Json<EraseRequest>) -> String {
    let mut memory = shared.lock().unwrap();
    memory.erasures.push(request);
    memory.purge_events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
}

pub(super) async fn log(State(shared): State<Shared>) -> Json<Vec<LogEntry>> {
    Json(shared.lock().unwrap().log.clone())
}
