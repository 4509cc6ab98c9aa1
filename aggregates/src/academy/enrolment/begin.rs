//! `BeginEnrolment`: the course has answered. Lessons without prerequisites are unlocked.

use dormouse_kernel::Context;

use super::{Enrolment, EnrolmentEvent, EnrolmentStatus};
use crate::academy::{CourseLesson, LessonProgress, LessonProgressCommand};

impl Enrolment {
    /// Lessons may have been completed before. So the user's progress in each is asked, and answers with
    /// `CompleteLesson`. What is completed after it was asked arrives by the lesson.
    pub(super) fn begin(&self, lessons: Vec<CourseLesson>, context: &mut Context<Self>) {
        let (Some(EnrolmentStatus::Requested), Some(course), Some(user)) = (self.status, &self.course, &self.user)
        else {
            return;
        };
        for lesson in &lessons {
            let ask = LessonProgressCommand::ReportCompletion { course: course.clone() };
            context.send::<LessonProgress>(LessonProgress::id(user, &lesson.id), ask);
        }
        context.emit(EnrolmentEvent::EnrolmentBegan { course: course.clone(), user: user.clone(), lessons });
        Self::unlock(context);
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::{Given, Message};

    use super::*;
    use crate::academy::EnrolmentReply;
    use crate::academy::enrolment::stories::{active, began, begin, refused, requested, unlocked};
    use crate::academy::stories::course;

    fn asked(id: &str) -> Message {
        Message::to::<LessonProgress>(id, LessonProgressCommand::ReportCompletion { course: course("rust") })
    }

    #[test]
    fn lessons_without_prerequisites_are_unlocked() {
        let lessons: &[(&str, &[&str])] = &[("l-1", &[]), ("l-2", &["l-1"]), ("l-3", &[])];
        Given::<Enrolment>::events([requested()])
            .when(begin(lessons))
            .then([began(lessons), unlocked("l-1"), unlocked("l-3")])
            .then_sent([asked("ada:l-1"), asked("ada:l-2"), asked("ada:l-3")])
            .and_replies(&EnrolmentReply { status: Some(EnrolmentStatus::Active), completed: 0, total: 3 });
    }

    #[test]
    fn an_enrolment_begins_once_and_only_when_it_was_requested() {
        for past in [vec![], vec![requested(), refused()], active()] {
            Given::<Enrolment>::events(past).when(begin(&[("l-9", &[])])).then([]).then_sent([]);
        }
    }
}
