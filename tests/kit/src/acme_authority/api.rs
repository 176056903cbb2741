//! The authority's resources (RFC 8555 §7.1).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use verge_daemon::error_chain;
use verge_protocol::Digest;

use super::{Absence, Shared};

type AppState = State<Arc<Shared>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/directory", get(directory))
        .route("/nonce", get(async || StatusCode::OK))
        .route("/account", post(new_account))
        .route("/orders", post(new_order))
        .route("/order/{number}", post(order))
        .route("/authorization/{number}/{index}", post(authorization))
        .route("/challenge/{number}/{index}", post(challenge))
        .route("/finalize/{number}", post(finalize))
        .route("/certificate/{number}", post(certificate))
        .route("/renewal-info/{id}", get(renewal_info))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), answer))
        .with_state(shared)
}

/// Answers in place of the authority while it is unavailable; gives every answer the time, and a nonce (RFC 8555 §6.5).
async fn answer(State(shared): AppState, request: Request, next: Next) -> Response {
    let mut response = if *shared.absence.borrow() == Absence::Unavailable {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    } else {
        next.run(request).await
    };
    let nonce = {
        let mut state = shared.state();
        state.nonces += 1;
        format!("nonce-{:016}", state.nonces)
    };
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(shared.clock.now().0));
    for (name, value) in [("replay-nonce", nonce), ("date", date)] {
        response.headers_mut().insert(name, HeaderValue::try_from(value).unwrap());
    }
    response
}

/// A signed request (RFC 7515 §7.2.2). The signature is not verified.
struct Signed {
    header: Value,
    payload: Value,
}

impl Signed {
    fn new(body: &Value) -> Self {
        let part = |name: &str| URL_SAFE_NO_PAD.decode(body[name].as_str().unwrap()).unwrap();
        let json = |bytes: Vec<u8>| serde_json::from_slice(&bytes).unwrap_or_default();
        Self { header: json(part("protected")), payload: json(part("payload")) }
    }

    /// The number of the account that has signed.
    fn account(&self) -> usize {
        self.header["kid"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
    }
}

fn problem(status: StatusCode, kind: &str) -> Response {
    let body = json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": kind });
    (status, Json(body)).into_response()
}

async fn directory(State(shared): AppState) -> Json<Value> {
    let url = |path: &str| format!("{}/{path}", shared.url);
    let mut directory =
        json!({ "newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("orders"), "meta": {} });
    if shared.state().renewal_rule.is_some() {
        directory["renewalInfo"] = url("renewal-info").into();
    }
    Json(directory)
}

async fn new_account(State(shared): AppState, Json(body): Json<Value>) -> impl IntoResponse {
    let key = &Signed::new(&body).header["jwk"];
    // The members in the order of RFC 7638 §3.
    let canonical = format!(r#"{{"crv":{},"kty":{},"x":{},"y":{}}}"#, key["crv"], key["kty"], key["x"], key["y"]);
    let thumbprint = URL_SAFE_NO_PAD.encode(Digest::of(canonical.as_bytes()).as_bytes());
    let mut state = shared.state();
    state.accounts.push(thumbprint);
    let location = format!("{}/account/{}", shared.url, state.accounts.len() - 1);
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(json!({ "status": "valid" })))
}

async fn new_order(State(shared): AppState, Json(body): Json<Value>) -> Response {
    let Signed { payload, .. } = Signed::new(&body);
    let identifiers = payload["identifiers"].as_array().unwrap();
    let names: BTreeSet<String> = identifiers.iter().map(|name| name["value"].as_str().unwrap().to_owned()).collect();
    let replaces = payload["replaces"].as_str().map(str::to_owned);
    let mut state = shared.state();
    if let Some(id) = &replaces {
        match serial(id).and_then(|serial| state.issuance.by_serial(&serial)) {
            Some(earlier) if !earlier.is_replaced => earlier.is_replaced = true,
            Some(_) => return problem(StatusCode::CONFLICT, "alreadyReplaced"),
            None => return problem(StatusCode::BAD_REQUEST, "malformed"),
        }
    }
    let number = state.orders.add(names, replaces);
    let order = state.orders.get(number).json(&shared.url, number);
    let location = format!("{}/order/{number}", shared.url);
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(order)).into_response()
}

async fn order(State(shared): AppState, Path(number): Path<usize>) -> Json<Value> {
    Json(shared.state().orders.get(number).json(&shared.url, number))
}

async fn authorization(State(shared): AppState, Path((number, index)): Path<(usize, usize)>) -> Json<Value> {
    Json(shared.state().orders.get(number).authorizations[index].json(&shared.url, number, index))
}

/// Checks the file of a challenge at the next edge (RFC 8555 §8.3).
async fn challenge(
    State(shared): AppState,
    Path((number, index)): Path<(usize, usize)>,
    Json(body): Json<Value>,
) -> Json<Value> {
    let (name, token, thumbprint, edge, is_unreachable) = {
        let mut state = shared.state();
        let authorization = &state.orders.get(number).authorizations[index];
        let (name, token) = (authorization.name.clone(), authorization.token.clone());
        let thumbprint = state.accounts[Signed::new(&body).account()].clone();
        state.checks += 1;
        let (edge, is_unreachable) = (state.edges[state.checks % state.edges.len()], state.unreachable.contains(&name));
        (name, token, thumbprint, edge, is_unreachable)
    };
    let request = shared.http.get(format!("http://{edge}/.well-known/acme-challenge/{token}"));
    let fetched = async { request.header(header::HOST, name).send().await?.error_for_status()?.text().await };
    let checked = match fetched.await {
        _ if is_unreachable => Err("nothing answers at this name".to_owned()),
        Ok(text) if text.trim_end() == format!("{token}.{thumbprint}") => Ok(()),
        Ok(text) => Err(format!("{edge} answers `{text}`")),
        Err(error) => Err(error_chain(&error)),
    };
    let mut state = shared.state();
    let authorization = &mut state.orders.get(number).authorizations[index];
    authorization.checked = Some(checked);
    Json(authorization.challenge_json(&shared.url, number, index))
}

async fn finalize(State(shared): AppState, Path(number): Path<usize>, Json(body): Json<Value>) -> Response {
    let Signed { payload, .. } = Signed::new(&body);
    let request = URL_SAFE_NO_PAD.decode(payload["csr"].as_str().unwrap()).unwrap();
    let mut state = shared.state();
    let (lifetime, order) = (state.lifetime, state.orders.get(number));
    if order.status() != "ready" {
        return problem(StatusCode::FORBIDDEN, "orderNotReady");
    }
    let names = order.names();
    let certificate = state.issuance.issue(&request, &names, shared.clock.now(), lifetime);
    let order = state.orders.get(number);
    order.certificate = Some(certificate);
    Json(order.json(&shared.url, number)).into_response()
}

async fn certificate(State(shared): AppState, Path(number): Path<usize>) -> impl IntoResponse {
    let mut state = shared.state();
    let certificate = state.orders.get(number).certificate.unwrap();
    ([(header::CONTENT_TYPE, "application/pem-certificate-chain")], state.issuance.all()[certificate].pem.clone())
}

async fn renewal_info(State(shared): AppState, Path(id): Path<String>) -> Response {
    let mut state = shared.state();
    let Some(issued) = serial(&id).and_then(|serial| state.issuance.by_serial(&serial)).cloned() else {
        return problem(StatusCode::NOT_FOUND, "malformed");
    };
    let rule = state.renewal_rule.as_ref().unwrap();
    let (start, end) = rule(&issued, shared.clock.now());
    let window = json!({ "suggestedWindow": { "start": start.to_string(), "end": end.to_string() } });
    ([(header::RETRY_AFTER, "21600")], Json(window)).into_response()
}

/// The serial number in the identifier of a certificate (RFC 9773 §4.1).
fn serial(id: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(id.split_once('.')?.1).ok()
}
