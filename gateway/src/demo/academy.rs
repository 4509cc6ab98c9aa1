//! The module `academy`: users who learn, lessons, courses, assessments.
//!
//! The reactors apply the rules of [`reactions`](dormouse_aggregates::academy::reactions).

mod record_progress;
mod streaks;
mod unlocking;

use dormouse_aggregates::academy::{Assessment, AssessmentAttempt, Course, Enrolment, Lesson, LessonProgress, User};
use dormouse_views::academy::{CourseProgress, StreakBoard, UserProgressSummaries};

use self::streaks::Streaks;
use self::unlocking::Unlocking;
use crate::{App, Route};

pub(super) fn add(app: App) -> App {
    let app = app
        .aggregate::<User>()
        .aggregate::<Lesson>()
        .aggregate::<LessonProgress>()
        .aggregate::<Course>()
        .aggregate::<Enrolment>()
        .aggregate::<Assessment>()
        .aggregate::<AssessmentAttempt>()
        .projection::<UserProgressSummaries>()
        .projection::<CourseProgress>()
        .projection::<StreakBoard>()
        .reactor::<Streaks>()
        .reactor::<Unlocking>()
        .route(
            Route::post("/lessons/progress/{lesson}", record_progress::record_progress)
                .summary("Records what the caller has achieved in a lesson")
                .permission(OWN_PROGRESS),
        );
    permit(app)
}

/// The permission to record one's own progress.
const OWN_PROGRESS: &str = "RecordOwnProgress";

fn permit(app: App) -> App {
    const TEACHER: &[&str] = &["teacher", "admin"];
    const LEARNER: &[&str] = &["own:learner", "admin"];
    const OF_LEARNER: &[&str] = &["own:learner", "teacher", "admin"];
    let app = app.permit_command(OWN_PROGRESS, &["learner", "admin"]);
    let app = ["CreateCourse", "AddLesson", "CreateAssessment"]
        .into_iter()
        .fold(app, |app, command| app.permit_command(command, TEACHER));
    let app = ["RegisterUser", "ChangeTimeZone", "RecordProgress", "Enrol", "StartAttempt", "Answer", "Submit"]
        .into_iter()
        .fold(app, |app, command| app.permit_command(command, LEARNER));
    let app = ["GetUserProgressSummary", "GetAllUserProgressSummary", "GetCourseProgress", "GetAllCourseProgress"]
        .into_iter()
        .chain(["GetStreakBoard", "user.state", "enrolment.state", "lesson-progress.state", "assessment-attempt.state"])
        .fold(app, |app, query| app.permit_query(query, OF_LEARNER));
    ["GetAllStreakBoard", "course.state", "lesson.state", "assessment.state"]
        .into_iter()
        .fold(app, |app, query| app.permit_query(query, TEACHER))
}
