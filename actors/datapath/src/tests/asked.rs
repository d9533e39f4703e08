//! Flows that wait for the user.

use std::time::Duration;

use seawall_messages::verdict::{self, Action, Lifetime, Waiting};
use seawall_messages::{Layer, PolicyGeneration};
use seawall_platform::linux::layout::{MarkAction, QueueKind};
use seawall_runtime::AskError;

use super::{Bench, STANDING, answers, asked, judgement, repeat};
use crate::parking::{Effect, MOST_FLOWS, PARKED_DEADLINE};
use crate::standing::Standing;
use crate::waiting::{MOST_ASKED_FLOWS, MOST_ASKED_PACKETS, MOST_ASKED_PACKETS_PER_FLOW};

const AT_MOST: Duration = Duration::from_secs(60);

impl Bench {
    /// `verdict` says that the user is asked.
    pub(super) fn waits(&mut self, token: u64, answers: u64) -> Vec<Effect> {
        let waiting = Waiting { generation: STANDING.generation, answers, at_most: AT_MOST };
        let mut effects = Vec::new();
        let answer = Ok(verdict::Answer::Waits(waiting));
        self.parking.answered(token, answer, STANDING, self.now, &mut effects);
        effects
    }

    /// A look at what waits, with so many publications of answers.
    fn look(&mut self, answers: u64, standing: Standing) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.parking.look_at_asked(answers, standing, self.now, &mut effects);
        effects
    }

    /// A flow from this port waits for the user, having seen that many publications.
    fn held(&mut self, port: u16, answers: u64) -> u64 {
        let token = asked(&self.arrives(QueueKind::New, port, 0))[0];
        assert!(self.waits(token, answers).is_empty());
        token
    }
}

fn denied_as(effects: &[Effect]) -> Vec<Layer> {
    let layer = |effect: &Effect| match effect {
        Effect::Decided { judgement, .. } => Some(judgement.reason.layer),
        _ => None,
    };
    effects.iter().filter_map(layer).collect()
}

#[test]
fn a_flow_waits_for_the_user_beyond_the_deadline_of_verdict() {
    let mut bench = Bench::new();
    bench.look(1, STANDING);
    let token = bench.held(1, 1);
    assert_eq!((bench.parking.flows(), bench.parking.asked()), (0, (1, 1)));
    assert!(bench.after(PARKED_DEADLINE * 2).is_empty());
    assert!(bench.look(1, STANDING).is_empty(), "nothing changed");
    assert!(asked(&bench.arrives(QueueKind::New, 1, 0)).is_empty(), "it waits with the first");
    // The user answered.
    assert_eq!(asked(&bench.look(2, STANDING)), [token]);
    assert_eq!((bench.parking.flows(), bench.parking.asked()), (1, (0, 0)));
    let effects = bench.answered(token, Ok(judgement(Action::Allow, Lifetime::Flow, 3)));
    let passes = repeat(0, MarkAction::Allow, Some(STANDING.epoch));
    assert_eq!(answers(&effects), [(1, passes), (2, passes)]);
    assert_eq!((bench.parking.flows(), bench.parking.packets()), (0, 0));
}

#[test]
fn a_flow_waits_no_longer_than_it_may_however_often_it_is_asked_about() {
    let mut bench = Bench::new();
    bench.look(1, STANDING);
    let token = bench.held(1, 1);
    bench.after(AT_MOST / 2);
    assert_eq!(asked(&bench.look(2, STANDING)), [token]);
    assert!(bench.waits(token, 2).is_empty());
    bench.after(AT_MOST / 2 - Duration::from_secs(1));
    assert!(bench.look(2, STANDING).is_empty());
    assert!(bench.parking.next_tick(bench.now).is_some_and(|wait| wait <= AT_MOST));
    bench.after(Duration::from_secs(1));
    let effects = bench.look(2, STANDING);
    assert_eq!(denied_as(&effects), [Layer::NobodyAnswered]);
    assert_eq!(answers(&effects).len(), 1);
    assert_eq!(bench.parking.asked(), (0, 0));
    assert_eq!(bench.parking.next_tick(bench.now), None);
    // Nothing of it is remembered: the next attempt asks.
    assert_eq!(asked(&bench.arrives(QueueKind::New, 1, 0)).len(), 1);
}

#[test]
fn an_answer_that_came_meanwhile_is_not_missed() {
    let mut bench = Bench::new();
    bench.look(7, STANDING);
    let token = asked(&bench.arrives(QueueKind::New, 1, 0))[0];
    // `prompt` said so before the seventh publication.
    assert_eq!(asked(&bench.waits(token, 6)), [token]);
    assert!(bench.waits(token, 7).is_empty());
    assert_eq!(bench.parking.asked().0, 1);
    // A new policy may decide by itself.
    let newer = Standing { generation: PolicyGeneration(4), ..STANDING };
    assert_eq!(asked(&bench.look(7, newer)), [token]);
}

#[test]
fn what_is_asked_about_again_and_not_answered_in_time_is_denied_as_any_flow() {
    let mut bench = Bench::new();
    bench.look(1, STANDING);
    let token = bench.held(1, 1);
    bench.look(2, STANDING);
    assert!(bench.answered(token, Err(AskError::Unavailable)).is_empty());
    assert_eq!(denied_as(&bench.after(PARKED_DEADLINE)), [Layer::Unanswered]);
}

#[test]
fn packets_of_a_connection_that_was_open_say_so() {
    let mut bench = Bench::new();
    for (kind, is_open) in
        [(QueueKind::New, false), (QueueKind::ParkedOriginal, true), (QueueKind::ParkedReply, true)]
    {
        let port = 1 + u16::try_from(bench.ids).expect("few");
        let effects = bench.arrives(kind, port, 0);
        let said = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ask(_, request) if request.is_open == is_open));
        assert!(said, "{kind:?}");
    }
}

#[test]
fn what_waits_for_the_user_is_bounded_and_takes_no_room_of_others() {
    let mut bench = Bench::new();
    bench.look(1, STANDING);
    for port in 0..u16::try_from(MOST_ASKED_FLOWS).expect("ports") {
        bench.held(port, 1);
    }
    let token = asked(&bench.arrives(QueueKind::New, 20_000, 0))[0];
    assert_eq!(denied_as(&bench.waits(token, 1)), [Layer::NobodyAnswered], "one too many");
    let first = 1_000 + u16::try_from(MOST_ASKED_FLOWS).expect("a port");
    for port in (first..).take(MOST_FLOWS) {
        assert_eq!(asked(&bench.arrives(QueueKind::New, port, 0)).len(), 1, "{port}");
    }
    // Packets of one flow, then in all.
    let joins =
        |bench: &mut Bench, port| answers(&bench.arrives(QueueKind::New, port, 0)).is_empty();
    let mut joined = 1;
    while joins(&mut bench, 0) {
        joined += 1;
    }
    assert_eq!(joined, MOST_ASKED_PACKETS_PER_FLOW);
    for port in 1..u16::try_from(MOST_ASKED_FLOWS).expect("ports") {
        while joins(&mut bench, port) {}
    }
    assert_eq!(bench.parking.asked(), (MOST_ASKED_FLOWS, MOST_ASKED_PACKETS));
}
