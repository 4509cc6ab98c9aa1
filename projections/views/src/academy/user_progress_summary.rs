//! What each user has learned.

use dormouse_aggregates::academy::{LessonProgress, LessonProgressEvent, Score, UserId};
use dormouse_projections::{Event, Fields, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Moment;

/// The view `user-progress-summary`: one document for each user with progress in a lesson. The key is the user's id.
///
/// Sums are whole numbers, so they are exact whatever their order. The average and the minutes follow from them.
#[derive(Clone, Copy, Debug)]
pub struct UserProgressSummaries;

/// What a user has learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserProgressSummary {
    /// The user.
    pub user: UserId,
    /// Lessons that the user has begun.
    pub total_lessons: u64,
    /// Lessons that the user has completed.
    pub completed_lessons: u64,
    /// The average of all recorded scores, also of several ones in the same lesson, rounded to the nearest millionth.
    pub average_score: Score,
    /// The time spent with all lessons, in whole minutes, rounded down.
    pub total_time_spent_minutes: u64,
    /// When progress was last recorded.
    pub last_activity: Moment,
    /// How many scores were recorded.
    pub scores: u64,
    /// The sum of all recorded scores, in millionths.
    pub score_sum_millionths: u64,
    /// The time spent with all lessons, in seconds.
    pub total_time_spent_seconds: u64,
}

impl Projection for UserProgressSummaries {
    const NAME: &'static str = "user-progress-summary";
    type Document = UserProgressSummary;

    fn fields() -> Fields {
        Fields::none()
            .text("user")
            .integer("total_lessons")
            .integer("completed_lessons")
            .real("average_score")
            .integer("total_time_spent_minutes")
            .text("last_activity")
    }

    fn owner_field() -> Option<&'static str> {
        Some("user")
    }

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<LessonProgress>()
    }
}

impl Project<LessonProgress> for UserProgressSummaries {
    fn keys(event: &Event<'_, LessonProgress>) -> Keys {
        Keys::one(user(event.body()).as_str())
    }

    fn project(
        current: Option<UserProgressSummary>,
        event: &Event<'_, LessonProgress>,
        _: &Key,
    ) -> Option<UserProgressSummary> {
        let now = Moment::from(event.recorded_at());
        let mut summary = current.unwrap_or_else(|| UserProgressSummary::nothing(user(event.body()).clone(), now));
        match event.body() {
            LessonProgressEvent::LessonStarted { .. } => summary.total_lessons += 1,
            LessonProgressEvent::ProgressRecorded { score, time_spent_seconds, .. } => {
                summary.take(*score, *time_spent_seconds);
            }
            LessonProgressEvent::LessonCompleted { .. } => summary.completed_lessons += 1,
        }
        // The clocks of two nodes may differ, so an earlier event may have a later time.
        summary.last_activity = summary.last_activity.max(now);
        Some(summary)
    }
}

impl UserProgressSummary {
    fn nothing(user: UserId, now: Moment) -> Self {
        Self {
            user,
            total_lessons: 0,
            completed_lessons: 0,
            average_score: Score::MIN,
            total_time_spent_minutes: 0,
            last_activity: now,
            scores: 0,
            score_sum_millionths: 0,
            total_time_spent_seconds: 0,
        }
    }

    fn take(&mut self, score: Score, seconds: u64) {
        self.scores += 1;
        self.score_sum_millionths = self.score_sum_millionths.saturating_add(score.millionths().into());
        // Half of the divisor is added, so that the division rounds to the nearest.
        let average = self.score_sum_millionths.saturating_add(self.scores / 2) / self.scores;
        self.average_score = Score::from_millionths(average);
        self.total_time_spent_seconds = self.total_time_spent_seconds.saturating_add(seconds);
        self.total_time_spent_minutes = self.total_time_spent_seconds / 60;
    }
}

fn user(event: &LessonProgressEvent) -> &UserId {
    match event {
        LessonProgressEvent::LessonStarted { user, .. }
        | LessonProgressEvent::ProgressRecorded { user, .. }
        | LessonProgressEvent::LessonCompleted { user, .. } => user,
    }
}

#[cfg(test)]
mod tests {
    use dormouse_projections::Given;

    use super::*;
    use crate::academy::stories::{at, lesson_completed, progress, score, started, user};

    fn given_one_lesson() -> Given<UserProgressSummaries> {
        let events = [started("ada", "l-1"), progress("ada", "l-1", 0.85, 180), lesson_completed("ada", "l-1", 0.85)];
        Given::nothing().at(at(1)).when::<LessonProgress>("ada:l-1", events)
    }

    fn one_lesson() -> UserProgressSummary {
        UserProgressSummary {
            user: user("ada"),
            total_lessons: 1,
            completed_lessons: 1,
            average_score: score(0.85),
            total_time_spent_minutes: 3,
            last_activity: at(1).into(),
            scores: 1,
            score_sum_millionths: 850_000,
            total_time_spent_seconds: 180,
        }
    }

    #[test]
    fn a_lesson_counts_when_it_is_begun_and_when_it_is_completed() {
        Given::<UserProgressSummaries>::nothing()
            .at(at(1))
            .when::<LessonProgress>("ada:l-1", [started("ada", "l-1"), progress("ada", "l-1", 0.5, 59)])
            .then(
                "ada",
                &UserProgressSummary {
                    completed_lessons: 0,
                    average_score: score(0.5),
                    total_time_spent_minutes: 0,
                    score_sum_millionths: 500_000,
                    total_time_spent_seconds: 59,
                    ..one_lesson()
                },
            );
        given_one_lesson().then("ada", &one_lesson());
    }

    #[test]
    fn several_lessons_add_up() {
        given_one_lesson()
            .at(at(2))
            .when::<LessonProgress>("ada:l-2", [started("ada", "l-2"), progress("ada", "l-2", 0.35, 59)])
            .when::<LessonProgress>("ada:l-2", [progress("ada", "l-2", 0.7, 2)])
            .then(
                "ada",
                &UserProgressSummary {
                    total_lessons: 2,
                    average_score: score(0.633_333),
                    total_time_spent_minutes: 4,
                    last_activity: at(2).into(),
                    scores: 3,
                    score_sum_millionths: 1_900_000,
                    total_time_spent_seconds: 241,
                    ..one_lesson()
                },
            );
    }

    #[test]
    fn an_average_is_rounded_to_the_nearest_millionth() {
        let mut summary = UserProgressSummary::nothing(user("ada"), at(1).into());
        for (number, average) in [(1.0, 1.0), (0.0, 0.5), (0.5, 0.5), (0.000_002, 0.375_001), (0.0, 0.3)] {
            summary.take(score(number), 0);
            assert_eq!(summary.average_score, score(average));
        }
    }

    #[test]
    fn each_user_has_a_summary_and_the_last_activity_is_the_latest() {
        given_one_lesson()
            .at(at(0))
            .when::<LessonProgress>("grace:l-1", [started("grace", "l-1"), progress("grace", "l-1", 1.0, 0)])
            .then_keys(&["ada", "grace"])
            .when::<LessonProgress>("ada:l-1", [progress("ada", "l-1", 0.85, 0)])
            .then("ada", &UserProgressSummary { scores: 2, score_sum_millionths: 1_700_000, ..one_lesson() });
    }
}
