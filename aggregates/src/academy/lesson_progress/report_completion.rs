//! `ReportCompletion`: an enrolment asks, because the lesson may have been completed before it began.

use dormouse_kernel::Context;

use super::LessonProgress;
use crate::academy::{CourseId, Enrolment, EnrolmentCommand};

impl LessonProgress {
    pub(super) fn report_completion(&self, course: &CourseId, context: &mut Context<Self>) {
        let (Some(user), Some(lesson), true) = (&self.user, &self.lesson, self.completed) else { return };
        let lesson = lesson.clone();
        context.send::<Enrolment>(Enrolment::id(course, user), EnrolmentCommand::CompleteLesson { lesson });
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::academy::LessonProgressCommand::ReportCompletion;
    use crate::academy::lesson_progress::stories::{completed, recorded, started};
    use crate::academy::stories::{course, lesson};

    #[test]
    fn a_completed_lesson_is_reported_to_the_enrolment() {
        let report = EnrolmentCommand::CompleteLesson { lesson: lesson("l-1") };
        Given::<LessonProgress>::events([started(), recorded(0.8, 1), completed(0.8)])
            .when(ReportCompletion { course: course("rust") })
            .then([])
            .then_sent([Message::to::<Enrolment>("rust:ada", report)]);
    }

    #[test]
    fn a_lesson_that_is_not_completed_is_not_reported() {
        for past in [vec![], vec![started(), recorded(0.5, 1)]] {
            Given::<LessonProgress>::events(past)
                .when(ReportCompletion { course: course("rust") })
                .then([])
                .then_sent([]);
        }
    }
}
