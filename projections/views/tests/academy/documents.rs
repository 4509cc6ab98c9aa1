//! The interface of the views: their documents in JSON, the schemas, the declared fields, the names of the queries.

use dormouse_projections::{Definition, Kind, Projection};
use dormouse_views::academy::{CourseProgress, StreakBoard, UserProgressSummaries};
use schemars::schema_for;
use serde_json::{Value, json};

#[test]
fn the_summary_of_a_user_looks_like_this() {
    is_pinned::<UserProgressSummaries>(&json!({
        "user": "ada",
        "total_lessons": 3,
        "completed_lessons": 2,
        "average_score": 0.633333,
        "total_time_spent_minutes": 4,
        "last_activity": "2026-11-21T12:23:45.000000Z",
        "scores": 3,
        "score_sum_millionths": 1_900_000,
        "total_time_spent_seconds": 241,
    }));
}

#[test]
fn the_progress_in_a_course_looks_like_this() {
    is_pinned::<CourseProgress>(&json!({
        "course": "rust",
        "user": "ada",
        "completed": 3,
        "total": 3,
        "percent": 100,
        "enrolled_at": "2026-11-21T12:23:45.000000Z",
        "completed_at": "2026-11-22T08:00:00.000001Z",
        "updated_at": "2026-11-22T08:00:00.000001Z",
    }));
}

#[test]
fn a_streak_looks_like_this() {
    is_pinned::<StreakBoard>(&json!({
        "user": "ada",
        "name": null,
        "time_zone": "Europe/Berlin",
        "streak": 2,
        "longest_streak": 5,
        "last_day": "2026-11-21",
        "updated_at": "2026-11-21T12:23:45.000000Z",
    }));
}

#[test]
fn queries_have_these_names() {
    fn queries<P: Projection>() -> [String; 3] {
        let definition = Definition::of::<P>().unwrap();
        [definition.name(), definition.query_one(), definition.query_all()].map(str::to_owned)
    }
    let summaries = ["user-progress-summary", "GetUserProgressSummary", "GetAllUserProgressSummary"];
    assert_eq!(queries::<UserProgressSummaries>(), summaries);
    assert_eq!(queries::<CourseProgress>(), ["course-progress", "GetCourseProgress", "GetAllCourseProgress"]);
    assert_eq!(queries::<StreakBoard>(), ["streak-board", "GetStreakBoard", "GetAllStreakBoard"]);
}

#[test]
fn lists_are_filtered_and_sorted_by_these_fields() {
    fn paths<P: Projection>() -> Vec<&'static str> {
        Definition::of::<P>().unwrap().fields().iter().map(|field| field.path).collect()
    }
    let summary =
        ["user", "total_lessons", "completed_lessons", "average_score", "total_time_spent_minutes", "last_activity"];
    assert_eq!(paths::<UserProgressSummaries>(), summary);
    assert_eq!(paths::<CourseProgress>(), ["course", "user", "percent", "enrolled_at", "completed_at"]);
    assert_eq!(paths::<StreakBoard>(), ["user", "streak", "longest_streak", "last_day"]);
}

#[test]
fn the_schema_of_every_document_describes_it() {
    is_described::<UserProgressSummaries>();
    is_described::<CourseProgress>();
    is_described::<StreakBoard>();
}

/// The document can be read from and written as this JSON, which has all properties of the schema.
#[track_caller]
fn is_pinned<P: Projection>(golden: &Value) {
    let document: P::Document = serde_json::from_value(golden.clone()).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), *golden);
    let schema = serde_json::to_value(schema_for!(P::Document)).unwrap();
    let names = |object: &Value| {
        let mut names: Vec<String> = object.as_object().unwrap().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(golden), names(&schema["properties"]));
}

/// The document and each property have a description, and each declared field is a property of the declared kind. A
/// field may also be null.
#[track_caller]
fn is_described<P: Projection>() {
    let schema = serde_json::to_value(schema_for!(P::Document)).unwrap();
    assert!(is_text(&schema["description"]), "{}", P::NAME);
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(is_text(&property["description"]), "{}: {name}", P::NAME);
    }
    for field in P::fields().iter() {
        let property = &schema["properties"][field.path];
        let expected = match field.kind {
            Kind::Text => "string",
            Kind::Integer => "integer",
            Kind::Real => "number",
            Kind::Boolean => "boolean",
        };
        let variants =
            property["anyOf"].as_array().map_or_else(|| vec![property], |variants| variants.iter().collect());
        let mut types = variants.into_iter().map(|of| &resolved(&schema, of)["type"]);
        let is_kind = |of: &Value| *of == expected || *of == "null" || *of == json!([expected, "null"]);
        assert!(types.all(is_kind), "{}: {}: {property}", P::NAME, field.path);
    }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// The schema that a property refers to, or the property itself.
fn resolved<'v>(schema: &'v Value, property: &'v Value) -> &'v Value {
    let name = property["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.map_or(property, |name| &schema["$defs"][name])
}
