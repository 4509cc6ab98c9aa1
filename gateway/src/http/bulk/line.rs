//! A line of a bulk request, and the line that answers it.

use std::borrow::Cow;

use axum::body::Bytes;
use dormouse_engine::Expected;
use dormouse_kernel::{AggregateId, CommandKey, Version, kebab_case};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::command_headers::command_key;
use crate::http::outcome::EncodedOutcome;
use crate::http::problem::{self, Problem};

/// The fields of a line, as the client wrote them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineFields<'l> {
    #[serde(borrow)]
    r#type: Cow<'l, str>,
    #[serde(borrow)]
    id: Cow<'l, str>,
    #[serde(borrow)]
    command: Cow<'l, str>,
    #[serde(borrow)]
    body: Option<&'l RawValue>,
    #[serde(borrow)]
    key: Option<Cow<'l, str>>,
    expected_version: Option<u64>,
}

/// The command of a line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) aggregate: LineAggregate,
    /// The command's path segment.
    pub(super) command: String,
    /// The command's fields in JSON; empty if there are none.
    pub(super) body: Bytes,
    pub(super) key: Option<CommandKey>,
    pub(super) expected: Expected,
}

/// The aggregate of a line. Lines of one aggregate keep their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LineAggregate {
    pub(super) aggregate_type: String,
    pub(super) id: AggregateId,
}

impl Line {
    /// Parses a line of JSON. Whether the type and the command exist is checked when the command is carried out.
    pub(super) fn parse(text: &Bytes) -> Result<Self, Problem> {
        let written: LineFields<'_> = serde_json::from_slice(text).map_err(|error| malformed(&error))?;
        let refused = |detail: String| Problem::new(&problem::INVALID_AGGREGATE_ID, detail);
        let id = AggregateId::new(&*written.id).map_err(|error| refused(error.to_string()))?;
        let refused = |detail: String| Problem::new(&problem::INVALID_COMMAND_KEY, detail);
        let key = written.key.map(|key| command_key(&key)).transpose().map_err(refused)?;
        // Addresses use `create-order`, the command's own name is `CreateOrder`. A line may use either.
        let is_variant = written.command.bytes().any(|byte| byte.is_ascii_uppercase());
        let command = if is_variant { kebab_case(&written.command) } else { written.command.into_owned() };
        Ok(Self {
            aggregate: LineAggregate { aggregate_type: written.r#type.into_owned(), id },
            command,
            body: written.body.map_or_else(Bytes::new, |body| text.slice_ref(body.get().as_bytes())),
            key,
            expected: written.expected_version.map_or(Expected::Any, |version| Expected::Exactly(Version(version))),
        })
    }
}

/// The problem with a line that is not a command.
fn malformed(error: &serde_json::Error) -> Problem {
    if error.is_data() {
        const FIELDS: &str = "a line has type, id and command, and may have body, key and expected_version";
        return Problem::new(&problem::INVALID_BODY, format!("{error}; {FIELDS}"));
    }
    Problem::new(&problem::MALFORMED_JSON, format!("the line is not JSON: {error}"))
}

/// Writes the answer to a line: its number, its key, and the outcome or problem of its command.
pub(super) fn write_answer(
    number: u64,
    key: Option<&CommandKey>,
    result: Result<EncodedOutcome, Problem>,
    request_id: &str,
) -> Vec<u8> {
    let mut written = format!("{{\"line\":{number},").into_bytes();
    if let Some(key) = key {
        written.extend_from_slice(b"\"key\":");
        written.extend_from_slice(json_text(key.as_str()).as_bytes());
        written.push(b',');
    }
    match result {
        Ok(outcome) => {
            written.extend_from_slice(b"\"status\":200,");
            if let Some(tag) = outcome.tag.as_ref().and_then(|tag| tag.to_str().ok()) {
                written.extend_from_slice(format!("\"etag\":{},", json_text(tag)).as_bytes());
            }
            if outcome.repeated {
                written.extend_from_slice(b"\"replayed\":true,");
            }
            written.extend_from_slice(b"\"outcome\":");
            written.extend_from_slice(&outcome.body);
            written.extend_from_slice(b"}\n");
        }
        Err(problem) => write_problem(&mut written, &problem, request_id),
    }
    written
}

/// Writes a line without a number. It says why the rest of the request was not read.
pub(super) fn write_end(problem: &Problem, request_id: &str) -> Vec<u8> {
    let mut written = b"{".to_vec();
    write_problem(&mut written, problem, request_id);
    written
}

fn write_problem(written: &mut Vec<u8>, problem: &Problem, request_id: &str) {
    let (status, document) = (problem.problem_type().status.as_u16(), problem.body(request_id));
    written.extend_from_slice(format!("\"status\":{status},\"problem\":{document}}}\n").as_bytes());
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Line, &'static str> {
        Line::parse(&Bytes::copy_from_slice(text.as_bytes())).map_err(|problem| problem.problem_type().slug)
    }

    #[test]
    fn a_line_is_a_command() {
        let text = r#"{"type":"cart","id":"c\u002d1","command":"AddLines","body":{"lines": [1]},"key":"k","expected_version":0}"#;
        let line = parsed(text).unwrap();
        assert_eq!((line.aggregate.aggregate_type.as_str(), line.aggregate.id.as_str()), ("cart", "c-1"));
        assert_eq!((line.command.as_str(), &line.body[..]), ("add-lines", br#"{"lines": [1]}"#.as_slice()));
        assert_eq!((line.key.unwrap().as_str(), line.expected), ("k", Expected::Exactly(Version::ZERO)));
    }

    #[test]
    fn a_line_needs_only_a_type_an_id_and_a_command() {
        let line = parsed(" {\"command\":\"clear\",\"id\":\"c\",\"type\":\"cart\"}\r").unwrap();
        assert_eq!((line.command.as_str(), line.body.len(), line.expected), ("clear", 0, Expected::Any));
        assert!(line.key.is_none());
    }

    #[test]
    fn an_invalid_line_is_refused() {
        for (text, slug) in [
            ("{", "malformed-json"),
            ("{} {}", "invalid-body"),
            ("[]", "invalid-body"),
            ("7", "invalid-body"),
            (r#"{"type":"cart","id":"c"}"#, "invalid-body"),
            (r#"{"type":"cart","id":"c","command":"clear","boddy":{}}"#, "invalid-body"),
            (r#"{"type":"cart","id":"c","command":"clear","expected_version":-1}"#, "invalid-body"),
            (r#"{"type":"cart","id":"","command":"clear"}"#, "invalid-aggregate-id"),
            (r#"{"type":"cart","id":"c","command":"clear","key":".."}"#, "invalid-command-key"),
            (r#"{"type":"cart","id":"c","command":"clear"} x"#, "malformed-json"),
        ] {
            assert_eq!(parsed(text).unwrap_err(), slug, "{text}");
        }
        assert_eq!(
            Line::parse(&Bytes::from_static(b"{\"type\":\"\xff\"}")).unwrap_err().problem_type().slug,
            "malformed-json"
        );
    }
}
