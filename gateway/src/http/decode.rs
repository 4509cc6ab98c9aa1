//! Decodes a JSON body into a command, or finds the path of what is wrong with it.

mod tree;

use std::borrow::Cow;
use std::fmt::Write as _;

use dormouse_kernel::decode_variant;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Deserializer;

use super::problem::{self, Problem};
use tree::{Mismatch, Tree};

/// The shape of the body of most commands.
const FIELDS: &str = "an object with the fields of the command";

/// Decodes the fields of the command `variant`. An empty body counts as an object without fields.
///
/// A valid body is read once. An invalid one is read a second time to find the path of the error: tracking the path in
/// serde costs time at every field.
#[inline(never)] // The instruction guards count it by its name.
pub(super) fn command<C: DeserializeOwned>(variant: &str, may_be_array: bool, body: &[u8]) -> Result<C, Problem> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let body = &*with_whole_numbers(body);
    // Serde would also accept the fields of a struct in their order, as an array. Clients must not rely on that order.
    if body.trim_ascii_start().starts_with(b"[") && !may_be_array {
        return Err(Problem::new(&problem::INVALID_BODY, format!("invalid type: array, expected {FIELDS}")));
    }
    let mut ignored = None;
    let mut from = Deserializer::from_slice(body);
    let mut note = |path: serde_ignored::Path<'_>| {
        if ignored.is_none() {
            ignored = Some(field_path(&path));
        }
    };
    let decoded = decode_variant(variant, serde_ignored::Deserializer::new(&mut from, &mut note));
    let command = decoded.map_err(|_| explain::<C>(variant, body))?;
    from.end().map_err(|error| malformed(&error))?;
    match ignored {
        Some(field) => Err(unknown_field(field)),
        None => Ok(command),
    }
}

/// The body with `1.0` written as `1`: JSON has one kind of number, and some clients write all numbers with a fraction.
fn with_whole_numbers(body: &[u8]) -> Cow<'_, [u8]> {
    let may_have_some = body.windows(2).any(|two| two == b".0");
    if !may_have_some {
        return Cow::Borrowed(body);
    }
    let mut whole = Vec::with_capacity(body.len());
    let (mut in_text, mut at) = (false, 0);
    while let Some(&byte) = body.get(at) {
        if byte == b'"' {
            in_text = !in_text;
        } else if byte == b'\\' && in_text {
            // An escaped character does not end the text.
            whole.push(byte);
            at += 1;
        } else if byte == b'.' && !in_text {
            let digits = body[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, behind) = (&body[at + 1..at + 1 + digits], body.get(at + 1 + digits));
            let is_zero = digits > 0 && fraction.iter().all(|digit| *digit == b'0');
            if is_zero && !matches!(behind, Some(b'e' | b'E')) {
                at += 1 + digits;
                continue;
            }
        }
        whole.extend(body.get(at));
        at += 1;
    }
    Cow::Owned(whole)
}

/// The problem with a body that is not the command: what is wrong, and at which path.
fn explain<C: DeserializeOwned>(variant: &str, body: &[u8]) -> Problem {
    let mut from = Deserializer::from_slice(body);
    let (tree, path) = tracked(|track| Tree::deserialize(serde_path_to_error::Deserializer::new(&mut from, track)));
    let tree = match tree.and_then(|tree| from.end().map(|()| tree)) {
        Ok(tree) => tree,
        Err(error) if path.is_empty() => return malformed(&error),
        Err(error) => return malformed(&error).with("field", path),
    };
    let (decoded, mut path) =
        tracked(|track| decode_variant::<C, _>(variant, serde_path_to_error::Deserializer::new(&tree, track)));
    let Err(mismatch) = decoded else {
        // The tree decodes although the bytes did not: the type asks serde_json for what a tree does not have.
        return Problem::new(&problem::INVALID_BODY, "the body could not be decoded");
    };
    match &mismatch {
        Mismatch::UnknownField(name) => {
            if last_field(&path) != name {
                append_field(&mut path, name);
            }
            return unknown_field(path);
        }
        Mismatch::MissingField(name) | Mismatch::DuplicateField(name) => append_field(&mut path, name),
        Mismatch::NotAnObject { found } if path.is_empty() => {
            return Problem::new(&problem::INVALID_BODY, format!("invalid type: {found}, expected {FIELDS}"));
        }
        Mismatch::NotAnObject { .. } | Mismatch::Other(_) => {}
    }
    if path.is_empty() {
        return Problem::new(&problem::INVALID_BODY, mismatch.to_string());
    }
    Problem::new(&problem::INVALID_BODY, format!("{path}: {mismatch}")).with("field", path)
}

/// The result of `decode`, and the path at which it failed.
fn tracked<T>(decode: impl FnOnce(&mut serde_path_to_error::Track) -> T) -> (T, String) {
    use serde_path_to_error::Segment;
    let mut track = serde_path_to_error::Track::new();
    let decoded = decode(&mut track);
    let mut path = String::new();
    for segment in track.path().iter() {
        match segment {
            Segment::Seq { index } => _ = write!(path, "[{index}]"),
            Segment::Map { key: name } | Segment::Enum { variant: name } => append_field(&mut path, name),
            Segment::Unknown => {}
        }
    }
    (decoded, path)
}

/// The problem with a body that is not JSON. If the value of a field is broken, the caller adds the field.
fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(&problem::MALFORMED_JSON, error.to_string()).with("line", error.line()).with("column", error.column())
}

fn unknown_field(path: String) -> Problem {
    Problem::new(&problem::UNKNOWN_FIELD, format!("{path} is not a field of this command")).with("field", path)
}

fn field_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field_path(parent)),
        Path::Map { parent, key } => {
            let mut path = field_path(parent);
            append_field(&mut path, key);
            path
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => field_path(parent),
    }
}

fn append_field(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

fn last_field(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    enum Command {
        Fill { owner: String, lines: Vec<Line>, note: Option<String> },
        Strict(Strict),
        Pair(u8, u8),
        Clear,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Line {
        sku: String,
        quantity: u32,
        inner: Option<Box<Line>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        lines: Vec<StrictLine>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct StrictLine {
        sku: String,
    }

    fn decoded(variant: &str, body: &str) -> Result<Command, (u16, &'static str, Option<String>, String)> {
        command(variant, variant == "Pair", body.as_bytes()).map_err(|problem| {
            let written = format!("{problem:?}");
            let field = written.split_once("\"field\": String(\"").map(|(_, rest)| rest.split('"').next().unwrap());
            (problem.problem_type().status.as_u16(), problem.problem_type().slug, field.map(str::to_owned), written)
        })
    }

    fn refused(variant: &str, body: &str) -> (&'static str, Option<String>) {
        let (status, slug, field, _) = decoded(variant, body).unwrap_err();
        assert_eq!(status, 400);
        (slug, field)
    }

    fn at(field: &str) -> Option<String> {
        Some(field.to_owned())
    }

    #[test]
    fn a_number_with_a_fraction_of_zero_is_a_whole_number() {
        for (body, expected) in [
            (r#"{"a":1.0}"#, r#"{"a":1}"#),
            (r#"{"a":[-10.000,2.50,0.0]}"#, r#"{"a":[-10,2.50,0]}"#),
            (r#"{"a":1.0e3,"b":1.0}"#, r#"{"a":1.0e3,"b":1}"#),
            (r#"{"a":"1.0 \"2.0","b":3.0}"#, r#"{"a":"1.0 \"2.0","b":3}"#),
            (r#"{"a":"\\","b":3.0}"#, r#"{"a":"\\","b":3}"#),
            (r#"{"a":1.}"#, r#"{"a":1.}"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&with_whole_numbers(body.as_bytes())), expected);
        }
    }

    #[test]
    fn a_body_becomes_the_fields_of_its_command() {
        let body = json!({"owner": "ada", "lines": [{"sku": "tea", "quantity": 2}]}).to_string();
        let line = Line { sku: "tea".to_owned(), quantity: 2, inner: None };
        assert_eq!(
            decoded("Fill", &body).unwrap(),
            Command::Fill { owner: "ada".to_owned(), lines: vec![line], note: None }
        );
        assert_eq!(decoded("Pair", " [1, 2]").unwrap(), Command::Pair(1, 2));
    }

    #[test]
    fn a_command_without_fields_takes_no_body_or_an_empty_one() {
        for body in ["", "{}", " \n", " { } "] {
            assert_eq!(decoded("Clear", body).unwrap(), Command::Clear, "{body:?}");
        }
        assert_eq!(refused("Clear", r#"{"why": 1}"#), ("unknown-field", at("why")));
    }

    #[test]
    fn a_wrong_value_is_named_by_its_path() {
        let body = r#"{"owner": "ada", "lines": [{"sku": "tea", "quantity": "two"}]}"#;
        let (_, slug, field, written) = decoded("Fill", body).unwrap_err();
        assert_eq!((slug, field), ("invalid-body", at("lines[0].quantity")));
        assert!(written.contains("invalid type: string") && !written.contains("column"), "{written}");
    }

    #[test]
    fn a_missing_field_is_named_by_its_path() {
        assert_eq!(refused("Fill", ""), ("invalid-body", at("owner")));
        assert_eq!(
            refused("Fill", r#"{"owner": "ada", "lines": [{"sku": "tea"}]}"#),
            ("invalid-body", at("lines[0].quantity"))
        );
    }

    #[test]
    fn an_unknown_field_is_named_by_its_path_whichever_deserializer_finds_it() {
        let body = r#"{"owner": "a", "lines": [{"sku": "tea", "quantity": 1, "inner": {"sku": "x", "quantity": 1, "size": 3}}]}"#;
        assert_eq!(refused("Fill", body), ("unknown-field", at("lines[0].inner.size")));
        assert_eq!(
            refused("Strict", r#"{"lines": [{"sku": "a"}, {"sku": "b", "size": 1}]}"#),
            ("unknown-field", at("lines[1].size"))
        );
        assert_eq!(refused("Strict", r#"{"lines": [], "lines2": []}"#), ("unknown-field", at("lines2")));
    }

    #[test]
    fn a_body_that_is_not_json_is_refused() {
        for body in ["{", "{]", "nope", "{\"owner\": \"a\u{0}\"}", "{}}", "{} {}", "{\"owner\": 1e999}", "\u{feff}{}"] {
            let (slug, _) = refused("Fill", body);
            assert!(slug == "malformed-json" || body == "{}}" || body == "{} {}", "{body}: {slug}");
        }
        assert_eq!(refused("Clear", "{} {}").0, "malformed-json");
        assert_eq!(refused("Clear", "{}}").0, "malformed-json");
    }

    #[test]
    fn a_broken_value_is_named_by_its_path_too() {
        assert_eq!(refused("Fill", r#"{"owner": }"#), ("malformed-json", at("owner")));
        assert_eq!(refused("Fill", r#"{"owner": "a"#), ("malformed-json", at("owner")));
        let body = r#"{"owner": "a", "lines": [{"sku": "tea", "quantity": 1}, {"sku": "tea", "quantity": 1e999}]}"#;
        assert_eq!(refused("Fill", body), ("malformed-json", at("lines[1].quantity")));
        assert_eq!(refused("Fill", "{"), ("malformed-json", None));
        assert_eq!(refused("Fill", r#"{"owner": "a" "lines": []}"#), ("malformed-json", None));
    }

    #[test]
    fn a_field_given_twice_is_named_by_its_path() {
        assert_eq!(refused("Fill", r#"{"owner": "a", "owner": "b", "lines": []}"#), ("invalid-body", at("owner")));
        let body = r#"{"owner": "a", "lines": [{"sku": "tea", "sku": "tea", "quantity": 1}]}"#;
        assert_eq!(refused("Fill", body), ("invalid-body", at("lines[0].sku")));
    }

    #[test]
    fn the_expected_type_is_named_as_in_json() {
        for (variant, body, expected) in [
            ("Fill", "\"x\"", "invalid type: string \\\"x\\\", expected an object with the fields of the command\""),
            ("Fill", "3", "invalid type: integer `3`, expected an object with the fields of the command\""),
            ("Fill", "null", "invalid type: null, expected an object with the fields of the command\""),
            ("Fill", "[1]", "invalid type: array, expected an object with the fields of the command\""),
            ("Strict", "true", "invalid type: boolean `true`, expected an object with the fields of the command\""),
            ("Strict", r#"{"lines": [3]}"#, "lines[0]: invalid type: integer `3`, expected an object\""),
            ("Fill", r#"{"owner": {}}"#, "owner: invalid type: object, expected a string\""),
            ("Fill", r#"{"owner": []}"#, "owner: invalid type: array, expected a string\""),
            ("Pair", "3", "invalid type: integer `3`, expected an array\""),
            ("Pair", "{}", "invalid type: object, expected an array\""),
            ("Pair", "[1]", "invalid length 1, expected an array with 2 elements\""),
            ("Clear", "3", "invalid type: integer `3`, expected no fields\""),
        ] {
            let (_, slug, _, written) = decoded(variant, body).unwrap_err();
            assert_eq!(slug, "invalid-body");
            assert!(written.contains(expected), "{variant} {body}: {written}");
        }
    }

    #[test]
    fn json_nested_too_deep_is_refused() {
        let deep = format!("{}1{}", "{\"inner\":".repeat(100_000), "}".repeat(100_000));
        let body = format!(r#"{{"owner": "a", "lines": [{deep}]}}"#);
        assert_eq!(decoded("Fill", &body).unwrap_err().0, 400);
        assert_eq!(decoded("Fill", &format!(r#"{{"extra": {deep}}}"#)).unwrap_err().0, 400);
    }

    #[test]
    fn an_array_is_not_an_object_even_if_its_values_fit() {
        assert_eq!(refused("Fill", r#"["ada", [], null]"#).0, "invalid-body");
        assert_eq!(refused("Clear", "[]").0, "invalid-body");
        assert_eq!(refused("Fill", "null").0, "invalid-body");
        assert_eq!(refused("Fill", "7").0, "invalid-body");
    }
}
