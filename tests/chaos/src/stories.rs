//! A projection whose author has not thought of every event.

use std::env;

use dormouse::{Event, Key, Keys, Project, Projection, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chaos::{Chaos, ChaosEvent};

/// If the environment has this variable, the projection works, as in a new binary.
const FIXED: &str = "CHAOS_FIXED";

/// The view `stories`: the events of each chaos in their order. The projection panics at a curse.
pub(crate) struct Stories;

/// The events of a chaos.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Story {
    /// Their versions.
    versions: Vec<u64>,
}

impl Projection for Stories {
    const NAME: &'static str = "stories";
    type Document = Story;

    fn sources(sources: Sources<Self>) -> Sources<Self> {
        sources.of::<Chaos>()
    }
}

impl Project<Chaos> for Stories {
    fn keys(event: &Event<'_, Chaos>) -> Keys {
        Keys::one(event.id())
    }

    fn project(current: Option<Story>, event: &Event<'_, Chaos>, _: &Key) -> Option<Story> {
        let mut story = current.unwrap_or_default();
        if matches!(event.body(), ChaosEvent::Cursed) && env::var_os(FIXED).is_none() {
            panic!("a curse cannot be projected");
        }
        story.versions.push(event.version().0);
        Some(story)
    }
}
