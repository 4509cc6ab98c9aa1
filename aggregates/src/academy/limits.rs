//! The limits of the academy, each with its reason. Stored events comply with them: raising a limit needs nothing else,
//! lowering one needs an upcaster for larger values in stored events.

use dormouse_kernel::limits::{AGGREGATE_ID_CHARS, MESSAGES_PER_COMMAND};

/// Characters in the id of a user.
pub const USER_ID_CHARS: usize = 64;

/// Characters in the id of a lesson, a course, an assessment, a question or a choice. An id of a user, one of these and
/// a colon between them are an aggregate id.
pub const ID_CHARS: usize = AGGREGATE_ID_CHARS - USER_ID_CHARS - 1;

/// Characters in the name of a user, or in a title.
pub const NAME_CHARS: usize = 200;

/// Characters in the name of a time zone. The longest name of the IANA database has 32.
pub const TIME_ZONE_CHARS: usize = 64;

/// Runs of days of learning that a user keeps, so that a day that arrives late still joins its neighbours: those of four
/// months at least, in less than ten kilobytes. Changing it changes the state that events lead to, so it needs a new
/// snapshot version of the user.
pub const DAY_RUNS: usize = 64;

/// Seconds in one report of progress: a day. A larger number is an error of the client, such as milliseconds.
pub const TIME_SPENT_SECONDS: u64 = 24 * 60 * 60;

/// Lessons in a course. The creation of a course sends a message to each of them, and so does an enrolment.
pub const LESSONS: usize = 200;

/// Lessons that one lesson may directly require. Each enrolment has a copy of them all.
pub const PREREQUISITES: usize = 10;

/// Questions in an assessment. Each attempt has a copy of them.
pub const QUESTIONS: usize = 100;

/// Choices of a question: fewer than two are no question.
pub const MIN_CHOICES: usize = 2;

/// Choices of a question: one screen shows them.
pub const MAX_CHOICES: usize = 20;

/// The weight of a question, relative to the others of its assessment.
pub const WEIGHT: u32 = 1_000;

/// Attempts that a learner may have at one assessment. Unlimited attempts would make an assessment pointless.
pub const ATTEMPTS: u32 = 100;

/// Seconds that an attempt may last: a week. What takes longer is a project, and no assessment.
pub const ATTEMPT_SECONDS: u32 = 7 * 24 * 60 * 60;

/// Learners with attempts at one assessment. It counts the attempts of each in memory and in its snapshot: this many
/// take about two megabytes.
pub const LEARNERS: usize = 20_000;

// A command that sends one message to each lesson stays below the limit of messages.
const _: () = assert!(LESSONS < MESSAGES_PER_COMMAND);
