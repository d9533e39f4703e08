//! Settings and profiles of the store: shown, changed, exported, imported. Changes are root's.

use axum::extract::{Query, State};
use axum::{Extension, Json};
use seawall_messages::api::{Exported, Imported, PolicyChanged, ProfileChanged, ProfileList};
use seawall_messages::policy::{
    self, Import, PolicyRefusal, ProfileChange, SettingsChange, SettingsStatus,
};
use seawall_runtime::Reply;
use serde::Deserialize;

use crate::actor::Services;
use crate::error::Error;
use crate::routes::{CHANGE, LOOK, PeerUid, ask, await_policy, refused};

/// The query of `/v1/settings` and `/v1/export`.
#[derive(Deserialize)]
pub(crate) struct Whose {
    app: Option<String>,
}

/// `GET /v1/settings?app=`
pub(crate) async fn settings(
    State(services): State<Services>,
    Query(Whose { app }): Query<Whose>,
) -> Result<Json<SettingsStatus>, Error> {
    let question = |reply| policy::Message::Settings { app: app.clone(), reply };
    let settings = ask("policy", &services.policy, LOOK, question).await?;
    Ok(Json(settings.map_err(not_found)?))
}

/// `POST /v1/settings`
pub(crate) async fn change_settings(
    State(services): State<Services>,
    Extension(uid): Extension<PeerUid>,
    Json(change): Json<SettingsChange>,
) -> Result<Json<PolicyChanged>, Error> {
    let question = |reply| policy::Message::ChangeSettings { change: change.clone(), reply };
    let policy = changed(&services, uid, question).await?;
    await_policy(&services, policy.generation).await?;
    Ok(Json(PolicyChanged { policy }))
}

/// `GET /v1/profiles`
pub(crate) async fn profiles(State(services): State<Services>) -> Result<Json<ProfileList>, Error> {
    let question = |reply| policy::Message::Profiles { reply };
    let profiles = ask("policy", &services.policy, LOOK, question).await?;
    Ok(Json(ProfileList { profiles: profiles.map_err(refused)? }))
}

/// `POST /v1/profiles`
pub(crate) async fn change_profile(
    State(services): State<Services>,
    Extension(uid): Extension<PeerUid>,
    Json(change): Json<ProfileChange>,
) -> Result<Json<ProfileChanged>, Error> {
    let question = |reply| policy::Message::ChangeProfile { change: change.clone(), reply };
    let (profile, policy) = changed(&services, uid, question).await?;
    await_policy(&services, policy.generation).await?;
    Ok(Json(ProfileChanged { profile, policy }))
}

/// `GET /v1/export?app=`
pub(crate) async fn export(
    State(services): State<Services>,
    Query(Whose { app }): Query<Whose>,
) -> Result<Json<Exported>, Error> {
    let question = |reply| policy::Message::Export { app: app.clone(), reply };
    let text = ask("policy", &services.policy, LOOK, question).await?;
    Ok(Json(Exported { text: text.map_err(not_found)? }))
}

/// `POST /v1/import`
pub(crate) async fn import(
    State(services): State<Services>,
    Extension(uid): Extension<PeerUid>,
    Json(import): Json<Import>,
) -> Result<Json<Imported>, Error> {
    let question = |reply| policy::Message::Import { import: import.clone(), reply };
    let (difference, policy) = changed(&services, uid, question).await?;
    await_policy(&services, policy.generation).await?;
    Ok(Json(Imported { difference, policy }))
}

pub(crate) async fn changed<T: Send + 'static>(
    services: &Services,
    PeerUid(uid): PeerUid,
    question: impl Fn(Reply<Result<T, PolicyRefusal>>) -> policy::Message,
) -> Result<T, Error> {
    if uid != 0 {
        return Err(Error::Forbidden);
    }
    ask("policy", &services.policy, CHANGE, question).await?.map_err(refused)
}

/// Of what was asked for by name.
fn not_found(refusal: PolicyRefusal) -> Error {
    match refusal {
        PolicyRefusal::Failed(why) => Error::NotFound(why),
        PolicyRefusal::Invalid(why) => Error::Invalid(why),
    }
}
