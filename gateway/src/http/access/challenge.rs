//! The credentials of a request, and the answers if they are missing, wrong or too weak (RFC 6750, 3).

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use dormouse_auth::{Denied, Refused};

use super::problem::{self, Problem};

const REALM: &str = r#"Bearer realm="dormouse""#;

/// Keys are asked for again after some seconds.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The token or API key of a request.
pub(super) fn credentials(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(missing()) };
    let malformed = |detail: &'static str| {
        let problem = Problem::new(&problem::INVALID_HEADER, detail).with("header", "Authorization");
        Err(problem.challenge(format!(r#"{REALM}, error="invalid_request""#)))
    };
    if values.next().is_some() {
        return malformed("the header Authorization occurs more than once: send it once");
    }
    let Ok(value) = value.to_str() else { return malformed("the header Authorization is not visible ASCII") };
    let (scheme, credentials) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    let credentials = credentials.trim_start_matches(' ');
    if credentials.is_empty() || credentials.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return malformed("the header Authorization must be: Bearer, a blank, and a token or an API key");
    }
    Ok(credentials)
}

pub(super) fn missing() -> Problem {
    let detail =
        "the request does not say who sends it: send the header Authorization: Bearer and a token or an API key";
    Problem::new(&problem::UNAUTHENTICATED, detail).challenge(REALM.to_owned())
}

pub(super) fn refused(refused: &Refused) -> Problem {
    if refused.is_temporary() {
        return Problem::new(&problem::KEYS_UNAVAILABLE, refused.to_string()).retry_after(RETRY_AFTER);
    }
    unauthenticated(refused.to_string())
}

/// The problem that what a client sent does not prove who it is.
pub(in crate::http) fn unauthenticated(detail: String) -> Problem {
    // A quoted text of a header is visible ASCII, and has no quotes and no backslashes within.
    let plain = |character: char| match character {
        '"' | '\\' => '\'',
        ' '..='~' => character,
        _ => '?',
    };
    let description: String = detail.chars().map(plain).collect();
    let challenge = format!(r#"{REALM}, error="invalid_token", error_description="{description}""#);
    Problem::new(&problem::UNAUTHENTICATED, detail).challenge(challenge)
}

pub(in crate::http) fn denied(denied: &Denied) -> Problem {
    let permission = format!("{}.{}", denied.section.name(), denied.name);
    let challenge = format!(r#"{REALM}, error="insufficient_scope""#);
    Problem::new(&problem::FORBIDDEN, denied.to_string()).with("permission", permission).challenge(challenge)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn sent(values: &[&str]) -> Result<String, (u16, &'static str)> {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| _ = headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
        let found = credentials(&headers).map(str::to_owned);
        found.map_err(|problem| (problem.problem_type().status.as_u16(), problem.problem_type().slug))
    }

    #[test]
    fn credentials_follow_the_word_bearer() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER  a.b.c"] {
            assert_eq!(sent(&[value]), Ok("a.b.c".to_owned()), "{value}");
        }
        for values in [&[][..], &["Basic YTpi"], &["a.b.c"], &["Digest x=y"], &[""]] {
            assert_eq!(sent(values), Err((401, "unauthenticated")), "{values:?}");
        }
        for values in [&["Bearer"][..], &["Bearer "], &["Bearer a b"], &["Bearer a", "Bearer a"], &["Bearer \u{e9}"]] {
            assert_eq!(sent(values), Err((400, "invalid-header")), "{values:?}");
        }
    }
}
