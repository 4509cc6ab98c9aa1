//! `LearnerCompleted`: passes the news to the learner's enrolment in the course.

use dormouse_kernel::Context;

use super::Lesson;
use crate::academy::{Enrolment, EnrolmentCommand, LessonId, UserId};

impl Lesson {
    /// A learner without an enrolment loses nothing: an enrolment asks for completed lessons when it begins.
    pub(super) fn learner_completed(&self, lesson: LessonId, user: &UserId, context: &mut Context<Self>) {
        if let Some(course) = &self.course {
            context.send::<Enrolment>(Enrolment::id(course, user), EnrolmentCommand::CompleteLesson { lesson });
        }
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::academy::LessonCommand::LearnerCompleted;
    use crate::academy::LessonEvent;
    use crate::academy::stories::{course, lesson, user};

    #[test]
    fn the_enrolment_in_the_course_of_the_lesson_is_told() {
        let told = EnrolmentCommand::CompleteLesson { lesson: lesson("l-1") };
        Given::<Lesson>::events([LessonEvent::AssignedToCourse { course: course("rust") }])
            .with_id("l-1")
            .when(LearnerCompleted { user: user("ada") })
            .then([])
            .then_sent([Message::to::<Enrolment>("rust:ada", told)]);
    }

    #[test]
    fn a_lesson_without_a_course_tells_nobody() {
        Given::<Lesson>::nothing().with_id("l-1").when(LearnerCompleted { user: user("ada") }).then([]).then_sent([]);
    }
}
