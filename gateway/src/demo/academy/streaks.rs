//! `streaks`: progress is a day of learning of the user.

use dormouse_aggregates::academy::{LessonProgress, User, reactions};

use crate::{Event, React, Reactions, Reactor, ReactorSources};

/// Tells a user of each progress.
pub(super) struct Streaks;

impl Reactor for Streaks {
    const NAME: &'static str = "streaks";

    fn sources(sources: ReactorSources<Self>) -> ReactorSources<Self> {
        sources.of::<LessonProgress>()
    }
}

impl React<LessonProgress> for Streaks {
    fn react(event: &Event<'_, LessonProgress>, reactions: &mut Reactions) {
        if let Some((user, command)) = reactions::streaks(event.body(), event.recorded_at()) {
            reactions.send::<User>(user.as_str(), command);
        }
    }
}
