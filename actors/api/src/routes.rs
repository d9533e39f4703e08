//! The requests of the command, and what each asks of whom.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use seawall_messages::api::{
    AdoptedList, Apps, Changes, Components, Connections, ErrorBody, Protection, Reloaded,
    RuleAdded, RuleChanged, Status,
};
use seawall_messages::datapath::{self, Connection, Cursor, DatapathStatus};
use seawall_messages::policy::{ChangeRule, NewRule, PolicyRefusal, PolicyStatus};
use seawall_messages::{Flow, PolicyGeneration, policy, process};
use seawall_platform::linux::conntrack;
use seawall_runtime::{Address, AskError, Reply};
use serde::Deserialize;

use crate::actor::Services;
use crate::assessment::{Seen, assess};
use crate::error::Error;
use crate::events;
use crate::explain::explain;
use crate::network::{here, network};
use crate::pause;
use crate::prompts;
use crate::rules::rules;
use crate::settings;

/// How long a look may take.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

/// How long a file may take to be read, or an entry to be stored.
pub(crate) const CHANGE: Duration = Duration::from_secs(8);

/// How long a policy may take to come into force for live flows.
const IN_FORCE: Duration = Duration::from_secs(15);

/// The largest text that is imported: room for ten thousand profiles.
const MAX_IMPORT_BYTES: usize = 16 * 1024 * 1024;

/// The largest request body of any other kind.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Connections shown where nobody says how many.
const DEFAULT_LIMIT: usize = 1000;

/// User id of the process at the other end, as the kernel says (SO_PEERCRED).
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerUid(pub(crate) u32);

/// Why metrics are not served, though they should be.
#[derive(Clone, Debug)]
pub(crate) struct MetricsProblem(pub(crate) Option<String>);

pub(crate) fn router(services: Services) -> Router {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/components", get(components))
        .route("/v1/connections", get(connections))
        .route("/v1/changes", get(changes))
        .route("/v1/apps", get(apps))
        .route("/v1/network", get(network))
        .route("/v1/explain", post(explain))
        .route("/v1/adopted", get(adopted))
        .route("/v1/adopted/{id}", delete(remove_adopted))
        .route("/v1/reload", post(reload))
        .route("/v1/pause", post(pause::begin).delete(pause::end))
        .route("/v1/prompts", get(prompts::list))
        .route("/v1/prompts/answer", post(prompts::answer))
        .route("/v1/prompts/dismiss", post(prompts::dismiss))
        .route("/v1/rules", get(rules).post(add_rule))
        .route("/v1/rules/change", post(change_rule))
        .route("/v1/settings", get(settings::settings).post(settings::change_settings))
        .route("/v1/profiles", get(settings::profiles).post(settings::change_profile))
        .route("/v1/networks", post(crate::network::change))
        .route("/v1/export", get(settings::export))
        // Its own limit, inside of the one for all.
        .route("/v1/import", post(settings::import).layer(DefaultBodyLimit::max(MAX_IMPORT_BYTES)));
    #[cfg(feature = "fault-injection")]
    let router = router.route("/v1/fault", post(fault::inject));
    router
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(map_response(in_json))
        .with_state(services)
}

async fn status(
    State(services): State<Services>,
    Extension(MetricsProblem(metrics_problem)): Extension<MetricsProblem>,
) -> Json<Status> {
    let Standing { protection, reasons, policy, datapath } =
        standing(&services, metrics_problem.as_deref()).await;
    let snapshot = services.snapshot.load();
    let keeper = services.keeper.load();
    Json(Status {
        protection,
        reasons,
        version: services.version.to_owned(),
        keeper_pid: keeper.pid,
        worker_pid: std::process::id(),
        uptime_s: services.started.elapsed().as_secs(),
        worker_crashes: keeper.crashes,
        rules_mended: keeper.rules_mended,
        mode: snapshot.mode,
        networks: here(&snapshot),
        policy,
        datapath: datapath.unwrap_or_else(|| DatapathStatus {
            protecting: protection != Protection::NotProtected,
            backend: keeper.backend.clone(),
            ..DatapathStatus::default()
        }),
    })
}

/// How Seawall stands, and what was seen to tell.
pub(crate) struct Standing {
    pub(crate) protection: Protection,
    pub(crate) reasons: Vec<String>,
    pub(crate) policy: Option<PolicyStatus>,
    pub(crate) datapath: Option<DatapathStatus>,
}

/// Looks how Seawall stands.
pub(crate) async fn standing(services: &Services, metrics_problem: Option<&str>) -> Standing {
    let policy = ask("policy", &services.policy, LOOK, |reply| policy::Message::Status { reply });
    let policy = policy.await.ok();
    let datapath =
        ask("datapath", &services.datapath, LOOK, |reply| datapath::Message::Status { reply });
    let datapath = datapath.await.ok();
    let tracking = conntrack::fill().inspect_err(events::tracking_unknown).ok();
    let (protection, reasons) = assess(&Seen {
        generation: services.snapshot.load().generation,
        policy: policy.as_ref(),
        datapath: datapath.as_ref(),
        keeper: &services.keeper.load(),
        components: &services.introspect.components(),
        metrics_problem,
        tracking,
    });
    Standing { protection, reasons, policy, datapath }
}

async fn components(State(services): State<Services>) -> Json<Components> {
    Json(Components {
        keeper_pid: services.keeper.load().pid,
        worker_pid: std::process::id(),
        components: services.introspect.components(),
    })
}

/// The query of `/v1/connections`.
#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
}

async fn connections(
    State(services): State<Services>,
    Query(Limit { limit }): Query<Limit>,
) -> Result<Json<Connections>, Error> {
    let mut connections = decided(&services).await?;
    connections.truncate(limit.unwrap_or(DEFAULT_LIMIT));
    let flows: Vec<Flow> = connections.iter().map(|connection| connection.flow).collect();
    let uses = ask("process", &services.process, LOOK, |reply| process::Message::Uses {
        flows: flows.clone(),
        reply,
    });
    // A list without owners is better than none.
    for (connection, used_by) in connections.iter_mut().zip(uses.await.unwrap_or_default()) {
        connection.used_by = Some(used_by);
    }
    Ok(Json(Connections { connections }))
}

/// The query of `/v1/changes`.
#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    feed: u64,
    #[serde(default)]
    number: u64,
    #[serde(default)]
    moves: u64,
}

async fn changes(
    State(services): State<Services>,
    Query(Since { feed, number, moves }): Query<Since>,
) -> Result<Json<Changes>, Error> {
    let since = Cursor { feed, number };
    let mut list = ask("datapath", &services.datapath, LOOK, |reply| datapath::Message::Changes {
        since,
        reply,
    })
    .await?;
    // What was moved before the list began anew is asked for again, too.
    let moves = if list.anew { 0 } else { moves };
    let flows: Vec<Flow> = list.connections.iter().map(|connection| connection.flow).collect();
    let told = ask("process", &services.process, LOOK, |reply| process::Message::Moves {
        flows: flows.clone(),
        since: moves,
        reply,
    });
    let Ok((uses, moves)) = told.await else {
        // These are told again when somebody knows their owners.
        list.cursor = since;
        return Ok(Json(Changes { list, moves: None }));
    };
    for (connection, used_by) in list.connections.iter_mut().zip(uses) {
        connection.used_by = Some(used_by);
    }
    Ok(Json(Changes { list, moves: Some(moves) }))
}

async fn apps(State(services): State<Services>) -> Result<Json<Apps>, Error> {
    let live = decided(&services).await?.into_iter().filter(|connection| connection.live);
    let open: Vec<Flow> = live.map(|connection| connection.flow).collect();
    let apps = ask("process", &services.process, LOOK, |reply| process::Message::Apps {
        open: open.clone(),
        reply,
    })
    .await?;
    let hooks =
        ask("process", &services.process, LOOK, |reply| process::Message::Hooks { reply }).await?;
    Ok(Json(Apps { apps, hooks }))
}

async fn decided(services: &Services) -> Result<Vec<Connection>, Error> {
    ask("datapath", &services.datapath, LOOK, |reply| datapath::Message::Connections { reply })
        .await
}

async fn adopted(State(services): State<Services>) -> Json<AdoptedList> {
    Json(AdoptedList { adopted: services.snapshot.load().adopted.clone() })
}

async fn remove_adopted(
    State(services): State<Services>,
    Path(id): Path<u32>,
) -> Result<Json<AdoptedList>, Error> {
    let removed = ask("policy", &services.policy, CHANGE, |reply| policy::Message::RemoveAdopted {
        id,
        reply,
    })
    .await?;
    if !removed.map_err(Error::Conflict)? {
        return Err(Error::NotFound(format!("there is no adopted entry {id}")));
    }
    await_policy(&services, services.snapshot.load().generation).await?;
    Ok(adopted(State(services)).await)
}

async fn reload(State(services): State<Services>) -> Result<Json<Reloaded>, Error> {
    let read =
        ask("policy", &services.policy, CHANGE, |reply| policy::Message::Reload { reply }).await?;
    let policy = read.map_err(Error::Conflict)?;
    await_policy(&services, policy.generation).await?;
    Ok(Json(Reloaded { policy }))
}

async fn add_rule(
    State(services): State<Services>,
    Extension(PeerUid(uid)): Extension<PeerUid>,
    Json(rule): Json<NewRule>,
) -> Result<Json<RuleAdded>, Error> {
    if uid != 0 {
        return Err(Error::Forbidden);
    }
    let written = ask("policy", &services.policy, CHANGE, |reply| policy::Message::AddRule {
        rule: rule.clone(),
        reply,
    })
    .await?;
    let (added, policy) = written.map_err(refused)?;
    await_policy(&services, policy.generation).await?;
    Ok(Json(RuleAdded { added, policy }))
}

async fn change_rule(
    State(services): State<Services>,
    Extension(PeerUid(uid)): Extension<PeerUid>,
    Json(asked): Json<ChangeRule>,
) -> Result<Json<RuleChanged>, Error> {
    if uid != 0 {
        return Err(Error::Forbidden);
    }
    let changed = ask("policy", &services.policy, CHANGE, |reply| policy::Message::ChangeRule {
        asked: asked.clone(),
        reply,
    })
    .await?;
    let (changed, policy) = changed.map_err(refused)?;
    await_policy(&services, policy.generation).await?;
    Ok(Json(RuleChanged { changed, policy }))
}

pub(crate) fn refused(refusal: PolicyRefusal) -> Error {
    match refusal {
        PolicyRefusal::Invalid(why) => Error::Invalid(why),
        PolicyRefusal::Failed(why) => Error::Conflict(why),
    }
}

/// Waits until a policy is in force for live flows, too.
pub(crate) async fn await_policy(
    services: &Services,
    generation: PolicyGeneration,
) -> Result<(), Error> {
    ask("datapath", &services.datapath, IN_FORCE, |reply| datapath::Message::AwaitPolicy {
        generation,
        reply,
    })
    .await?
    .map_err(Error::NotInForce)
}

/// Asks a component. A question that it crashed on, for whatever reason, is
/// asked once more: all of these may be.
pub(crate) async fn ask<M: Send + 'static, T: Send + 'static>(
    component: &'static str,
    address: &Address<M>,
    deadline: Duration,
    question: impl Fn(Reply<T>) -> M,
) -> Result<T, Error> {
    let answer = match address.ask(deadline, &question).await {
        Err(AskError::Crashed) => address.ask(deadline, &question).await,
        answer => answer,
    };
    answer.map_err(|source| Error::Unanswered { component, source })
}

async fn unknown() -> Error {
    Error::NotFound("there is no such resource".to_owned())
}

async fn wrong_method() -> (StatusCode, Json<ErrorBody>) {
    let error = "the resource does not take this method".to_owned();
    (StatusCode::METHOD_NOT_ALLOWED, Json(ErrorBody { error }))
}

/// Refusals of the framework itself (a number that is none, a body too large)
/// are plain text: made into what every other refusal is.
async fn in_json(response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.starts_with("application/json"));
    if response.status().is_success() || is_json {
        return response;
    }
    let status = response.status();
    let text = to_bytes(response.into_body(), MAX_BODY_BYTES).await.unwrap_or_default();
    let error = String::from_utf8_lossy(&text).into_owned();
    (status, Json(ErrorBody { error })).into_response()
}

#[cfg(feature = "fault-injection")]
mod fault {
    use axum::extract::State;
    use axum::{Extension, Json};
    use seawall_messages::api::InjectFault;

    use super::PeerUid;
    use crate::actor::Services;
    use crate::error::Error;
    use crate::events;

    pub(super) async fn inject(
        State(services): State<Services>,
        Extension(PeerUid(uid)): Extension<PeerUid>,
        Json(request): Json<InjectFault>,
    ) -> Result<Json<InjectFault>, Error> {
        if uid != 0 {
            return Err(Error::Forbidden);
        }
        services
            .introspect
            .inject(&request.component, request.fault.clone())
            .map_err(Error::NotFound)?;
        events::fault_injected(&request.component, &request.fault);
        Ok(Json(request))
    }
}
