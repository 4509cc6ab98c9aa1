//! The ids of the academy.
//!
//! Two ids with a colon between them name an [`Enrolment`](super::Enrolment) or a
//! [`LessonProgress`](super::LessonProgress). Only the id of a user may contain colons, so the two can be told apart.

use dormouse_kernel::{AggregateId, limits::AGGREGATE_ID_CHARS};

use super::limits::{ID_CHARS, USER_ID_CHARS};

text_value! {
    /// The id of a user: 1 to 64 characters, none of them a slash or a control character.
    UserId, "the user id", check_user,
    schema: { "minLength": 1, "maxLength": USER_ID_CHARS, "pattern": "^[^/\\u0000-\\u001f\\u007f-\\u009f]+$" }
}

text_value! {
    /// The id of a lesson: 1 to 63 letters (a to z, A to Z), digits, `-`, `_` and `.`. No two courses share one.
    LessonId, "the lesson id", check,
    schema: { "minLength": 1, "maxLength": ID_CHARS, "pattern": "^[A-Za-z0-9._-]+$" }
}

text_value! {
    /// The id of a course: 1 to 63 letters (a to z, A to Z), digits, `-`, `_` and `.`.
    CourseId, "the course id", check,
    schema: { "minLength": 1, "maxLength": ID_CHARS, "pattern": "^[A-Za-z0-9._-]+$" }
}

text_value! {
    /// The id of an assessment: 1 to 63 letters (a to z, A to Z), digits, `-`, `_` and `.`.
    AssessmentId, "the assessment id", check,
    schema: { "minLength": 1, "maxLength": ID_CHARS, "pattern": "^[A-Za-z0-9._-]+$" }
}

text_value! {
    /// The id of an attempt, which the client chooses: 1 to 128 characters, none of them a slash or a control character.
    AttemptId, "the attempt id", check_aggregate,
    schema: { "minLength": 1, "maxLength": AGGREGATE_ID_CHARS, "pattern": "^[^/\\u0000-\\u001f\\u007f-\\u009f]+$" }
}

text_value! {
    /// The id of a question within its assessment: 1 to 63 letters (a to z, A to Z), digits, `-`, `_` and `.`.
    QuestionId, "the question id", check,
    schema: { "minLength": 1, "maxLength": ID_CHARS, "pattern": "^[A-Za-z0-9._-]+$" }
}

text_value! {
    /// The id of a choice within its question: 1 to 63 letters (a to z, A to Z), digits, `-`, `_` and `.`.
    ChoiceId, "the choice id", check,
    schema: { "minLength": 1, "maxLength": ID_CHARS, "pattern": "^[A-Za-z0-9._-]+$" }
}

fn check(id: &str) -> Result<(), String> {
    let characters = id.chars().count();
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if characters == 0 || characters > ID_CHARS {
        Err(format!("must have 1 to {ID_CHARS} characters, got {characters}"))
    } else if let Some(character) = id.chars().find(|character| !allowed(*character)) {
        Err(format!("must be made of letters, digits, '-', '_' and '.', got {character:?}"))
    } else if id == "." || id == ".." {
        Err("must not be a dot segment, which URLs cannot carry".to_owned())
    } else {
        Ok(())
    }
}

fn check_user(id: &str) -> Result<(), String> {
    let characters = id.chars().count();
    if characters > USER_ID_CHARS {
        return Err(format!("must have 1 to {USER_ID_CHARS} characters, got {characters}"));
    }
    check_aggregate(id)
}

/// The id names an aggregate, so the rule for aggregate ids applies.
fn check_aggregate(id: &str) -> Result<(), String> {
    AggregateId::new(id).map(|_| ()).map_err(|invalid| invalid.problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::academy::{Enrolment, LessonProgress};

    #[test]
    fn an_id_is_letters_digits_and_a_few_signs() {
        for id in ["a", "rust-101", "v1.2_b", "...", &"x".repeat(63)] {
            assert!(LessonId::new(id).is_ok(), "{id:?}");
        }
        for id in ["", "a b", "a/b", "a:b", "größe", "a\n", ".", "..", &"x".repeat(64)] {
            assert!(LessonId::new(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_user_id_is_what_an_identity_provider_uses() {
        for id in ["ada", "telegram:12345", "auth0|5f7c", "ada@example.org", &"ü".repeat(64)] {
            assert!(UserId::new(id).is_ok(), "{id:?}");
        }
        for id in ["", "a/b", "..", "a\0", &"a".repeat(65)] {
            assert!(UserId::new(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let refusal = LessonId::new("a:b").unwrap_err().to_string();
        assert_eq!(refusal, "the lesson id must be made of letters, digits, '-', '_' and '.', got ':'");
        assert_eq!(UserId::new("a/b").unwrap_err().to_string(), "the user id contains a slash");
        let refusal = UserId::new("a".repeat(65)).unwrap_err().to_string();
        assert_eq!(refusal, "the user id must have 1 to 64 characters, got 65");
    }

    #[test]
    fn the_longest_ids_together_are_an_aggregate_id() {
        let user = UserId::new("ü".repeat(64)).unwrap();
        let (lesson, course) = (LessonId::new("l".repeat(63)).unwrap(), CourseId::new("c".repeat(63)).unwrap());
        for id in [LessonProgress::id(&user, &lesson), Enrolment::id(&course, &user)] {
            assert!(AggregateId::new(&id).is_ok(), "{id}");
        }
    }
}
