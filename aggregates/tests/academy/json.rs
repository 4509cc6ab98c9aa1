//! Commands as an HTTP client sends them: the fields in the body, the name in the path.

use dormouse_aggregates::academy::{
    AssessmentAttemptCommand, AssessmentCommand, AttemptReply, CourseCommand, EnrolmentCommand, LessonCommand,
    LessonProgressCommand, ProgressReply, Score, User, UserCommand,
};
use dormouse_kernel::{decode_variant, kebab_case, variant_names};
use schemars::schema_for;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[test]
fn commands_are_reached_by_these_paths() {
    fn paths<C: DeserializeOwned>() -> Vec<String> {
        variant_names::<C>().unwrap().iter().map(|name| kebab_case(name)).collect()
    }
    assert_eq!(paths::<UserCommand>(), ["register-user", "change-time-zone", "record-learning", "end-streak"]);
    assert_eq!(paths::<LessonProgressCommand>(), ["record-progress", "report-completion"]);
    assert_eq!(paths::<LessonCommand>(), ["assign-lesson", "learner-completed"]);
    let course = ["create-course", "add-lesson", "confirm-lesson", "refuse-lesson", "admit-learner"];
    assert_eq!(paths::<CourseCommand>(), course);
    let enrolment = ["enrol", "begin-enrolment", "refuse-enrolment", "complete-lesson"];
    assert_eq!(paths::<EnrolmentCommand>(), enrolment);
    assert_eq!(paths::<AssessmentCommand>(), ["create-assessment", "admit-attempt", "grade-attempt"]);
    let attempt =
        ["start-attempt", "begin-attempt", "refuse-attempt", "answer", "submit", "close-attempt", "record-score"];
    assert_eq!(paths::<AssessmentAttemptCommand>(), attempt);
}

#[test]
fn progress_is_recorded_from_json() {
    let body = json!({ "user": "ada", "lesson": "l-1", "score": 0.85, "time_spent_seconds": 180 });
    let command: LessonProgressCommand = decode_variant("RecordProgress", &body).unwrap();
    let LessonProgressCommand::RecordProgress { score, time_spent_seconds, pass_score, .. } = command else {
        panic!("another command")
    };
    assert_eq!((score, time_spent_seconds, pass_score), (0.85, 180, None));
    // A whole number is a score, too.
    let body = json!({ "user": "ada", "lesson": "l-1", "score": 1, "time_spent_seconds": 0 });
    decode_variant::<LessonProgressCommand, _>("RecordProgress", &body).unwrap();
}

#[test]
fn a_course_and_an_assessment_are_created_from_json() {
    let lessons = json!([{ "id": "l-1" }, { "id": "l-2", "prerequisites": ["l-1"] }]);
    let body = json!({ "title": "Rust", "lessons": lessons });
    let CourseCommand::CreateCourse { lessons, .. } = decode_variant("CreateCourse", &body).unwrap() else {
        panic!("another command")
    };
    assert_eq!(lessons[1].prerequisites[0].as_str(), "l-1");
    let body = json!({
        "title": "Final",
        "questions": [{ "id": "q-1", "choices": ["a", "b"], "right": "b" }],
        "attempts_allowed": 3,
        "pass_mark": 0.75,
        "time_limit_seconds": 600,
    });
    let command = decode_variant("CreateAssessment", &body).unwrap();
    let AssessmentCommand::CreateAssessment { questions, pass_mark, .. } = command else { panic!("another command") };
    assert_eq!((questions[0].weight.get(), pass_mark), (1, Score::new(0.75).unwrap()));
}

#[test]
fn errors_say_what_is_wrong_with_a_value() {
    let progress = |score: Value, seconds: Value| {
        let body = json!({ "user": "ada", "lesson": "l-1", "score": score, "time_spent_seconds": seconds });
        error::<LessonProgressCommand>("RecordProgress", &body)
    };
    assert!(progress(json!("0.85"), json!(1)).contains("invalid type: string"));
    assert!(progress(json!(0.85), json!(-1)).contains("-1"));
    let lesson = json!({ "user": "ada", "lesson": "a/b", "score": 1, "time_spent_seconds": 1 });
    let refused = error::<LessonProgressCommand>("RecordProgress", &lesson);
    assert_eq!(refused, "the lesson id must be made of letters, digits, '-', '_' and '.', got '/'");

    let assessment = |pass_mark: Value, attempts: Value| {
        let body = json!({
            "title": "Final", "questions": [], "attempts_allowed": attempts, "pass_mark": pass_mark,
            "time_limit_seconds": 600,
        });
        error::<AssessmentCommand>("CreateAssessment", &body)
    };
    assert_eq!(assessment(json!(75), json!(1)), "a score must be between 0 and 1");
    assert!(assessment(json!("all"), json!(1)).contains("expected a number between 0 and 1"));
    assert_eq!(assessment(json!(1), json!(0)), "the number of attempts must be between 1 and 100, got 0");

    let zone = json!({ "name": "Ada", "time_zone": "Europe Berlin" });
    assert_eq!(
        error::<UserCommand>("RegisterUser", &zone),
        "the time zone must be a name such as Europe/Berlin, got ' '"
    );
    let misspelt = json!({ "id": "l-1", "prerequisite": [] });
    let refused = error::<CourseCommand>("AddLesson", &json!({ "lesson": misspelt }));
    assert!(refused.starts_with("unknown field `prerequisite`"), "{refused}");
}

#[test]
fn replies_and_states_are_plain_numbers_and_words() {
    let reply = ProgressReply {
        completed: true,
        best_score: Score::new(0.85).unwrap(),
        attempts: 1,
        total_time_spent_seconds: 180,
    };
    let expected = json!({ "completed": true, "best_score": 0.85, "attempts": 1, "total_time_spent_seconds": 180 });
    assert_eq!(serde_json::to_value(reply).unwrap(), expected);
    let reply = AttemptReply { status: None, answered: 0, ends_at: None, score: None };
    let expected = json!({ "status": null, "answered": 0, "ends_at": null, "score": null });
    assert_eq!(serde_json::to_value(reply).unwrap(), expected);
    let expected = json!({ "name": null, "time_zone": "UTC", "streak": 0, "longest_streak": 0, "runs": [] });
    assert_eq!(serde_json::to_value(User::default()).unwrap(), expected);
}

#[test]
fn the_schema_states_the_bounds() {
    let schema = serde_json::to_value(schema_for!(LessonProgressCommand)).unwrap();
    let variants = schema["oneOf"].as_array().unwrap();
    let record = variants.iter().find_map(|variant| variant["properties"].get("RecordProgress")).unwrap();
    let bounds = |name: &str| [&record["properties"][name]["minimum"], &record["properties"][name]["maximum"]];
    for name in ["score", "pass_score"] {
        assert_eq!(bounds(name).map(Value::as_f64), [Some(0.0), Some(1.0)], "{name}");
    }
    assert_eq!(bounds("time_spent_seconds").map(Value::as_f64), [Some(0.0), Some(86_400.0)]);
    assert_eq!(record["additionalProperties"], json!(false));
    let schema = serde_json::to_value(schema_for!(AssessmentCommand)).unwrap();
    assert_eq!(schema["$defs"]["Score"]["type"], json!("number"));
    assert_eq!(schema["$defs"]["UserId"]["maxLength"], json!(64));
}

fn error<C: DeserializeOwned>(name: &str, body: &Value) -> String {
    match decode_variant::<C, _>(name, body) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}
