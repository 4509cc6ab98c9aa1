//! `POST /lessons/progress/{lesson}`: what the caller has achieved in a lesson.

use dormouse_aggregates::academy::{LessonId, LessonProgress, LessonProgressCommand, ProgressReply, UserId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{RouteAnswer, RouteError, RouteRequest};

/// What the caller has achieved in a lesson.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    /// The score, from 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    score: f64,
    /// The seconds spent since the last report, at most a day.
    #[schemars(range(min = 0, max = 86_400))]
    time_spent: u64,
}

/// The user is the caller. A client cannot say which score completes the lesson.
pub(super) async fn record_progress(request: RouteRequest<Progress>) -> Result<RouteAnswer<ProgressReply>, RouteError> {
    let user = UserId::new(request.require_caller()?)
        .map_err(|error| RouteError::rejected("invalid-user-id", error.to_string()))?;
    let lesson = LessonId::new(request.path("lesson")).map_err(|error| RouteError::invalid_path("lesson", error))?;
    let &Progress { score, time_spent: time_spent_seconds } = request.body();
    let id = LessonProgress::id(&user, &lesson);
    let command = LessonProgressCommand::RecordProgress { user, lesson, score, time_spent_seconds, pass_score: None };
    let outcome = request.send::<LessonProgress>(id, command).await?;
    Ok(RouteAnswer::new(outcome.reply).after(&outcome))
}
