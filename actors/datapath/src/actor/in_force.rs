//! Putting a policy in force: first the rules under which no older verdict stands, then whatever is open is
//! judged again, as much of it as one message allows, and the rest in the next.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use seawall_messages::datapath::Message;
use seawall_messages::keeper::{self, WantedRules};
use seawall_messages::verdict::{self, MAX_BATCH, Request};
use seawall_messages::{Action, Flow, PolicyGeneration, Snapshot};
use seawall_platform::linux::conntrack::{Conntrack, Entry};
use seawall_platform::linux::layout::Epoch;
use seawall_platform::linux::sockets::{SocketDiag, own_addresses};
use seawall_runtime::{Address, Reply, TellError};

use super::Controller;
use crate::error::Error;
use crate::events;
use crate::side::Side;
use crate::standing::Standing;
use crate::sweep::{Sweep, is_own_traffic, is_settled};

/// How long the keeper may take to change the rules before that is tried again: shorter than a message
/// of this component may take, so that a slow keeper is no hang of it.
const RULES_DEADLINE: Duration = Duration::from_secs(4);
/// How long `verdict` may take over a batch: long enough for one restart.
const JUDGE_DEADLINE: Duration = Duration::from_secs(3);
/// No batch is begun later in a message than this: with [`JUDGE_DEADLINE`] it is less than a message may take.
const BATCHES_BEGIN: Duration = Duration::from_millis(1500);
/// How long after a failure the policy is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Most who wait for a policy.
const MOST_WAITING: usize = 64;

/// How far this incarnation is with which policy, and who waits for it.
#[derive(Default)]
pub(super) struct Progress {
    /// The last policy under which everything that was open was judged.
    in_force: Option<PolicyGeneration>,
    /// A policy whose rules stand while not everything is judged.
    begun: Option<Begun>,
    /// Who waits for which.
    waiting: Vec<(PolicyGeneration, Reply<Result<(), String>>)>,
    /// What was in the way at the last attempt.
    problem: Option<String>,
}

/// Connections to judge; and those of which it isn't known what they are, with an older verdict.
type NotJudged = (Vec<(Entry, Flow)>, Vec<Entry>);

/// The local end of a TCP connection, then the other.
type Ends = (SocketAddr, SocketAddr);

/// A policy on its way.
struct Begun {
    generation: PolicyGeneration,
    epoch: Epoch,
    since: Instant,
    /// What is judged. What of it bears no label is judged anew with its next packet.
    judged: HashSet<Flow>,
    /// Connections that are forbidden now, and could not be cut yet.
    uncut: Vec<Ends>,
    forbidden: usize,
}

impl Progress {
    /// Whether any policy is in force.
    pub(super) fn is_protecting(&self) -> bool {
        self.in_force.is_some()
    }

    /// What is in the way.
    pub(super) fn problem(&self) -> Option<&String> {
        self.problem.as_ref()
    }

    /// Somebody waits.
    pub(super) fn wait(&mut self, generation: PolicyGeneration, reply: Reply<Result<(), String>>) {
        self.waiting.push((generation, reply));
        // The oldest makes room: its asker learns that nobody will answer.
        if self.waiting.len() > MOST_WAITING {
            self.waiting.remove(0);
        }
        self.tell_waiting();
    }

    fn tell_waiting(&mut self) {
        for (generation, reply) in std::mem::take(&mut self.waiting) {
            if self.in_force.is_some_and(|reached| generation <= reached) {
                reply.send(Ok(()));
            } else if let Some(problem) = &self.problem {
                reply.send(Err(problem.clone()));
            } else {
                self.waiting.push((generation, reply));
            }
        }
    }
}

impl Controller {
    /// Makes the published policy the one whose verdicts stand. Idempotent: a
    /// policy that is in force already is left alone, one that was begun is gone on with.
    pub(super) async fn put_in_force(&mut self) {
        let snapshot = self.arguments.policy.load();
        if self.progress.in_force == Some(snapshot.generation) {
            return self.progress.tell_waiting();
        }
        match self.go_on_with(&snapshot).await {
            Ok(true) => {
                self.progress.problem = None;
                self.progress.tell_waiting();
                if self.arguments.keeper.tell(keeper::Message::Ready).is_err() {
                    tracing::warn!("The keeper could not be told that packets are judged");
                }
            }
            Ok(false) => self.try_again_in(Duration::ZERO, snapshot.generation),
            Err(error) => {
                let problem = error.chain();
                events::policy_delayed(&problem);
                self.progress.problem = Some(problem);
                self.progress.tell_waiting();
                self.try_again_in(RETRY, snapshot.generation);
            }
        }
    }

    /// Goes on with a policy; whether it is done.
    async fn go_on_with(&mut self, snapshot: &Snapshot) -> Result<bool, Error> {
        let until = Instant::now() + BATCHES_BEGIN;
        let begun = self.progress.begun.take();
        let mut begun = match begun.filter(|begun| begun.generation == snapshot.generation) {
            Some(begun) => begun,
            None => self.begin(snapshot).await?,
        };
        let done = self.judge_live(snapshot, &mut begun, until).await;
        if let Ok(true) = done {
            let Begun { generation, epoch, since, judged, forbidden, .. } = begun;
            self.progress.in_force = Some(generation);
            let (generation, epoch) = (generation.0, epoch.get());
            events::policy_in_force(generation, epoch, judged.len(), forbidden, since.elapsed());
        } else {
            self.progress.begun = Some(begun);
        }
        done
    }

    /// Has the rules say that older verdicts stand no more.
    async fn begin(&mut self, snapshot: &Snapshot) -> Result<Begun, Error> {
        let since = Instant::now();
        let standing = *self.arguments.standing.load();
        let fresh = standing.generation == PolicyGeneration(0) && !self.arguments.inherits_rules;
        let epoch = if fresh { standing.epoch } else { standing.epoch.next() };
        let rules = WantedRules {
            epoch: epoch.get(),
            mode: snapshot.mode,
            judge_loopback: snapshot.judges_loopback(),
        };
        self.arguments
            .keeper
            .ask(RULES_DEADLINE, |reply| keeper::Message::SetRules { rules, reply })
            .await
            .map_err(Error::Keeper)?
            .map_err(Error::Rules)?;
        let generation = snapshot.generation;
        let now_standing = Standing { generation, epoch };
        self.arguments.publisher.publish(self.context.generation(), now_standing);
        let (judged, uncut) = (HashSet::new(), Vec::new());
        Ok(Begun { generation, epoch, since, judged, uncut, forbidden: 0 })
    }

    /// Judges every tracked connection again, until then; whether all are judged.
    /// Where it depends on an interface that nobody knows, the next packet shows it.
    async fn judge_live(
        &mut self,
        snapshot: &Snapshot,
        begun: &mut Begun,
        until: Instant,
    ) -> Result<bool, Error> {
        let mut conntrack = Conntrack::open()?;
        let (live, unsure) = self.not_judged_yet(snapshot, begun, &mut conntrack)?;
        // Their next packets are judged where they show up.
        conntrack.take_labels(&self.arguments.layout, &unsure)?;
        for batch in live.chunks(MAX_BATCH) {
            if Instant::now() >= until {
                return Ok(false);
            }
            self.judge_batch(&mut conntrack, batch, begun).await?;
        }
        if let Err((left, error)) = cut(std::mem::take(&mut begun.uncut)) {
            events::not_cut(left.len(), &error.chain());
        }
        Ok(true)
    }

    /// What is left to judge.
    fn not_judged_yet(
        &self,
        snapshot: &Snapshot,
        begun: &Begun,
        conntrack: &mut Conntrack,
    ) -> Result<NotJudged, Error> {
        let wants_interface = snapshot.looks_at_interfaces();
        let own: HashSet<_> = own_addresses()?.into_iter().collect();
        let layout = self.arguments.layout;
        let mut live: Vec<(Entry, Flow)> = Vec::new();
        let mut unsure: Vec<Entry> = Vec::new();
        for entry in conntrack.list()? {
            let wants_none = entry.ended || is_own_traffic(&entry, &layout);
            if wants_none || is_settled(&entry, &layout, begun.epoch) {
                continue;
            }
            match Side::of(&entry, &own, &self.arguments.orientation, |flow| {
                self.decided.knows(flow)
            }) {
                Some(Side::Known(flow)) if begun.judged.contains(&flow) => {}
                Some(Side::Known(flow))
                    if !wants_interface || self.decided.interface_of(&flow).is_some() =>
                {
                    live.push((entry, flow));
                }
                Some(Side::Known(_) | Side::Unsure(_)) => unsure.push(entry),
                None => {}
            }
        }
        unsure.retain(|entry| entry.labels.is_some_and(|labels| labels != 0));
        Ok((live, unsure))
    }

    async fn judge_batch(
        &mut self,
        conntrack: &mut Conntrack,
        batch: &[(Entry, Flow)],
        begun: &mut Begun,
    ) -> Result<(), Error> {
        let request = |flow: &Flow| Request {
            flow: *flow,
            uid: self.decided.uid_of(flow),
            owner: None,
            is_open: true,
            interface: self.decided.interface_of(flow),
        };
        let requests: Vec<_> = batch.iter().map(|(_, flow)| request(flow)).collect();
        let judgements = self
            .arguments
            .verdict
            .ask(JUDGE_DEADLINE, |reply| verdict::Message::JudgeAll { requests, reply })
            .await
            .map_err(Error::Verdict)?;
        let mut sweep = Sweep::default();
        for ((entry, flow), judgement) in batch.iter().zip(&judgements) {
            sweep.add(*entry, flow, judgement, begun.epoch);
            self.decided.judged(flow, judgement);
        }
        // Labels first: from here on nothing of a forbidden flow gets out. Then
        // the sockets, so that both ends learn at once.
        conntrack.set_verdicts(&self.arguments.layout, &sweep.verdicts)?;
        conntrack.take_labels(&self.arguments.layout, &sweep.unlabelled)?;
        begun.judged.extend(batch.iter().map(|(_, flow)| *flow));
        let forbidden = judgements.iter().filter(|judgement| judgement.action != Action::Allow);
        begun.forbidden += forbidden.count();
        if let Err((left, _)) = cut(sweep.cut) {
            // Tried once more when all are judged.
            begun.uncut.extend(left);
        }
        Ok(())
    }

    fn try_again_in(&self, pause: Duration, generation: PolicyGeneration) {
        tokio::spawn(try_again(self.context.address().clone(), pause, generation));
    }
}

/// Has the policy looked at again.
async fn try_again(address: Address<Message>, pause: Duration, generation: PolicyGeneration) {
    let mut pause = pause;
    loop {
        tokio::time::sleep(pause).await;
        match address.tell(Message::PolicyPublished { generation }) {
            Err(TellError::Overloaded(_)) => pause = RETRY,
            // Who is stopped for good needs no policy.
            Ok(()) | Err(TellError::Unavailable(_)) => return,
        }
    }
}

/// Cuts these local TCP connections. Gives those that couldn't be, and why the last of them.
fn cut(mut ends: Vec<Ends>) -> Result<(), (Vec<Ends>, Error)> {
    if ends.is_empty() {
        return Ok(());
    }
    let mut sockets = match SocketDiag::open() {
        Ok(sockets) => sockets,
        Err(error) => return Err((ends, error.into())),
    };
    let mut problem = None;
    ends.retain(|(local, remote)| {
        let failure = sockets.destroy_tcp(*local, *remote).err();
        let is_left = failure.is_some();
        problem = failure.or(problem.take());
        is_left
    });
    problem.map_or(Ok(()), |problem| Err((ends, problem.into())))
}
