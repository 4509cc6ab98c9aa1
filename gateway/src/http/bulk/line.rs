//! A line of a bulk request, and what it is answered.

use std::borrow::Cow;

use axum::body::Bytes;
use dormouse_engine::Expected;
use dormouse_kernel::{AggregateId, CommandKey, Version, kebab_case};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::conditions::command_key;
use crate::http::outcome::Told;
use crate::http::problem::{self, Problem};

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'l> {
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

/// A command, as a line has it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) aggregate: Aggregate,
    /// The command's name in addresses.
    pub(super) command: String,
    /// The command's fields in JSON; empty if there are none.
    pub(super) body: Bytes,
    pub(super) key: Option<CommandKey>,
    pub(super) expected: Expected,
}

/// Whom a line is for. Lines of one aggregate keep their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Aggregate {
    pub(super) aggregate_type: String,
    pub(super) id: AggregateId,
}

impl Line {
    /// Reads a line of JSON. Whether there are such a type and such a command is found out when it is carried out.
    pub(super) fn parse(text: &Bytes) -> Result<Self, Problem> {
        let written: Written<'_> = serde_json::from_slice(text).map_err(|error| malformed(&error))?;
        let refused = |detail: String| Problem::new(&problem::INVALID_AGGREGATE_ID, detail);
        let id = AggregateId::new(&*written.id).map_err(|error| refused(error.to_string()))?;
        let refused = |detail: String| Problem::new(&problem::INVALID_COMMAND_KEY, detail);
        let key = written.key.map(|key| command_key(&key)).transpose().map_err(refused)?;
        // Addresses say `create-order`, the command itself is `CreateOrder`: here both will do.
        let is_variant = written.command.bytes().any(|byte| byte.is_ascii_uppercase());
        let command = if is_variant { kebab_case(&written.command) } else { written.command.into_owned() };
        Ok(Self {
            aggregate: Aggregate { aggregate_type: written.r#type.into_owned(), id },
            command,
            body: written.body.map_or_else(Bytes::new, |body| text.slice_ref(body.get().as_bytes())),
            key,
            expected: written.expected_version.map_or(Expected::Any, |version| Expected::Exactly(Version(version))),
        })
    }
}

/// What is no line.
fn malformed(error: &serde_json::Error) -> Problem {
    if error.is_data() {
        const FIELDS: &str = "a line has type, id, command, and if need be body, key and expected_version";
        return Problem::new(&problem::INVALID_BODY, format!("{error}; {FIELDS}"));
    }
    Problem::new(&problem::MALFORMED_JSON, format!("the line is no JSON: {error}"))
}

/// Writes the answer to a line: its number, its key, and what came of it.
pub(super) fn answer(
    number: u64,
    key: Option<&CommandKey>,
    result: Result<Told, Problem>,
    request_id: &str,
) -> Vec<u8> {
    let mut written = format!("{{\"line\":{number},").into_bytes();
    if let Some(key) = key {
        written.extend_from_slice(b"\"key\":");
        written.extend_from_slice(json_text(key.as_str()).as_bytes());
        written.push(b',');
    }
    match result {
        Ok(told) => {
            written.extend_from_slice(b"\"status\":200,");
            if let Some(tag) = told.tag.as_ref().and_then(|tag| tag.to_str().ok()) {
                written.extend_from_slice(format!("\"etag\":{},", json_text(tag)).as_bytes());
            }
            if told.repeated {
                written.extend_from_slice(b"\"replayed\":true,");
            }
            written.extend_from_slice(b"\"outcome\":");
            written.extend_from_slice(&told.body);
            written.extend_from_slice(b"}\n");
        }
        Err(problem) => write_problem(&mut written, &problem, request_id),
    }
    written
}

/// Writes a line that answers none of the request's: why no more of them were read.
pub(super) fn end(problem: &Problem, request_id: &str) -> Vec<u8> {
    let mut written = b"{".to_vec();
    write_problem(&mut written, problem, request_id);
    written
}

fn write_problem(written: &mut Vec<u8>, problem: &Problem, request_id: &str) {
    let (status, document) = (problem.kind().status.as_u16(), problem.body(request_id));
    written.extend_from_slice(format!("\"status\":{status},\"problem\":{document}}}\n").as_bytes());
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Line, &'static str> {
        Line::parse(&Bytes::copy_from_slice(text.as_bytes())).map_err(|problem| problem.kind().slug)
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
    fn a_line_needs_no_more_than_to_say_what_and_whom() {
        let line = parsed(" {\"command\":\"clear\",\"id\":\"c\",\"type\":\"cart\"}\r").unwrap();
        assert_eq!((line.command.as_str(), line.body.len(), line.expected), ("clear", 0, Expected::Any));
        assert!(line.key.is_none());
    }

    #[test]
    fn what_is_no_line_is_refused() {
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
        assert_eq!(Line::parse(&Bytes::from_static(b"{\"type\":\"\xff\"}")).unwrap_err().kind().slug, "malformed-json");
    }
}
