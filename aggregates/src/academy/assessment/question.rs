//! The questions of an assessment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::academy::{ChoiceId, QuestionId, Weight};

/// A question as a learner gets it. Its words and those of its choices are part of the lesson's content; here are only
/// their ids.
///
/// It is stored in events, so it accepts unknown fields: an older version of the application may read newer events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// The question.
    pub id: QuestionId,
    /// The choices.
    pub choices: Vec<ChoiceId>,
    /// How much it counts.
    pub weight: Weight,
}

/// A question in a command. An unknown field is a typing error and is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewQuestion {
    /// The question.
    pub id: QuestionId,
    /// The choices: 2 to 20.
    #[schemars(length(min = 2, max = 20))]
    pub choices: Vec<ChoiceId>,
    /// The choice that is right.
    pub right: ChoiceId,
    /// How much it counts. Default: 1.
    #[serde(default = "one")]
    pub weight: Weight,
}

fn one() -> Weight {
    Weight::MIN
}
