//! `AssignLesson`: the first course that asks gets the lesson.

use dormouse_kernel::Context;

use super::{Lesson, LessonEvent, LessonRejection};
use crate::academy::{Course, CourseCommand, CourseId, LessonId};

impl Lesson {
    pub(super) fn assign(
        &self,
        lesson: LessonId,
        course: CourseId,
        context: &mut Context<Self>,
    ) -> Result<(), LessonRejection> {
        match &self.course {
            Some(owner) if *owner != course => return Err(LessonRejection::BelongsToOther { course: owner.clone() }),
            Some(_) => {}
            None => context.emit(LessonEvent::AssignedToCourse { course: course.clone() }),
        }
        context.send::<Course>(course.as_str(), CourseCommand::ConfirmLesson { lesson });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::academy::LessonCommand::AssignLesson;
    use crate::academy::LessonReply;
    use crate::academy::stories::{course, lesson};

    fn assigned() -> LessonEvent {
        LessonEvent::AssignedToCourse { course: course("rust") }
    }

    fn confirmation() -> Message {
        Message::to::<Course>("rust", CourseCommand::ConfirmLesson { lesson: lesson("l-1") })
    }

    #[test]
    fn the_first_course_that_asks_gets_the_lesson() {
        Given::<Lesson>::nothing()
            .with_id("l-1")
            .when(AssignLesson { course: course("rust") })
            .then([assigned()])
            .then_sent([confirmation()])
            .and_replies(&LessonReply { course: Some(course("rust")) });
    }

    #[test]
    fn the_same_course_gets_the_confirmation_again() {
        Given::<Lesson>::events([assigned()])
            .with_id("l-1")
            .when(AssignLesson { course: course("rust") })
            .then([])
            .then_sent([confirmation()]);
    }

    #[test]
    fn another_course_is_refused() {
        Given::<Lesson>::events([assigned()])
            .with_id("l-1")
            .when(AssignLesson { course: course("go") })
            .then_rejected("lesson-belongs-to-other-course")
            .then_sent([]);
    }

    #[test]
    fn a_lesson_is_named_by_a_lesson_id() {
        let assign = AssignLesson { course: course("rust") };
        Given::<Lesson>::nothing().with_id("l 1").when(assign).then_rejected("invalid-lesson-id");
    }
}
