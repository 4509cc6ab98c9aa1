//! On whose behalf a request is sent: the caller, or what `Dormouse-Subject` says while callers are not authenticated.
//!
//! Whoever can reach the server could send this header. So only a process of the same machine may: the application
//! that knows its users and stands in front. A proxy on this machine passes on requests of others, so a request that
//! came through one is refused, too.

use axum::http::header::{FORWARDED, VIA};
use axum::http::{HeaderMap, HeaderName};

use super::{invalid, single};
use crate::http::envelope::{Arrival, is_valid_id};
use crate::http::problem::{self, Problem};

const DORMOUSE_SUBJECT: HeaderName = HeaderName::from_static("dormouse-subject");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The subject that the headers name. An invalid one, or one that the client may not name, is refused: the command must
/// not be carried out without it, or on behalf of another one.
pub(super) fn of(headers: &HeaderMap, arrival: &Arrival) -> Result<Option<String>, Problem> {
    const NAME: &str = "Dormouse-Subject";
    let value = single(headers, &DORMOUSE_SUBJECT, NAME)?;
    if let Some(admitted) = &arrival.admitted {
        if value.is_some() {
            let detail = "the caller is known by its token: it cannot name another subject";
            return Err(Problem::new(&problem::SUBJECT_REFUSED, detail).with("header", NAME));
        }
        return Ok(Some(admitted.caller.subject.clone()));
    }
    let Some(value) = value else { return Ok(None) };
    if !headers.get(DORMOUSE_SUBJECT).is_some_and(is_valid_id) {
        return Err(invalid(NAME, format!("{value:?} is not 1 to 128 visible ASCII characters")));
    }
    let refused = |detail: &'static str| Err(Problem::new(&problem::SUBJECT_REFUSED, detail).with("header", NAME));
    if !arrival.is_local() {
        return refused(
            "callers are not authenticated, so only clients on the server's own machine may name a subject",
        );
    }
    if [FORWARDED, VIA, X_FORWARDED_FOR].iter().any(|name| headers.contains_key(name)) {
        return refused("the request came through a proxy: it must not pass on a subject that its client names");
    }
    Ok(Some(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::HeaderValue;
    use tokio::time::Instant;

    use super::*;

    fn subject(is_local: bool, headers: &[(&'static str, &str)]) -> Result<Option<String>, &'static str> {
        let arrival = Arrival {
            at: Instant::now(),
            request_id: HeaderValue::from_static("r-1"),
            trace: None,
            client: if is_local { IpAddr::from([127, 0, 0, 1]) } else { IpAddr::from([192, 0, 2, 1]) },
            admitted: None,
        };
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| _ = map.append(name, value));
        of(&map, &arrival).map_err(|problem| problem.problem_type().slug)
    }

    #[test]
    fn a_client_on_this_machine_may_name_a_subject() {
        assert_eq!(subject(true, &[("dormouse-subject", "ada")]), Ok(Some("ada".to_owned())));
        assert_eq!(subject(true, &[]), Ok(None));
        assert_eq!(subject(false, &[]), Ok(None));
    }

    #[test]
    fn a_client_elsewhere_or_behind_a_proxy_may_not() {
        let named = ("dormouse-subject", "ada");
        assert_eq!(subject(false, &[named]), Err("subject-refused"));
        for proxied in [("forwarded", "for=192.0.2.1"), ("via", "1.1 proxy"), ("x-forwarded-for", "192.0.2.1")] {
            assert_eq!(subject(true, &[named, proxied]), Err("subject-refused"), "{proxied:?}");
        }
    }

    #[test]
    fn a_subject_is_visible_ascii_and_named_once() {
        for value in ["", "two words", &"s".repeat(129)] {
            assert_eq!(subject(true, &[("dormouse-subject", value)]), Err("invalid-header"), "{value:?}");
        }
        let twice = [("dormouse-subject", "ada"), ("dormouse-subject", "bob")];
        assert_eq!(subject(true, &twice), Err("invalid-header"));
    }
}
