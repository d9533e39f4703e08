//! `POST` and `DELETE /v1/pause`: everything passes for a while, and no more. Root only.

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use seawall_messages::api::{BeginPause, Paused};
use seawall_messages::policy;

use crate::actor::Services;
use crate::error::Error;
use crate::routes::{CHANGE, PeerUid, ask, await_policy};

pub(crate) async fn begin(
    State(services): State<Services>,
    Extension(PeerUid(uid)): Extension<PeerUid>,
    Json(BeginPause { seconds }): Json<BeginPause>,
) -> Result<Json<Paused>, Error> {
    if seconds == 0 {
        return Err(Error::Invalid("a pause lasts a second at least".to_owned()));
    }
    let length = Duration::from_secs(seconds);
    change(&services, uid, |reply| policy::Message::Pause { length, reply }).await
}

pub(crate) async fn end(
    State(services): State<Services>,
    Extension(PeerUid(uid)): Extension<PeerUid>,
) -> Result<Json<Paused>, Error> {
    change(&services, uid, |reply| policy::Message::Resume { reply }).await
}

async fn change(
    services: &Services,
    uid: u32,
    question: impl Fn(seawall_runtime::Reply<Result<policy::PolicyStatus, String>>) -> policy::Message,
) -> Result<Json<Paused>, Error> {
    if uid != 0 {
        return Err(Error::Forbidden);
    }
    let changed = ask("policy", &services.policy, CHANGE, question).await?;
    let policy = changed.map_err(Error::Conflict)?;
    await_policy(services, policy.generation).await?;
    Ok(Json(Paused { policy }))
}
