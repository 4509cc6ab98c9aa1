//! Commands and events for the tests of the commands: Ada's attempt `t-1` at the assessment `final`, from 12:00 to 12:10.

use dormouse_kernel::Message;

use super::{AssessmentAttemptCommand, AssessmentAttemptEvent};
use crate::academy::stories::{assessment, attempt, choice, question, score, time, user};
use crate::academy::{Assessment, AssessmentCommand, Question, TimeLimit, Weight};

pub(super) const BEGAN: &str = "2026-11-20T12:00:00Z";
pub(super) const ENDS: &str = "2026-11-20T12:10:00Z";

pub(super) fn start() -> AssessmentAttemptCommand {
    AssessmentAttemptCommand::StartAttempt { assessment: assessment("final"), user: user("ada") }
}

pub(super) fn begin() -> AssessmentAttemptCommand {
    let time_limit_seconds = TimeLimit::new(600).unwrap();
    AssessmentAttemptCommand::BeginAttempt { questions: questions(), pass_mark: score(0.75), time_limit_seconds }
}

pub(super) fn answer(asked: &str, answer: &str) -> AssessmentAttemptCommand {
    AssessmentAttemptCommand::Answer { question: question(asked), choice: choice(answer) }
}

pub(super) fn requested() -> AssessmentAttemptEvent {
    AssessmentAttemptEvent::AttemptRequested { assessment: assessment("final"), user: user("ada") }
}

pub(super) fn refused() -> AssessmentAttemptEvent {
    AssessmentAttemptEvent::AttemptRefused { reason: "no-attempts-left".to_owned() }
}

pub(super) fn began() -> AssessmentAttemptEvent {
    let (questions, pass_mark, ends_at) = (questions(), score(0.75), time(ENDS));
    AssessmentAttemptEvent::AttemptBegan { questions, pass_mark, ends_at }
}

pub(super) fn running() -> Vec<AssessmentAttemptEvent> {
    vec![requested(), began()]
}

pub(super) fn answered(asked: &str, answer: &str) -> AssessmentAttemptEvent {
    AssessmentAttemptEvent::QuestionAnswered { question: question(asked), choice: choice(answer) }
}

pub(super) fn submitted(answered: usize) -> AssessmentAttemptEvent {
    AssessmentAttemptEvent::AttemptSubmitted { answered }
}

pub(super) fn timed_out(answered: usize) -> AssessmentAttemptEvent {
    AssessmentAttemptEvent::AttemptTimedOut { answered }
}

pub(super) fn passed(number: f64) -> AssessmentAttemptEvent {
    let (assessment, user, score) = (assessment("final"), user("ada"), score(number));
    AssessmentAttemptEvent::AttemptPassed { assessment, user, score }
}

pub(super) fn failed(number: f64) -> AssessmentAttemptEvent {
    let (assessment, user, score) = (assessment("final"), user("ada"), score(number));
    AssessmentAttemptEvent::AttemptFailed { assessment, user, score }
}

/// The message that asks the assessment for the score.
pub(super) fn grading(answers: &[(&str, &str)]) -> Message {
    let answers = answers.iter().map(|(asked, answer)| (question(asked), choice(answer))).collect();
    Message::to::<Assessment>("final", AssessmentCommand::GradeAttempt { attempt: attempt("t-1"), answers })
}

fn questions() -> Vec<Question> {
    let choices = || ["c-1", "c-2"].map(choice).to_vec();
    let (one, two) = (Weight::new(1).unwrap(), Weight::new(2).unwrap());
    vec![
        Question { id: question("q-1"), choices: choices(), weight: two },
        Question { id: question("q-2"), choices: choices(), weight: one },
    ]
}
