//! How far each enrolment is.

use dormouse_aggregates::academy::{CourseId, Enrolment, EnrolmentEvent, UserId};
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Moment;

/// The view `course-progress`: one document for each enrolment that has begun. The key is the enrolment's id, which is
/// the ids of the course and the user with a colon between them.
#[derive(Clone, Copy, Debug)]
pub struct CourseProgress;

/// How far a user is in a course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnrolmentProgress {
    /// The course.
    pub course: CourseId,
    /// The user.
    pub user: UserId,
    /// Lessons that the user has completed.
    pub completed: u64,
    /// Lessons of the course, as it was when the user enrolled.
    pub total: u64,
    /// Completed lessons in percent, rounded down: it is 100 only if all are completed.
    pub percent: u64,
    /// When the enrolment began.
    pub enrolled_at: Moment,
    /// When the last lesson was completed, if all are.
    pub completed_at: Option<Moment>,
    /// When a lesson was last unlocked or completed.
    pub updated_at: Moment,
}

impl Projection for CourseProgress {
    const NAME: &'static str = "course-progress";
    type Document = EnrolmentProgress;

    fn fields() -> Fields {
        Fields::none().text("course").text("user").integer("percent").text("enrolled_at").text("completed_at")
    }

    fn owner_field() -> Option<&'static str> {
        Some("user")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Enrolment>()
    }
}

impl Project<Enrolment> for CourseProgress {
    fn keys(event: &Event<'_, Enrolment>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<EnrolmentProgress>, event: &Event<'_, Enrolment>, _: &Key) -> Option<EnrolmentProgress> {
        let now = Moment::from(event.recorded_at());
        let mut progress = match (current, event.body()) {
            (Some(progress), _) => progress,
            (None, EnrolmentEvent::EnrolmentBegan { course, user, lessons }) => EnrolmentProgress {
                course: course.clone(),
                user: user.clone(),
                completed: 0,
                total: lessons.len() as u64,
                percent: 0,
                enrolled_at: now,
                completed_at: None,
                updated_at: now,
            },
            // The course has not answered yet, or refused.
            (None, _) => return None,
        };
        match event.body() {
            EnrolmentEvent::CourseLessonCompleted { .. } => {
                progress.completed += 1;
                progress.percent = progress.completed.saturating_mul(100).checked_div(progress.total).unwrap_or(100);
            }
            EnrolmentEvent::CourseCompleted { .. } => progress.completed_at = Some(now),
            EnrolmentEvent::EnrolmentRequested { .. }
            | EnrolmentEvent::EnrolmentRefused { .. }
            | EnrolmentEvent::EnrolmentBegan { .. }
            | EnrolmentEvent::LessonUnlocked { .. } => {}
        }
        progress.updated_at = now;
        Some(progress)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_projections::Given;

    use super::*;
    use crate::academy::stories::{at, began, completed, course, course_completed, requested, unlocked, user};

    fn progress(completed: u64, percent: u64, second: i64) -> EnrolmentProgress {
        EnrolmentProgress {
            course: course("rust"),
            user: user("ada"),
            completed,
            total: 3,
            percent,
            enrolled_at: at(1).into(),
            completed_at: None,
            updated_at: at(second).into(),
        }
    }

    fn given_enrolment() -> Given<CourseProgress> {
        let begun = [requested(), began(&["l-1", "l-2", "l-3"]), unlocked("l-1")];
        Given::nothing().at(at(1)).when::<Enrolment>("rust:ada", begun).then("rust:ada", &progress(0, 0, 1))
    }

    #[test]
    fn an_enrolment_is_shown_when_it_begins() {
        Given::<CourseProgress>::nothing().when::<Enrolment>("rust:ada", [requested()]).then_gone("rust:ada");
        given_enrolment().then_keys(&["rust:ada"]);
    }

    #[test]
    fn lessons_that_are_completed_count() {
        given_enrolment()
            .at(at(2))
            .when::<Enrolment>("rust:ada", [completed("l-1"), unlocked("l-2")])
            .then("rust:ada", &progress(1, 33, 2))
            .at(at(3))
            .when::<Enrolment>("rust:ada", [completed("l-2")])
            .then("rust:ada", &progress(2, 66, 3));
    }

    #[test]
    fn a_course_is_completed_with_its_last_lesson() {
        given_enrolment()
            .at(at(2))
            .when::<Enrolment>("rust:ada", ["l-1", "l-2", "l-3"].map(completed))
            .when::<Enrolment>("rust:ada", [course_completed()])
            .then("rust:ada", &EnrolmentProgress { completed_at: Some(at(2).into()), ..progress(3, 100, 2) });
    }
}
