//! The stored bytes of the events of the academy. If code can no longer read these bytes, the event needs an upcaster.

use std::collections::BTreeMap;
use std::fmt::Debug;

use dormouse_aggregates::academy::{
    Assessment, AssessmentAttempt, AssessmentAttemptEvent, AssessmentEvent, AssessmentId, AttemptId, AttemptsAllowed,
    ChoiceId, Course, CourseEvent, CourseId, CourseLesson, DayRun, Enrolment, EnrolmentEvent, Lesson, LessonEvent,
    LessonId, LessonProgress, LessonProgressEvent, Name, Question, QuestionId, Score, TimeLimit, TimeZoneName, User,
    UserEvent, UserId, Weight,
};
use dormouse_kernel::{Aggregate, DomainEvent, EventCodec};

#[test]
fn names_of_types_are_stable() {
    let types = [User::TYPE, LessonProgress::TYPE, Lesson::TYPE, Course::TYPE, Enrolment::TYPE];
    assert_eq!(types, ["user", "lesson-progress", "lesson", "course", "enrolment"]);
    assert_eq!([Assessment::TYPE, AssessmentAttempt::TYPE], ["assessment", "assessment-attempt"]);
}

#[test]
fn user_events_are_written_like_this() {
    let (first, last) = ("2026-11-20".parse().unwrap(), "2026-11-21".parse().unwrap());
    are_pinned([
        (
            UserEvent::UserRegistered { name: name("Ada").into(), time_zone: zone("Europe/Berlin") },
            "UserRegistered",
            "82a46e616d65a3416461a974696d655f7a6f6e65ad4575726f70652f4265726c696e",
        ),
        (UserEvent::TimeZoneChanged { time_zone: zone("UTC") }, "TimeZoneChanged", "81a974696d655f7a6f6e65a3555443"),
        (
            UserEvent::LearningDayRecorded {
                date: last,
                lesson: lesson("l-1"),
                streak: 2,
                run: DayRun { days: 2, first, last },
            },
            "LearningDayRecorded",
            "84a464617465aa323032362d31312d3231a66c6573736f6ea36c2d31a673747265616b02a372756e83a46461797302a56669727374aa323032362d31312d3230a46c617374aa323032362d31312d3231",
        ),
        (
            UserEvent::StreakBroken { days: 2, last_day: last },
            "StreakBroken",
            "82a46461797302a86c6173745f646179aa323032362d31312d3231",
        ),
    ]);
}

#[test]
fn lesson_progress_events_are_written_like_this() {
    let (user, lesson, score) = (user("ada"), lesson("l-1"), score(0.85));
    are_pinned([
        (
            LessonProgressEvent::LessonStarted { user: user.clone(), lesson: lesson.clone() },
            "LessonStarted",
            "82a475736572a3616461a66c6573736f6ea36c2d31",
        ),
        (
            LessonProgressEvent::ProgressRecorded {
                user: user.clone(),
                lesson: lesson.clone(),
                score,
                time_spent_seconds: 180,
            },
            "ProgressRecorded",
            "84a475736572a3616461a66c6573736f6ea36c2d31a573636f7265cb3feb333333333333b274696d655f7370656e745f7365636f6e6473ccb4",
        ),
        (
            LessonProgressEvent::LessonCompleted { user, lesson, score },
            "LessonCompleted",
            "83a475736572a3616461a66c6573736f6ea36c2d31a573636f7265cb3feb333333333333",
        ),
    ]);
}

#[test]
fn lesson_events_are_written_like_this() {
    are_pinned([(
        LessonEvent::AssignedToCourse { course: course("rust") },
        "AssignedToCourse",
        "81a6636f75727365a472757374",
    )]);
}

#[test]
fn course_events_are_written_like_this() {
    are_pinned([
        (
            CourseEvent::CourseCreated { title: name("Rust"), lessons: vec![course_lesson("l-2", &["l-1"])] },
            "CourseCreated",
            "82a57469746c65a452757374a76c6573736f6e739182a26964a36c2d32ad7072657265717569736974657391a36c2d31",
        ),
        (
            CourseEvent::LessonAdded { lesson: course_lesson("l-1", &[]) },
            "LessonAdded",
            "81a66c6573736f6e82a26964a36c2d31ad7072657265717569736974657390",
        ),
        (CourseEvent::LessonConfirmed { lesson: lesson("l-1") }, "LessonConfirmed", "81a66c6573736f6ea36c2d31"),
        (
            CourseEvent::LessonRemoved { lesson: lesson("l-1"), reason: "lesson-belongs-to-other-course".to_owned() },
            "LessonRemoved",
            "82a66c6573736f6ea36c2d31a6726561736f6ebe6c6573736f6e2d62656c6f6e67732d746f2d6f746865722d636f75727365",
        ),
    ]);
}

#[test]
fn enrolment_events_are_written_like_this() {
    are_pinned([
        (
            EnrolmentEvent::EnrolmentRequested { course: course("rust"), user: user("ada") },
            "EnrolmentRequested",
            "82a6636f75727365a472757374a475736572a3616461",
        ),
        (
            EnrolmentEvent::EnrolmentRefused { reason: "no-such-course".to_owned() },
            "EnrolmentRefused",
            "81a6726561736f6eae6e6f2d737563682d636f75727365",
        ),
        (
            EnrolmentEvent::EnrolmentBegan {
                course: course("rust"),
                user: user("ada"),
                lessons: vec![course_lesson("l-1", &[])],
            },
            "EnrolmentBegan",
            "83a6636f75727365a472757374a475736572a3616461a76c6573736f6e739182a26964a36c2d31ad7072657265717569736974657390",
        ),
        (EnrolmentEvent::LessonUnlocked { lesson: lesson("l-1") }, "LessonUnlocked", "81a66c6573736f6ea36c2d31"),
        (
            EnrolmentEvent::CourseLessonCompleted { lesson: lesson("l-1") },
            "CourseLessonCompleted",
            "81a66c6573736f6ea36c2d31",
        ),
        (
            EnrolmentEvent::CourseCompleted { course: course("rust"), user: user("ada") },
            "CourseCompleted",
            "82a6636f75727365a472757374a475736572a3616461",
        ),
    ]);
}

#[test]
fn assessment_events_are_written_like_this() {
    are_pinned([
        (
            AssessmentEvent::AssessmentCreated {
                title: name("Final"),
                questions: vec![asked()],
                attempts_allowed: AttemptsAllowed::new(3).unwrap(),
                pass_mark: score(0.75),
                time_limit_seconds: TimeLimit::new(600).unwrap(),
            },
            "AssessmentCreated",
            "85a57469746c65a546696e616ca97175657374696f6e739183a26964a3712d31a763686f6963657392a161a162a677656967687405b0617474656d7074735f616c6c6f77656403a9706173735f6d61726bcb3fe8000000000000b274696d655f6c696d69745f7365636f6e6473cd0258",
        ),
        (
            AssessmentEvent::AnswerKeySet { right: BTreeMap::from([(question("q-1"), choice("b"))]) },
            "AnswerKeySet",
            "81a5726967687481a3712d31a162",
        ),
        (
            AssessmentEvent::AttemptAdmitted { attempt: AttemptId::new("t-1").unwrap(), user: user("ada"), number: 1 },
            "AttemptAdmitted",
            "83a7617474656d7074a3742d31a475736572a3616461a66e756d62657201",
        ),
    ]);
}

#[test]
fn assessment_attempt_events_are_written_like_this() {
    let (assessment, user) = (AssessmentId::new("final").unwrap(), user("ada"));
    are_pinned([
        (
            AssessmentAttemptEvent::AttemptRequested { assessment: assessment.clone(), user: user.clone() },
            "AttemptRequested",
            "82aa6173736573736d656e74a566696e616ca475736572a3616461",
        ),
        (
            AssessmentAttemptEvent::AttemptRefused { reason: "no-attempts-left".to_owned() },
            "AttemptRefused",
            "81a6726561736f6eb06e6f2d617474656d7074732d6c656674",
        ),
        (
            AssessmentAttemptEvent::AttemptBegan {
                questions: vec![asked()],
                pass_mark: score(0.75),
                ends_at: "2026-11-20T12:10:00Z".parse().unwrap(),
            },
            "AttemptBegan",
            "83a97175657374696f6e739183a26964a3712d31a763686f6963657392a161a162a677656967687405a9706173735f6d61726bcb3fe8000000000000a7656e64735f6174b4323032362d31312d32305431323a31303a30305a",
        ),
        (
            AssessmentAttemptEvent::QuestionAnswered { question: question("q-1"), choice: choice("b") },
            "QuestionAnswered",
            "82a87175657374696f6ea3712d31a663686f696365a162",
        ),
        (AssessmentAttemptEvent::AttemptSubmitted { answered: 1 }, "AttemptSubmitted", "81a8616e73776572656401"),
        (AssessmentAttemptEvent::AttemptTimedOut { answered: 0 }, "AttemptTimedOut", "81a8616e73776572656400"),
        (
            AssessmentAttemptEvent::AttemptPassed {
                assessment: assessment.clone(),
                user: user.clone(),
                score: Score::MAX,
            },
            "AttemptPassed",
            "83aa6173736573736d656e74a566696e616ca475736572a3616461a573636f7265cb3ff0000000000000",
        ),
        (
            AssessmentAttemptEvent::AttemptFailed { assessment, user, score: Score::MIN },
            "AttemptFailed",
            "83aa6173736573736d656e74a566696e616ca475736572a3616461a573636f7265cb0000000000000000",
        ),
    ]);
}

#[test]
fn values_in_events_may_have_newer_fields() {
    // {lesson: {id: "l-1", prerequisites: [], optional: true}}, as a later version may write it.
    let fields = "81a66c6573736f6e83a26964a36c2d31ad7072657265717569736974657390a86f7074696f6e616cc3";
    let decoded = EventCodec::<CourseEvent>::new().unwrap().decode("LessonAdded", 1, &bytes(fields));
    assert!(decoded.is_ok(), "{decoded:?}");
}

/// Each event has this name and these bytes, and the list has all events of the type.
#[track_caller]
fn are_pinned<E: DomainEvent + Debug + PartialEq, const N: usize>(pins: [(E, &str, &str); N]) {
    let codec = EventCodec::<E>::new().unwrap();
    assert_eq!(codec.events(), pins.each_ref().map(|(_, name, _)| (*name, 1)));
    let written = pins.each_ref().map(|(event, ..)| hex(&codec.encode(event).unwrap().fields));
    assert_eq!(written, pins.each_ref().map(|(.., golden)| (*golden).to_owned()));
    for (event, name, golden) in pins {
        assert_eq!(codec.decode(name, 1, &bytes(golden)).unwrap().as_slice(), [event]);
    }
}

fn asked() -> Question {
    Question { id: question("q-1"), choices: vec![choice("a"), choice("b")], weight: Weight::new(5).unwrap() }
}

fn course_lesson(id: &str, required: &[&str]) -> CourseLesson {
    CourseLesson { id: lesson(id), prerequisites: required.iter().map(|id| lesson(id)).collect() }
}

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

fn lesson(id: &str) -> LessonId {
    LessonId::new(id).unwrap()
}

fn course(id: &str) -> CourseId {
    CourseId::new(id).unwrap()
}

fn question(id: &str) -> QuestionId {
    QuestionId::new(id).unwrap()
}

fn choice(id: &str) -> ChoiceId {
    ChoiceId::new(id).unwrap()
}

fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

fn zone(name: &str) -> TimeZoneName {
    TimeZoneName::new(name).unwrap()
}

fn score(score: f64) -> Score {
    Score::new(score).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
