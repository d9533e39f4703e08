//! `/v1/prompts`: what the user is asked, and the answers.

use axum::extract::State;
use axum::{Extension, Json};
use seawall_messages::prompt::{
    AnswerPrompt, DismissPrompt, Lasting, Message, Prompts, Refusal, Taken,
};

use crate::actor::Services;
use crate::error::Error;
use crate::routes::{CHANGE, LOOK, PeerUid, ask, await_policy};

pub(crate) async fn list(State(services): State<Services>) -> Result<Json<Prompts>, Error> {
    Ok(Json(ask("prompt", &services.prompt, LOOK, |reply| Message::List { reply }).await?))
}

pub(crate) async fn answer(
    State(services): State<Services>,
    Extension(PeerUid(uid)): Extension<PeerUid>,
    Json(answer): Json<AnswerPrompt>,
) -> Result<Json<Taken>, Error> {
    if uid != 0 {
        return Err(Error::Forbidden);
    }
    let taken =
        ask("prompt", &services.prompt, CHANGE, |reply| Message::Answer { answer, reply }).await?;
    let taken = taken.map_err(refused)?;
    // A rule is in force when it is acknowledged. What counts for a time is looked up from now on.
    if answer.lasting == Lasting::Always {
        await_policy(&services, services.snapshot.load().generation).await?;
    }
    Ok(Json(taken))
}

pub(crate) async fn dismiss(
    State(services): State<Services>,
    Extension(PeerUid(uid)): Extension<PeerUid>,
    Json(DismissPrompt { id }): Json<DismissPrompt>,
) -> Result<Json<Prompts>, Error> {
    if uid != 0 {
        return Err(Error::Forbidden);
    }
    let dismissed =
        ask("prompt", &services.prompt, CHANGE, |reply| Message::Dismiss { id, reply }).await?;
    dismissed.map_err(refused)?;
    list(State(services)).await
}

fn refused(refusal: Refusal) -> Error {
    let why = refusal.to_string();
    match refusal {
        Refusal::Unknown(_) => Error::NotFound(why),
        Refusal::Invalid(_) => Error::Invalid(why),
        Refusal::Failed(_) => Error::Conflict(why),
    }
}
