//! Assessments and attempts together, against a calculation of scores in whole numbers.

use std::collections::BTreeMap;

use dormouse_aggregates::academy::{
    Assessment, AssessmentAttempt, AssessmentAttemptCommand, AssessmentAttemptEvent, AssessmentCommand, AssessmentId,
    AttemptStatus, AttemptsAllowed, ChoiceId, Name, NewQuestion, QuestionId, Score, TimeLimit, UserId, Weight,
};
use dormouse_kernel::{EventCodec, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::World;

fn question(at: usize) -> QuestionId {
    QuestionId::new(format!("q-{at}")).unwrap()
}

fn choice(at: usize) -> ChoiceId {
    ChoiceId::new(format!("c-{at}")).unwrap()
}

/// An assessment of questions with four choices each, written as the right one and the weight.
fn create(questions: &[(usize, u32)], pass_mark: Score, attempts: u32) -> AssessmentCommand {
    let questions = questions.iter().enumerate().map(|(at, (right, weight))| NewQuestion {
        id: question(at),
        choices: (0..4).map(choice).collect(),
        right: choice(*right),
        weight: Weight::new(*weight).unwrap(),
    });
    AssessmentCommand::CreateAssessment {
        title: Name::new("Final").unwrap(),
        questions: questions.collect(),
        attempts_allowed: AttemptsAllowed::new(attempts).unwrap(),
        pass_mark,
        time_limit_seconds: TimeLimit::new(600).unwrap(),
    }
}

fn start(user: &str) -> AssessmentAttemptCommand {
    let assessment = AssessmentId::new("final").unwrap();
    AssessmentAttemptCommand::StartAttempt { assessment, user: UserId::new(user).unwrap() }
}

fn answer(at: usize, choose: usize) -> AssessmentAttemptCommand {
    AssessmentAttemptCommand::Answer { question: question(at), choice: choice(choose) }
}

fn seconds(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

proptest! {
    /// Answers count until the time is up or the attempt is submitted, and the score is that of the answers by then.
    #[test]
    fn the_score_is_the_weight_of_the_right_answers_in_time(
        questions in vec((0..4_usize, 1..=1_000_u32), 1..12),
        answers in vec((0..12_usize, 0..4_usize, 0..120_i64), 0..40),
        submits in proptest::option::of(0..40_usize),
        millionths in 0..=1_000_000_u64,
    ) {
        let pass_mark = Score::from_millionths(millionths);
        let mut world = World::at(seconds(0));
        world.tell::<Assessment>("final", &create(&questions, pass_mark, 1)).unwrap();
        world.tell::<AssessmentAttempt>("t-1", &start("ada")).unwrap();
        world.deliver_all(&[]);
        let (mut now, mut given, mut closed) = (0, BTreeMap::new(), false);
        for (place, (at, choose, pause)) in answers.into_iter().enumerate() {
            now += pause;
            // The timer may be late: nobody lets it fire here.
            world.now = seconds(now);
            let told = world.tell::<AssessmentAttempt>("t-1", &answer(at, choose));
            let expected = match () {
                () if closed => Err("attempt-not-running"),
                () if now >= 600 => Err("time-is-up"),
                () if at >= questions.len() => Err("no-such-question"),
                () => Ok(()),
            };
            prop_assert_eq!(told, expected.map_err(str::to_owned));
            if expected.is_ok() {
                given.insert(at, choose);
            }
            if submits == Some(place) && now < 600 && !closed {
                world.tell::<AssessmentAttempt>("t-1", &AssessmentAttemptCommand::Submit).unwrap();
                closed = true;
            }
        }
        let end = seconds(now.max(600));
        world.pass_until(end);
        world.deliver_all(&[]);

        let all: u64 = questions.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let right = questions.iter().enumerate().filter(|(at, (right, _))| given.get(at) == Some(right));
        let earned: u64 = right.map(|(_, (_, weight))| u64::from(*weight)).sum();
        let attempt = world.state::<AssessmentAttempt>("t-1");
        let passes = earned * 1_000_000 >= millionths * all;
        prop_assert_eq!(attempt.status, Some(if passes { AttemptStatus::Passed } else { AttemptStatus::Failed }));
        prop_assert_eq!(u64::from(attempt.score.unwrap().millionths()), earned * 1_000_000 / all);
        let timed_out = world.events::<AssessmentAttempt>("t-1").iter()
            .any(|event| matches!(event, AssessmentAttemptEvent::AttemptTimedOut { .. }));
        prop_assert_eq!(timed_out, !closed);
    }

    /// Attempts that are started at the same time share the number that is allowed.
    #[test]
    fn nobody_has_more_attempts_than_are_allowed(
        allowed in 1..4_u32,
        users in vec(0..3_usize, 0..15),
        choices in vec(any::<usize>(), 1..40),
    ) {
        let mut world = World::at(seconds(0));
        world.tell::<Assessment>("final", &create(&[(0, 1)], Score::MAX, allowed)).unwrap();
        for (attempt, user) in users.iter().enumerate() {
            world.tell::<AssessmentAttempt>(&format!("t-{attempt}"), &start(["ada", "grace", "hedy"][*user])).unwrap();
        }
        world.deliver_all(&choices);
        for user in 0..3 {
            let own = users.iter().enumerate().filter(|(_, by)| **by == user);
            let own: Vec<_> = own.map(|(attempt, _)| world.state::<AssessmentAttempt>(&format!("t-{attempt}"))).collect();
            let count = |status| own.iter().filter(|attempt| attempt.status == Some(status)).count();
            prop_assert_eq!(count(AttemptStatus::Running), own.len().min(allowed as usize));
            prop_assert_eq!(count(AttemptStatus::Running) + count(AttemptStatus::Refused), own.len());
            let reason = own.iter().filter_map(|attempt| attempt.refused_because.as_deref());
            prop_assert!(reason.into_iter().all(|reason| reason == "no-attempts-left"));
        }
    }
}

#[test]
fn no_event_of_an_attempt_tells_a_right_answer() {
    let mut world = World::at(seconds(0));
    let mut create = create(&[(3, 1)], Score::MAX, 1);
    let AssessmentCommand::CreateAssessment { questions, .. } = &mut create else { panic!("another command") };
    let right = ChoiceId::new("treasure").unwrap();
    questions[0].choices.push(right.clone());
    questions[0].right = right;
    let choices = questions[0].choices.len();
    world.tell::<Assessment>("final", &create).unwrap();
    world.tell::<AssessmentAttempt>("t-1", &start("ada")).unwrap();
    world.deliver_all(&[]);
    world.tell::<AssessmentAttempt>("t-1", &answer(0, 0)).unwrap();
    world.tell::<AssessmentAttempt>("t-1", &AssessmentAttemptCommand::Submit).unwrap();
    world.deliver_all(&[]);
    // The right answer is named once, among the choices.
    let codec = EventCodec::<AssessmentAttemptEvent>::new().unwrap();
    let events = world.events::<AssessmentAttempt>("t-1");
    let bytes: Vec<u8> = events.iter().flat_map(|event| codec.encode(event).unwrap().fields).collect();
    let named = bytes.windows(8).filter(|window| *window == b"treasure").count();
    assert_eq!((choices, named), (5, 1));
    assert_eq!(world.state::<AssessmentAttempt>("t-1").status, Some(AttemptStatus::Failed));
}

#[test]
fn an_attempt_at_an_assessment_that_does_not_exist_is_refused() {
    let mut world = World::at(seconds(0));
    world.tell::<AssessmentAttempt>("t-1", &start("ada")).unwrap();
    world.deliver_all(&[]);
    let attempt = world.state::<AssessmentAttempt>("t-1");
    assert_eq!(
        (attempt.status, attempt.refused_because.as_deref()),
        (Some(AttemptStatus::Refused), Some("no-such-assessment"))
    );
}
