//! Tokens that are issued.

use axum::Json;
use verge_protocol::api::IssuedToken;

use super::error::ApiError;
use crate::app::App;
use crate::store::Holder;
use crate::token;

/// A new token; an earlier one of the same holder stops working.
pub(super) async fn issue(app: &App, holder: Holder) -> Result<Json<IssuedToken>, ApiError> {
    let token = token::generate();
    let digest = token::digest(token.expose()).expect("what was just made is whole");
    app.database.put_token(digest, &holder, app.clock.now()).await?;
    tracing::info!(%holder, "a token was issued");
    Ok(Json(IssuedToken { token: token.expose().to_owned() }))
}
