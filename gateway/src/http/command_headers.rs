//! The headers of a command: its key, the required version, its time limit, its caller, its correlation.

mod subject;

use std::time::Duration;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use dormouse_engine::{CommandOptions, Expected};
use dormouse_kernel::{CommandKey, Mark, Version};

use super::envelope::{Arrival, is_valid_id};
use super::problem::{self, Problem};
use super::trace::TraceParent;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(super) const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The options of a command that arrived with these headers. `longest` is the longest time until its deadline.
pub(super) fn options(headers: &HeaderMap, arrival: &Arrival, longest: Duration) -> Result<CommandOptions, Problem> {
    let wait = wait(headers)?.map_or(longest, |wait| wait.min(longest));
    let correlation = correlation(headers)?.unwrap_or(&arrival.request_id);
    Ok(CommandOptions {
        key: key(headers)?,
        expected: expected(headers)?,
        deadline: Some(arrival.at + wait),
        subject: subject::of(headers, arrival)?,
        only_own: arrival.only_own().is_some(),
        correlation: correlation.to_str().ok().map(str::to_owned),
        traceparent: arrival.trace.as_ref().map(|trace| TraceParent::as_str(trace).to_owned()),
        ..CommandOptions::default()
    })
}

/// The conversation that the client says the command belongs to. It is stored in the events unchanged. So an invalid
/// one is refused: the client would not find it there.
fn correlation(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Problem> {
    const NAME: &str = "X-Correlation-Id";
    let Some(value) = single(headers, &X_CORRELATION_ID, NAME)? else { return Ok(None) };
    let found = headers.get(X_CORRELATION_ID).filter(|id| is_valid_id(id));
    found.map(Some).ok_or_else(|| invalid(NAME, format!("{value:?} is not 1 to 128 visible ASCII characters")))
}

/// `"18-3f9a01c7"`: the entity tag of a version. It contains the mark of the history, because after the restore of an
/// older state there may be another version 18.
pub(super) fn entity_tag(version: Version, mark: Mark) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}-{mark}\"")).expect("digits and quotes are visible ASCII")
}

/// Whether `If-None-Match` names this tag, which must not contain commas. If so, the client has the content already.
/// The comparison is weak (RFC 9110, 13.1.2).
pub(super) fn client_has(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let wanted = opaque(tag.as_bytes());
    let tags = headers.get_all(IF_NONE_MATCH).iter().flat_map(|tags| tags.as_bytes().split(|byte| *byte == b','));
    tags.map(<[u8]>::trim_ascii).any(|tag| tag == b"*" || opaque(tag) == wanted)
}

fn key(headers: &HeaderMap) -> Result<Option<CommandKey>, Problem> {
    let Some(value) = single(headers, &IDEMPOTENCY_KEY, "Idempotency-Key")? else { return Ok(None) };
    let refused = |detail: String| invalid("Idempotency-Key", detail);
    let key = if value.starts_with('"') {
        let text = structured_string(value);
        command_key(&text.ok_or_else(|| refused(format!("{value} is not a quoted string")))?)
    } else {
        command_key(value)
    };
    key.map(Some).map_err(refused)
}

/// Parses the client's key of a command. The address of the command's outcome ends with the key, so a dot segment is
/// refused.
///
/// # Errors
/// The reason why the key is invalid.
pub(super) fn command_key(text: &str) -> Result<CommandKey, String> {
    if matches!(text, "." | "..") {
        return Err("the command key is a dot segment, which URLs cannot carry: use another key".to_owned());
    }
    CommandKey::new(text).map_err(|error| error.to_string())
}

/// Parses a string of structured fields (RFC 8941, 3.3.3).
fn structured_string(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => text.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            plain => text.push(plain),
        }
    }
    Some(text)
}

fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let matching = single(headers, &IF_MATCH, "If-Match")?;
    let none_matching = single(headers, &IF_NONE_MATCH, "If-None-Match")?;
    match (matching, none_matching) {
        (None, None) => Ok(Expected::Any),
        (Some("*"), None) => Ok(Expected::Exists),
        (Some(tag), None) => quoted_version(tag).ok_or_else(|| {
            invalid(
                "If-Match",
                format!("{tag} is not an entity tag of this server (\"18-3f9a01c7\"), a version (\"18\") or *"),
            )
        }),
        (None, Some("*")) => Ok(Expected::Exactly(Version::ZERO)),
        (None, Some(tag)) => {
            Err(invalid("If-None-Match", format!("{tag} is not *, the only value that a command accepts here")))
        }
        (Some(_), Some(_)) => Err(invalid("If-None-Match", "it cannot be combined with If-Match".to_owned())),
    }
}

/// Parses an entity tag, or a bare version, which a client may know from another source. A bare version does not
/// compare the history.
fn quoted_version(tag: &str) -> Option<Expected> {
    let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
    let (digits, mark) = tag.split_once('-').map_or((tag, None), |(digits, mark)| (digits, Some(mark)));
    let is_canonical = digits == "0" || !digits.starts_with('0');
    let version = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    let version = version.filter(|_| is_canonical).map(Version)?;
    let Some(mark) = mark else { return Some(Expected::Exactly(version)) };
    Mark::parse(mark).map(|mark| Expected::Marked { version, mark })
}

/// Whether the client prefers the address of the outcome to waiting for it: `Prefer: respond-async` (RFC 7240, 4.1).
pub(super) fn prefers_async(headers: &HeaderMap) -> bool {
    preferences(headers).any(|(name, _)| name.eq_ignore_ascii_case("respond-async"))
}

/// The preferences of a request, each with its value. Parameters of preferences count as preferences.
fn preferences(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).map(|preference| {
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        (name.trim(), value.trim())
    })
}

/// `Prefer: wait=N` in seconds (RFC 7240, 4.3). Other preferences are ignored, as the RFC allows.
pub(super) fn wait(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    for (name, value) in preferences(headers) {
        if name.eq_ignore_ascii_case("wait") {
            let value = value.trim_matches('"');
            let seconds = value
                .parse::<u32>()
                .map_err(|_| invalid("Prefer", format!("wait={value} is not a whole number of seconds")))?;
            return Ok(Some(Duration::from_secs(seconds.into())));
        }
    }
    Ok(None)
}

pub(super) fn single<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid(shown, "it has several values".to_owned()));
    }
    let text = value.to_str().map_err(|_| invalid(shown, "it is not visible ASCII".to_owned()))?;
    Ok(Some(text.trim()))
}

pub(super) fn invalid(header: &'static str, detail: String) -> Problem {
    Problem::new(&problem::INVALID_HEADER, format!("{header}: {detail}")).with("header", header)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    fn arrival() -> Arrival {
        Arrival {
            at: Instant::now(),
            request_id: HeaderValue::from_static("request-1"),
            trace: None,
            client: [192, 0, 2, 1].into(),
            admitted: None,
        }
    }

    fn options_of(headers: &[(&HeaderName, &str)]) -> Result<CommandOptions, Problem> {
        let headers = headers.iter().map(|(name, value)| ((*name).clone(), HeaderValue::from_str(value).unwrap()));
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| _ = map.append(name, value));
        options(&map, &arrival(), LONGEST)
    }

    #[test]
    fn a_key_may_be_plain_or_quoted() {
        for (value, key) in [("abc", "abc"), ("\"abc\"", "abc"), ("\"a\\\"b\\\\c\"", "a\"b\\c"), ("a\"b", "a\"b")] {
            let options = options_of(&[(&IDEMPOTENCY_KEY, value)]).unwrap();
            assert_eq!(options.key.unwrap().as_str(), key, "{value}");
        }
    }

    #[test]
    fn an_invalid_key_is_refused() {
        for value in ["", "\"", "\"\"", "\"a", "\"a\";p=1", "\"a\\b\"", "a b", &"k".repeat(129)] {
            assert!(options_of(&[(&IDEMPOTENCY_KEY, value)]).is_err(), "{value}");
        }
    }

    #[test]
    fn conditions_say_which_version_is_required() {
        let expected = |header, value| options_of(&[(header, value)]).unwrap().expected;
        assert_eq!(expected(&IF_MATCH, "\"18\""), Expected::Exactly(Version(18)));
        let marked = Expected::Marked { version: Version(18), mark: Mark(0x3f9a_01c7) };
        assert_eq!(expected(&IF_MATCH, "\"18-3f9a01c7\""), marked);
        let tag = entity_tag(Version(18), Mark(0x3f9a_01c7));
        assert_eq!(tag.to_str().unwrap(), "\"18-3f9a01c7\"");
        assert_eq!(expected(&IF_MATCH, "*"), Expected::Exists);
        assert_eq!(expected(&IF_NONE_MATCH, "*"), Expected::Exactly(Version::ZERO));
        assert_eq!(options_of(&[]).unwrap().expected, Expected::Any);
    }

    #[test]
    fn an_invalid_condition_is_refused() {
        let marks = ["\"18-\"", "\"18-3F9A01C7\"", "\"18-3f9a\"", "\"-3f9a01c7\"", "\"18-3f9a01c7-1\""];
        for value in marks {
            assert!(options_of(&[(&IF_MATCH, value)]).is_err(), "{value}");
        }
        for value in ["18", "\"\"", "\"018\"", "\"+1\"", "\"1\", \"2\"", "W/\"18\"", "\"99999999999999999999\"", ""] {
            assert!(options_of(&[(&IF_MATCH, value)]).is_err(), "{value}");
        }
        assert!(options_of(&[(&IF_NONE_MATCH, "\"18\"")]).is_err());
        assert!(options_of(&[(&IF_MATCH, "*"), (&IF_NONE_MATCH, "*")]).is_err());
        assert!(options_of(&[(&IF_MATCH, "*"), (&IF_MATCH, "*")]).is_err());
    }

    #[test]
    fn a_preferred_wait_shortens_the_deadline_and_never_lengthens_it() {
        let seconds = |value| {
            let deadline = options_of(&[(&PREFER, value)]).unwrap().deadline.unwrap();
            deadline.saturating_duration_since(Instant::now()).as_secs_f64().ceil() as u64
        };
        assert_eq!(seconds("wait=5"), 5);
        assert_eq!(seconds("respond-async, WAIT = 7"), 7);
        assert_eq!(seconds("wait=600"), 30);
        assert_eq!(seconds("return=minimal"), 30);
        assert!(options_of(&[(&PREFER, "wait=5s")]).is_err());
        assert!(options_of(&[(&PREFER, "wait")]).is_err());
    }

    #[test]
    fn a_client_may_prefer_an_answer_before_the_command_is_carried_out() {
        let prefers = |value| prefers_async(&HeaderMap::from_iter([(PREFER, HeaderValue::from_static(value))]));
        assert!(
            prefers("respond-async") && prefers("wait=5, Respond-Async") && prefers("return=minimal;respond-async")
        );
        assert!(!prefers("wait=5") && !prefers("respond-asynchronously") && !prefers_async(&HeaderMap::new()));
    }

    #[test]
    fn the_correlation_is_the_request_id_unless_the_client_sends_one() {
        assert_eq!(options_of(&[]).unwrap().correlation.unwrap(), "request-1");
        assert_eq!(options_of(&[(&X_CORRELATION_ID, "order-7")]).unwrap().correlation.unwrap(), "order-7");
        assert!(options_of(&[(&X_CORRELATION_ID, "two words")]).is_err());
    }

    #[test]
    fn a_reader_has_a_version_already_if_one_of_its_tags_names_it() {
        let has = |value| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(value))]);
            client_has(&headers, &entity_tag(Version(18), Mark(0xa)))
        };
        let others = has("\"17-0000000a\", \"18-0000000a\"");
        assert!(has("\"18-0000000a\"") && has("W/\"18-0000000a\"") && others && has("*"));
        // A bare version, as earlier servers sent it, does not identify the history: the content is sent again.
        assert!(!has("\"18-0000000b\"") && !has("\"18\"") && !has("18-0000000a") && !has(""));
    }
}
