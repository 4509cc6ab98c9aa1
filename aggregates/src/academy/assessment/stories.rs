//! Commands and events for the tests of the commands: an assessment with two attempts of ten minutes. A question is
//! written as its id, the number of its choices (`c-1`, `c-2`, …), the right one, and its weight.

use super::{
    AssessmentCommand, AssessmentEvent, AssessmentRules, AttemptsAllowed, NewQuestion, Question, TimeLimit, Weight,
};
use crate::academy::stories::{attempt, choice, name, question, score, user};

pub(super) fn rules() -> AssessmentRules {
    AssessmentRules {
        title: name("Final"),
        attempts_allowed: AttemptsAllowed::new(2).unwrap(),
        pass_mark: score(0.75),
        time_limit_seconds: TimeLimit::new(600).unwrap(),
    }
}

pub(super) fn create(questions: Vec<NewQuestion>) -> AssessmentCommand {
    let AssessmentRules { title, attempts_allowed, pass_mark, time_limit_seconds } = rules();
    AssessmentCommand::CreateAssessment { title, questions, attempts_allowed, pass_mark, time_limit_seconds }
}

pub(super) fn admit(id: &str, by: &str) -> AssessmentCommand {
    AssessmentCommand::AdmitAttempt { attempt: attempt(id), user: user(by) }
}

pub(super) fn grade(id: &str, answers: &[(&str, &str)]) -> AssessmentCommand {
    let answers = answers.iter().map(|(asked, answer)| (question(asked), choice(answer))).collect();
    AssessmentCommand::GradeAttempt { attempt: attempt(id), answers }
}

pub(super) fn created(asked: &[(&str, usize, &str, u32)]) -> Vec<AssessmentEvent> {
    let AssessmentRules { title, attempts_allowed, pass_mark, time_limit_seconds } = rules();
    let questions = questions(asked);
    let right = asked.iter().map(|(id, _, right, _)| (question(id), choice(right))).collect();
    vec![
        AssessmentEvent::AssessmentCreated { title, questions, attempts_allowed, pass_mark, time_limit_seconds },
        AssessmentEvent::AnswerKeySet { right },
    ]
}

pub(super) fn admitted(id: &str, by: &str, number: u32) -> AssessmentEvent {
    AssessmentEvent::AttemptAdmitted { attempt: attempt(id), user: user(by), number }
}

pub(super) fn questions(asked: &[(&str, usize, &str, u32)]) -> Vec<Question> {
    let new = asked.iter().map(|(id, choices, right, weight)| new_question(id, *choices, right, *weight));
    new.map(|NewQuestion { id, choices, weight, .. }| Question { id, choices, weight }).collect()
}

pub(super) fn new_question(id: &str, choices: usize, right: &str, weight: u32) -> NewQuestion {
    NewQuestion {
        id: question(id),
        choices: (1..=choices).map(|number| choice(&format!("c-{number}"))).collect(),
        right: choice(right),
        weight: Weight::new(weight).unwrap(),
    }
}
