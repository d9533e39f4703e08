//! Judging where it may matter whose a connection is: who owns it is known, or
//! is asked of `process`, and what becomes of it while `process` is silent.
//!
//! - What gets the same verdict whosever it is never waits for `process`.
//! - A connection is decided under the policy that its owner was asked for
//!   under: another one may need to know more of the owner.
//! - Without an answer a connection is denied, for this packet. It isn't taken
//!   for one that nobody owns: what `process` would have said may forbid it.
//! - Where the policy has the user asked, the answers that were given are looked at; without one,
//!   `prompt` asks, and the connection waits in the datapath. One that is open already goes on.
//! - Without an answer a batch is left unanswered: the datapath tries again, and
//!   judges each packet until then. Denying it would cut what is permitted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seawall_messages::explain::{Explanation, Whom};
use seawall_messages::policy::{AppLayers, AppPlace};
use seawall_messages::process::{self, Attribution, Method, Question};
use seawall_messages::prompt::{self, Answers};
use seawall_messages::verdict::{Answer, Lifetime, Request};
use seawall_messages::{Direction, Flow, Judgement, Protocol, Reach, Snapshot};
use seawall_runtime::{Address, AskError, Published, Reply};
use tokio::time::Instant;

use crate::actor::Arguments;
use crate::decide::{Decision, Seen, decide_seen, for_anyone, for_unanswered};
use crate::error::{Error, chain};
use crate::events::{Identifications, Identified, Judged, Judgements, Source, Unidentified};
use crate::explain::explain;
use crate::known::{Known, confirmed};

use self::user::Asked;

mod user;

/// Most connections that wait for their owner to be known: more than the
/// datapath lets wait on a machine with a few queues.
pub(crate) const MAX_QUESTIONS: usize = 8_192;

/// Most batches that do. The datapath asks one at a time; those that it gave up on end soon.
pub(crate) const MAX_BATCHES: usize = 4;

/// Most explanations that are made at the same time.
pub(crate) const MAX_EXPLANATIONS: usize = 8;

/// How often the policy may change while an owner is looked for.
const MAX_ROUNDS: usize = 3;

/// How soon a question is put again for which `process` had no room.
const ROOM_PAUSE: Duration = Duration::from_millis(20);

/// Connections of a batch decided before others have a turn.
const TURN: usize = 64;

/// How long an answer of `process` is waited for.
#[derive(Clone, Copy)]
struct Patience {
    each: Duration,
    total: Duration,
}

/// The datapath denies what waits for five seconds.
const ONE: Patience =
    Patience { each: Duration::from_secs(2), total: Duration::from_millis(4_400) };

/// A person waits.
const EXPLANATION: Patience =
    Patience { each: Duration::from_secs(1), total: Duration::from_millis(2_400) };

/// The datapath waits three seconds for a batch.
const BATCH: Patience =
    Patience { each: Duration::from_secs(2), total: Duration::from_millis(2_800) };

/// See the module.
pub(crate) struct Judge {
    policy: Published<Snapshot>,
    process: Address<process::Message>,
    prompt: Address<prompt::Message>,
    answers: Published<Answers>,
    /// Shared by the component's tasks, which are all on its thread: never contended.
    known: Mutex<Known>,
    /// Whether `process` gave no answer when it was last asked.
    is_silent: AtomicBool,
    /// As [`Self::is_silent`], of `prompt`.
    is_prompt_silent: AtomicBool,
    judgements: Judgements,
    identifications: Identifications,
}

impl Judge {
    pub(crate) fn new(arguments: Arguments) -> Self {
        let Arguments { policy, process, prompt, answers } = arguments;
        Self {
            policy,
            process,
            prompt,
            answers,
            known: Mutex::default(),
            is_silent: AtomicBool::new(false),
            is_prompt_silent: AtomicBool::new(false),
            judgements: Judgements::fetch(),
            identifications: Identifications::fetch(),
        }
    }

    /// The judgement, if it needs no question.
    pub(crate) fn at_once(&self, request: &Request) -> Option<Judgement> {
        let snapshot = self.policy.load();
        let flow = &request.flow;
        let judgement = without_owner(&snapshot, request).or_else(|| {
            let place = self.known().recall(snapshot.generation, request.owner)?;
            let judgement =
                decide_seen(&snapshot, flow, snapshot.app_layers(place), seen(request)).judged()?;
            self.count(Source::Cache, 1);
            Some(judgement)
        })?;
        Some(self.judged(flow, judgement))
    }

    /// The judgements, if they need no question. One snapshot for all: a batch
    /// is never half old, half new.
    pub(crate) fn all_at_once(&self, requests: &[Request]) -> Option<Vec<Judgement>> {
        let snapshot = self.policy.load();
        let judge = |request: &Request| without_owner(&snapshot, request);
        let judgements: Vec<_> = requests.iter().map(judge).collect::<Option<_>>()?;
        for (request, judgement) in requests.iter().zip(&judgements) {
            self.judgements.emit(&Judged { flow: &request.flow, judgement });
        }
        Some(judgements)
    }

    /// The answer, once it is known whose the connection is, or that nobody says.
    pub(crate) async fn once_known(&self, request: Request) -> Answer {
        let end = Instant::now() + ONE.total;
        let question = question(&request);
        let ask = |reply| process::Message::Identify { question, reply };
        let judgement = match self.identify(ONE, ask).await {
            Ok((snapshot, attribution)) => {
                self.identified(1);
                let place = snapshot.app_place(&attribution);
                match self.decide_for(&snapshot, &request, &attribution, place) {
                    Decision::Judged(judgement) => judgement,
                    Decision::Ask(unanswered) => {
                        let asked = Asked { snapshot, request, attribution, unanswered };
                        match self.asked(&asked, end).await {
                            Answer::Judged(judgement) => judgement,
                            waits @ Answer::Waits(_) => return waits,
                        }
                    }
                }
            }
            Err(error) => {
                self.failed(1, error);
                let snapshot = self.policy.load();
                without_owner(&snapshot, &request)
                    .unwrap_or_else(|| for_unanswered(&snapshot, &request.flow))
            }
        };
        Answer::Judged(self.judged(&request.flow, judgement))
    }

    /// The judgements, once it is known whose the connections are. One snapshot for all.
    pub(crate) async fn all_once_known(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Judgement>, Error> {
        let questions: Vec<Question> = requests.iter().map(question).collect();
        let ask = |reply| process::Message::IdentifyAll { questions: questions.clone(), reply };
        let identified = self.identify(BATCH, ask).await.and_then(|(snapshot, attributions)| {
            let (named, connections) = (attributions.len(), requests.len());
            match named == connections {
                true => Ok((snapshot, attributions)),
                false => Err(Error::Miscounted { named, connections }),
            }
        });
        let (snapshot, attributions) =
            identified.inspect_err(|error| self.failed(requests.len(), *error))?;
        self.identified(requests.len());
        let mut judgements = Vec::with_capacity(requests.len());
        for (request, attribution) in requests.iter().zip(&attributions) {
            if judgements.len() % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let place = snapshot.app_place(attribution);
            let judgement = match self.decide_for(&snapshot, request, attribution, place) {
                Decision::Judged(judgement) => judgement,
                Decision::Ask(unanswered) => {
                    self.without_asking(&snapshot, request, attribution, &unanswered)
                }
            };
            judgements.push(self.judged(&request.flow, judgement));
        }
        Ok(judgements)
    }

    /// What would become of a connection, whosever it would be. Counts for nothing.
    pub(crate) async fn explained(
        &self,
        flow: &Flow,
        whom: &Whom,
        interface: Option<u32>,
    ) -> Result<Explanation, String> {
        let ask = |reply| process::Message::Describe { whom: whom.clone(), reply };
        let (snapshot, described) =
            self.identify(EXPLANATION, ask).await.map_err(|error| chain(&error))?;
        let mut explained = explain(&snapshot, flow, &described?, interface);
        if explained.asks {
            let attribution = Attribution {
                method: Method::OpenFiles,
                process: explained.process.as_ref().map(Arc::clone),
            };
            explained.notes.extend(self.note_of_answer(flow, &attribution));
        }
        Ok(explained)
    }

    /// Decides, and remembers what the answer says of the process. An answer
    /// that may be about another one than the kernel noted speaks for no other connection.
    fn decide_for(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        attribution: &Attribution,
        place: AppPlace,
    ) -> Decision {
        if attribution.is_withheld() {
            let judgement = without_owner(snapshot, request);
            return Decision::Judged(
                judgement.unwrap_or_else(|| for_unanswered(snapshot, &request.flow)),
            );
        }
        let uid =
            uid_of(request).or_else(|| attribution.process.as_ref().map(|process| process.uid));
        let seen = Seen { uid, ..seen(request) };
        let layers = snapshot.app_layers(place);
        let mut decision = decide_seen(snapshot, &request.flow, layers, seen);
        let (Decision::Judged(judgement) | Decision::Ask(judgement)) = &mut decision;
        if attribution.process.is_none() && may_change_hands(&request.flow) {
            judgement.lifetime = Lifetime::Once;
        }
        match confirmed(request, attribution) {
            Some(key) => self.known().learn(snapshot.generation, key, place),
            None if judgement.reach == Reach::Process => judgement.reach = Reach::Flow,
            None => {}
        }
        decision
    }

    /// The answer of `process`, and the policy under which it was asked for.
    async fn identify<T: Send + 'static>(
        &self,
        patience: Patience,
        question: impl Fn(Reply<T>) -> process::Message + Send + Sync,
    ) -> Result<(Arc<Snapshot>, T), Error> {
        let end = Instant::now() + patience.total;
        for _ in 0..MAX_ROUNDS {
            let asked_under = self.policy.load().generation;
            let answer =
                ask(&self.process, patience.each, end, &question, Error::NotIdentified).await?;
            let snapshot = self.policy.load();
            if snapshot.generation == asked_under || !snapshot.asks_for_apps() {
                return Ok((snapshot, answer));
            }
        }
        Err(Error::PolicyUnsettled)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judged(&self, flow: &Flow, judgement: Judgement) -> Judgement {
        self.judgements.emit(&Judged { flow, judgement: &judgement });
        judgement
    }

    fn count(&self, from: Source, connections: usize) {
        self.identifications.emit(&Identified { from, connections });
    }

    fn identified(&self, connections: usize) {
        self.is_silent.store(false, Ordering::Relaxed);
        self.count(Source::Asked, connections);
    }

    fn failed(&self, connections: usize, error: Error) {
        let is_first = !self.is_silent.swap(true, Ordering::Relaxed);
        self.count(Source::Failed, connections);
        Unidentified { connections, error, is_first }.emit();
    }
}

/// Asks somebody; once more where the component crashed on the question or was
/// silent, and again where it had no room.
async fn ask<M: Send + 'static, T: Send + 'static>(
    address: &Address<M>,
    each: Duration,
    end: Instant,
    question: &(impl Fn(Reply<T>) -> M + Send + Sync),
    failure: fn(AskError) -> Error,
) -> Result<T, Error> {
    let mut may_fail = true;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let error = match address.ask(each.min(left), question).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let left = end.saturating_duration_since(Instant::now());
        match error {
            AskError::Overloaded if left > ROOM_PAUSE => {
                tokio::time::sleep(ROOM_PAUSE).await;
            }
            AskError::Crashed | AskError::TimedOut if may_fail && !left.is_zero() => {
                may_fail = false;
            }
            error => return Err(failure(error)),
        }
    }
}

/// The judgement, where it doesn't matter whose the connection is, or where the user alone
/// matters, whom the kernel told.
fn without_owner(snapshot: &Snapshot, request: &Request) -> Option<Judgement> {
    let flow = &request.flow;
    let for_all = || decide_seen(snapshot, flow, AppLayers::default(), seen(request)).judged();
    if !snapshot.asks_for_app_of(flow) {
        return for_all();
    }
    // Of a datagram socket it has to be learnt when it closes.
    let uid = uid_of(request).filter(|_| {
        let speaks_of_apps = snapshot.speaks_of_apps() || snapshot.built_in_may_permit(flow);
        !speaks_of_apps && !may_change_hands(flow)
    });
    uid.and_then(|_| for_all()).or_else(|| for_anyone(snapshot, flow))
}

fn seen(request: &Request) -> Seen {
    Seen { uid: uid_of(request), interface: request.interface }
}

/// The user of the local socket, as far as the kernel told or noted it.
fn uid_of(request: &Request) -> Option<u32> {
    request.uid.or_else(|| Some(request.owner?.uid))
}

/// Whether the next packet of the same addresses and ports may be another
/// local program's, without a handshake that tells.
fn may_change_hands(flow: &Flow) -> bool {
    flow.protocol != Protocol::TCP && flow.direction != Direction::Forwarded
}

fn question(request: &Request) -> Question {
    Question { flow: request.flow, owner: request.owner, uid: request.uid }
}
