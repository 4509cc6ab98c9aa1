//! `RecordProgress`: records a score and the time spent, and completes the lesson once.

use dormouse_kernel::Context;

use super::{LessonProgress, LessonProgressEvent, LessonProgressRejection};
use crate::academy::{LessonId, Score, UserId, limits};

impl LessonProgress {
    pub(super) fn record(
        &self,
        (user, lesson): (UserId, LessonId),
        score: f64,
        time_spent_seconds: u64,
        pass_score: Option<f64>,
        context: &mut Context<Self>,
    ) -> Result<(), LessonProgressRejection> {
        let id = Self::id(&user, &lesson);
        if context.id().as_str() != id {
            return Err(LessonProgressRejection::WrongId { id });
        }
        let score = Score::new(score).map_err(LessonProgressRejection::Score)?;
        let pass_score = pass_score.map_or(Ok(Score::DEFAULT_PASS), Score::new);
        let pass_score = pass_score.map_err(LessonProgressRejection::PassScore)?;
        if time_spent_seconds > limits::TIME_SPENT_SECONDS {
            return Err(LessonProgressRejection::TimeSpentTooLong { seconds: time_spent_seconds });
        }
        if self.user.is_none() {
            context.emit(LessonProgressEvent::LessonStarted { user: user.clone(), lesson: lesson.clone() });
        }
        let (learner, learned) = (user.clone(), lesson.clone());
        context.emit(LessonProgressEvent::ProgressRecorded { user, lesson, score, time_spent_seconds });
        if !self.completed && score >= pass_score {
            context.emit(LessonProgressEvent::LessonCompleted { user: learner, lesson: learned, score });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, When};

    use super::*;
    use crate::academy::lesson_progress::stories::{completed, progress, record, recorded, started};
    use crate::academy::stories::{lesson, score, user};
    use crate::academy::{LessonProgressCommand, ProgressReply};

    fn after(past: Vec<LessonProgressEvent>, command: LessonProgressCommand) -> When<LessonProgress> {
        Given::events(past).with_id("ada:l-1").when(command)
    }

    #[test]
    fn the_first_progress_starts_the_lesson() {
        after(vec![], record(0.5, 180)).then([started(), recorded(0.5, 180)]).and_replies(&ProgressReply {
            completed: false,
            best_score: score(0.5),
            attempts: 1,
            total_time_spent_seconds: 180,
        });
    }

    #[test]
    fn the_best_score_stays_and_the_time_adds_up() {
        let past = vec![started(), recorded(0.5, 180)];
        after(past, record(0.25, 20)).then([recorded(0.25, 20)]).and_replies(&ProgressReply {
            completed: false,
            best_score: score(0.5),
            attempts: 2,
            total_time_spent_seconds: 200,
        });
    }

    #[test]
    fn a_lesson_is_completed_by_the_first_score_that_reaches_the_pass_score() {
        after(vec![], record(0.8, 1)).then([started(), recorded(0.8, 1), completed(0.8)]);
        after(vec![], record(0.799_999, 1)).then([started(), recorded(0.799_999, 1)]);
        let past = vec![started(), recorded(0.8, 1), completed(0.8)];
        let done = after(past, record(1.0, 1)).then([recorded(1.0, 1)]);
        assert!(done.state().completed);
    }

    #[test]
    fn the_application_may_set_another_pass_score() {
        after(vec![], progress(0.5, 1, Some(0.5))).then([started(), recorded(0.5, 1), completed(0.5)]);
        after(vec![], progress(0.9, 1, Some(1.0))).then([started(), recorded(0.9, 1)]);
    }

    #[test]
    fn a_score_that_is_no_score_is_refused() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            after(vec![], record(wrong, 1)).then_rejected("score-not-finite");
            after(vec![], progress(0.5, 1, Some(wrong))).then_rejected("pass-score-not-finite");
        }
        for wrong in [-0.1, 1.1, 85.0] {
            after(vec![], record(wrong, 1)).then_rejected("score-out-of-range");
            after(vec![], progress(0.5, 1, Some(wrong))).then_rejected("pass-score-out-of-range");
        }
    }

    #[test]
    fn more_than_a_day_in_one_report_is_refused() {
        after(vec![], record(0.5, 86_400)).then([started(), recorded(0.5, 86_400)]);
        after(vec![], record(0.5, 86_401)).then_rejected("time-spent-too-long");
        after(vec![], record(0.5, u64::MAX)).then_rejected("time-spent-too-long");
    }

    #[test]
    fn the_progress_of_another_user_or_lesson_has_another_id() {
        for id in ["grace:l-1", "ada:l-2", "ada", "l-1:ada"] {
            Given::<LessonProgress>::nothing().with_id(id).when(record(0.5, 1)).then_rejected("wrong-progress-id");
        }
        let command = LessonProgressCommand::RecordProgress {
            user: user("telegram:7"),
            lesson: lesson("l-1"),
            score: 0.5,
            time_spent_seconds: 1,
            pass_score: None,
        };
        let after = Given::<LessonProgress>::nothing().with_id("telegram:7:l-1").when(command);
        assert_eq!(after.state().attempts, 1);
    }
}
