use proptest::prelude::*;

use super::super::verdict::tests::read_back;
use super::*;

const QUEUE: u16 = 7301;

/// Answers packets with ids 10, 11, … in this order, and returns which packets each verdict was for.
fn verdicts_for(arrived: u32, answers: &[(u32, Answer)]) -> Vec<(Reach, u32, u32)> {
    let mut line = Line::default();
    let mut verdicts = Verdicts::default();
    for order in 0..arrived {
        assert_eq!(line.arrive(), order);
    }
    for &(order, answer) in answers {
        line.answer(order, 10 + order, answer, QUEUE, &mut verdicts);
    }
    line.finish_run(QUEUE, &mut verdicts);
    read_back(&verdicts)
        .into_iter()
        .map(|(kind, _, code, id, _)| {
            (if kind == Reach::UpTo as u16 { Reach::UpTo } else { Reach::One }, code, id)
        })
        .collect()
}

#[test]
fn equal_answers_in_turn_become_one_batch() {
    use Answer::{Accept, Drop};
    use Reach::{One, UpTo};
    for (name, arrived, answers, expected) in [
        ("one", 1, vec![(0, Accept)], vec![(One, 1, 10)]),
        ("a run", 3, vec![(0, Accept), (1, Accept), (2, Accept)], vec![(UpTo, 1, 12)]),
        (
            "a change ends it",
            4,
            vec![(0, Accept), (1, Accept), (2, Drop), (3, Accept)],
            vec![(UpTo, 1, 11), (One, 0, 12), (One, 1, 13)],
        ),
        (
            "out of turn goes alone, and so do those behind a gap",
            4,
            vec![(1, Accept), (0, Drop), (2, Drop), (3, Drop)],
            vec![(One, 1, 11), (One, 0, 12), (One, 0, 13), (One, 0, 10)],
        ),
        (
            "unanswered ones are never covered",
            3,
            vec![(0, Accept), (2, Accept)],
            vec![(One, 1, 10), (One, 1, 12)],
        ),
    ] {
        let mut seen = verdicts_for(arrived, &answers);
        let mut expected = expected;
        seen.sort_by_key(|verdict| verdict.2);
        expected.sort_by_key(|verdict| verdict.2);
        assert_eq!(seen, expected, "{name}");
    }
}

#[test]
fn repeats_with_other_marks_are_other_answers() {
    let answers = [(0, Answer::Repeat { mark: 1 }), (1, Answer::Repeat { mark: 2 })];
    assert_eq!(verdicts_for(2, &answers), [(Reach::One, 4, 10), (Reach::One, 4, 11)]);
}

#[test]
fn batches_return_once_nothing_waits() {
    let mut line = Line::default();
    let mut verdicts = Verdicts::default();
    let mut answer = |line: &mut Line, order: u32| {
        line.answer(order, order, Answer::Accept, QUEUE, &mut verdicts);
    };
    (0..3).for_each(|order| assert_eq!(line.arrive(), order));
    answer(&mut line, 1);
    answer(&mut line, 2);
    answer(&mut line, 0);
    (3..6).for_each(|order| assert_eq!(line.arrive(), order));
    (3..6).for_each(|order| answer(&mut line, order));
    line.finish_run(QUEUE, &mut verdicts);
    assert_eq!(
        read_back(&verdicts).last().map(|read| (read.0, read.3)),
        Some((Reach::UpTo as u16, 5))
    );
}

proptest! {
    /// Runs against a model of the kernel's queue: whatever the order, each packet gets its own answer,
    /// and one that was not answered stays.
    #[test]
    fn no_packet_gets_the_answer_of_another(
        answers in prop::collection::vec(prop::option::weighted(0.9, 0_u32..3), 1..60),
        swaps in prop::collection::vec((0_usize..60, 0_usize..60), 0..4),
    ) {
        let mut order: Vec<usize> = (0..answers.len()).collect();
        for (left, right) in swaps {
            order.swap(left % answers.len(), right % answers.len());
        }
        let mut line = Line::default();
        let mut verdicts = Verdicts::default();
        for _ in &answers {
            line.arrive();
        }
        for &packet in &order {
            if let Some(mark) = answers[packet] {
                let id = packet as u32;
                line.answer(id, id, Answer::Repeat { mark }, QUEUE, &mut verdicts);
            }
        }
        line.finish_run(QUEUE, &mut verdicts);
        let mut kernel: Vec<Option<u32>> = vec![None; answers.len()];
        for (kind, _, _, id, mark) in read_back(&verdicts) {
            let first = if kind == Reach::UpTo as u16 { 0 } else { id as usize };
            for packet in &mut kernel[first..=id as usize] {
                *packet = packet.or(mark);
            }
        }
        prop_assert_eq!(kernel, answers);
    }
}
