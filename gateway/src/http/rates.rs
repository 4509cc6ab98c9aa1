//! How often callers may ask: the class of each request, its count, and the headers that tell the caller about it
//! (draft-ietf-httpapi-ratelimit-headers-10).

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use dormouse_config::Config;
use dormouse_limits::{Asker, Class, Decision, Rates, Standing};
use metrics::counter;

use super::envelope::Arrival;
use super::problem::{self, Problem};
use super::{bulk, operators};
use crate::metric;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The rates of all callers.
pub(super) struct RequestRates {
    rates: Rates,
    /// The header `RateLimit-Policy` of each class.
    policies: [Option<HeaderValue>; Class::ALL.len()],
}

impl RequestRates {
    pub(super) fn from_config(config: &Config) -> Self {
        let rates = Rates::new(&config.limits);
        let policies = Class::ALL.map(|class| {
            let (burst, filled_in) = rates.policy(class)?;
            header(&format!("\"{}\";q={burst};w={}", class.name(), filled_in.as_millis().div_ceil(1000)))
        });
        Self { rates, policies }
    }

    /// Counts a request. `None`: its class has no rate.
    pub(super) fn count(&self, request: &Parts, arrival: &Arrival) -> Result<Option<Standing>, Problem> {
        match class_of(request) {
            Some(class) => self.decide(class, asker(arrival)),
            None => Ok(None),
        }
    }

    /// Counts one line of a bulk request.
    pub(super) fn count_line(&self, arrival: &Arrival) -> Result<(), Problem> {
        self.decide(Class::Commands, asker(arrival)).map(drop)
    }

    /// Counts an attempt of a client to prove who it is.
    pub(super) fn count_attempt(&self, client: IpAddr) -> Result<(), Problem> {
        self.decide(Class::Auth, Asker::Address(client)).map(drop)
    }

    fn decide(&self, class: Class, asker: Asker<'_>) -> Result<Option<Standing>, Problem> {
        match self.rates.check(class, asker) {
            Decision::Unlimited => Ok(None),
            Decision::Allowed(standing) => Ok(Some(standing)),
            Decision::Refused(standing, pause) => {
                counter!(metric::REQUESTS_LIMITED, "class" => class.name()).increment(1);
                let detail =
                    format!("this caller has sent too many requests of the class \"{}\": send fewer", class.name());
                let problem = Problem::new(&problem::RATE_LIMITED, detail).with("class", class.name());
                Err(problem.retry_after(pause).standing(standing))
            }
        }
    }

    /// Tells the caller what it may still send.
    pub(super) fn write(&self, standing: Standing, headers: &mut HeaderMap) {
        let Standing { class, remaining, full_after } = standing;
        let seconds = full_after.as_millis().div_ceil(1000);
        headers.extend(header(&format!("\"{}\";r={remaining};t={seconds}", class.name())).map(|it| (RATE_LIMIT, it)));
        headers.extend(self.policies[class as usize].clone().map(|policy| (RATE_LIMIT_POLICY, policy)));
    }
}

fn header(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

/// Who asks: the caller, if it is known.
fn asker(arrival: &Arrival) -> Asker<'_> {
    match &arrival.admitted {
        Some(admitted) => Asker::Subject(&admitted.caller.subject),
        None => Asker::Address(arrival.client),
    }
}

/// The class of a request. `None`: it is not counted. Health is asked for by load balancers, the description of the API
/// costs nothing, and the lines of a bulk request are counted one by one.
fn class_of(request: &Parts) -> Option<Class> {
    let path = request.uri.path();
    if operators::are_asked_for(path) {
        return Some(Class::Admin);
    }
    let is_read = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    match path.split('/').nth(1) {
        Some("health" | "openapi.json" | "docs") => None,
        // A login is an attempt to prove who one is, and its handler counts it.
        Some("v1") if path.split('/').nth(2) == Some("auth") => None,
        _ if bulk::is_bulk(request) => None,
        _ if is_read => Some(Class::Queries),
        _ => Some(Class::Commands),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn each_request_has_a_class() {
        for (method, path, class) in [
            ("POST", "/v1/order/o-1/confirm", Some(Class::Commands)),
            ("POST", "/hosting/sites", Some(Class::Commands)),
            ("GET", "/v1/order/o-1", Some(Class::Queries)),
            ("HEAD", "/v1/views/orders/o-1", Some(Class::Queries)),
            ("GET", "/v1/events", Some(Class::Queries)),
            ("GET", "/nowhere", Some(Class::Queries)),
            ("POST", "/v1/auth/telegram", None),
            ("GET", "/admin/projections", Some(Class::Admin)),
            ("POST", "/admin/cache/clear", Some(Class::Admin)),
            ("GET", "/metrics", Some(Class::Admin)),
            ("GET", "/health", None),
            ("GET", "/health/live", None),
            ("GET", "/openapi.json", None),
            ("POST", "/v1/commands", None),
        ] {
            let (request, ()) = Request::builder().method(method).uri(path).body(()).unwrap().into_parts();
            assert_eq!(class_of(&request), class, "{method} {path}");
        }
    }
}
