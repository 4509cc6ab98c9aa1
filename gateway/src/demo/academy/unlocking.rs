//! `unlocking`: a completed lesson unlocks the next ones.

use dormouse_aggregates::academy::{Lesson, LessonProgress, reactions};

use crate::{Event, React, Reactions, Reactor, ReactorSources};

/// Tells a lesson who has completed it.
pub(super) struct Unlocking;

impl Reactor for Unlocking {
    const NAME: &'static str = "unlocking";

    fn sources(sources: ReactorSources<Self>) -> ReactorSources<Self> {
        sources.of::<LessonProgress>()
    }
}

impl React<LessonProgress> for Unlocking {
    fn react(event: &Event<'_, LessonProgress>, reactions: &mut Reactions) {
        if let Some((lesson, command)) = reactions::unlocking(event.body()) {
            reactions.send::<Lesson>(lesson.as_str(), command);
        }
    }
}
