//! `CreateAssessment`: creates an assessment once, with all its questions.

use std::collections::{BTreeMap, BTreeSet};

use dormouse_kernel::Context;

use super::{Assessment, AssessmentEvent, AssessmentRejection, AssessmentRules, NewQuestion, Question};
use crate::academy::limits;

impl Assessment {
    pub(super) fn create(
        &self,
        rules: AssessmentRules,
        new: Vec<NewQuestion>,
        context: &mut Context<Self>,
    ) -> Result<(), AssessmentRejection> {
        if self.rules.is_some() {
            return Err(AssessmentRejection::AlreadyCreated);
        }
        if new.is_empty() {
            return Err(AssessmentRejection::NoQuestions);
        }
        if new.len() > limits::QUESTIONS {
            return Err(AssessmentRejection::TooManyQuestions { questions: new.len() });
        }
        let (mut questions, mut answer_key) = (Vec::new(), BTreeMap::new());
        for question in new {
            check(&question)?;
            let NewQuestion { id, choices, right, weight } = question;
            if answer_key.insert(id.clone(), right).is_some() {
                return Err(AssessmentRejection::DuplicateQuestion { question: id });
            }
            questions.push(Question { id, choices, weight });
        }
        let AssessmentRules { title, attempts_allowed, pass_mark, time_limit_seconds } = rules;
        context.emit(AssessmentEvent::AssessmentCreated {
            title,
            questions,
            attempts_allowed,
            pass_mark,
            time_limit_seconds,
        });
        context.emit(AssessmentEvent::AnswerKeySet { right: answer_key });
        Ok(())
    }
}

fn check(question: &NewQuestion) -> Result<(), AssessmentRejection> {
    let NewQuestion { id, choices, right, .. } = question;
    let question = id.clone();
    let mut known = BTreeSet::new();
    if choices.len() < limits::MIN_CHOICES {
        Err(AssessmentRejection::TooFewChoices { question })
    } else if choices.len() > limits::MAX_CHOICES {
        Err(AssessmentRejection::TooManyChoices { question })
    } else if !choices.iter().all(|choice| known.insert(choice)) {
        Err(AssessmentRejection::DuplicateChoice { question })
    } else if !known.contains(right) {
        Err(AssessmentRejection::RightAnswerNotAChoice { question })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, When};

    use super::*;
    use crate::academy::assessment::stories::{create, created, new_question};
    use crate::academy::stories::{choice, question};

    fn after(questions: Vec<NewQuestion>) -> When<Assessment> {
        Given::nothing().with_id("final").when(create(questions))
    }

    #[test]
    fn an_assessment_keeps_its_right_answers_in_an_event_of_their_own() {
        let after = after(vec![new_question("q-1", 3, "c-2", 5), new_question("q-2", 2, "c-1", 1)])
            .then(created(&[("q-1", 3, "c-2", 5), ("q-2", 2, "c-1", 1)]));
        let key = [(question("q-1"), choice("c-2")), (question("q-2"), choice("c-1"))];
        assert_eq!(after.state().answer_key, BTreeMap::from(key));
    }

    #[test]
    fn an_assessment_is_created_once() {
        Given::<Assessment>::events(created(&[("q-1", 2, "c-1", 1)]))
            .when(create(vec![new_question("q-1", 2, "c-1", 1)]))
            .then_rejected("assessment-already-created");
    }

    #[test]
    fn an_assessment_has_1_to_100_questions_each_once() {
        let questions = |count| (0..count).map(|n| new_question(&format!("q-{n}"), 2, "c-1", 1)).collect::<Vec<_>>();
        after(vec![]).then_rejected("assessment-without-questions");
        assert_eq!(after(questions(100)).state().questions.len(), 100);
        after(questions(101)).then_rejected("too-many-questions");
        let twice = vec![new_question("q-1", 2, "c-1", 1), new_question("q-1", 3, "c-2", 1)];
        after(twice).then_rejected("duplicate-question");
    }

    #[test]
    fn a_question_has_2_to_20_choices_and_the_right_answer_is_one_of_them() {
        after(vec![new_question("q-1", 1, "c-1", 1)]).then_rejected("too-few-choices");
        assert_eq!(after(vec![new_question("q-1", 20, "c-20", 1)]).state().questions.len(), 1);
        after(vec![new_question("q-1", 21, "c-1", 1)]).then_rejected("too-many-choices");
        after(vec![new_question("q-1", 2, "c-3", 1)]).then_rejected("right-answer-not-a-choice");
        let choices = vec![choice("c-1"), choice("c-1")];
        let twice = NewQuestion { choices, ..new_question("q-1", 2, "c-1", 1) };
        after(vec![twice]).then_rejected("duplicate-choice");
    }

    #[test]
    fn an_assessment_is_named_by_an_assessment_id() {
        let create = create(vec![new_question("q-1", 2, "c-1", 1)]);
        Given::<Assessment>::nothing().with_id("a:b").when(create).then_rejected("invalid-assessment-id");
    }
}
