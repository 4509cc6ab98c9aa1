//! An issuer: what the claims of its tokens must say (RFC 7519, 4.1).

use std::collections::BTreeSet;
use std::sync::Arc;

use dormouse_config::Issuer as Config;
use serde_json::{Map, Value};

use crate::refused::Refused;

/// The longest subject (OpenID Connect Core, 2).
const SUBJECT_CHARS_MAX: usize = 255;

/// The last second of the year 9999: a later time is no time.
const TIME_MAX: f64 = 253_402_300_799.0;

/// What the claims of an issuer's tokens must say.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) name: Arc<str>,
    audience: BTreeSet<String>,
    roles_claim: String,
    /// The only roles that its tokens may give. Empty: any.
    roles: BTreeSet<String>,
    leeway_seconds: f64,
    required_claims: Vec<String>,
    /// What its subjects begin with, so that two issuers cannot mean the same one. `None`: nothing, but then none of
    /// the `reserved` beginnings.
    subject_prefix: Option<String>,
    reserved: Vec<String>,
}

/// What is known of the caller from the claims.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Identity {
    pub(crate) subject: String,
    pub(crate) roles: Vec<String>,
    /// In seconds since 1970, with the leeway.
    pub(crate) expires_at: f64,
}

impl Issuer {
    /// `name`: the name of a further issuer. `reserved`: how subjects of others begin.
    pub(crate) fn of(config: &Config, name: Option<&str>, reserved: &[String]) -> Self {
        Self {
            name: config.issuer.as_str().into(),
            audience: config.audience.iter().filter(|name| !name.is_empty()).cloned().collect(),
            roles_claim: config.roles_claim.clone(),
            leeway_seconds: config.leeway.as_secs_f64(),
            required_claims: config.required_claims.clone(),
            roles: config.roles.iter().cloned().collect(),
            subject_prefix: name.map(|name| format!("{name}:")),
            reserved: reserved.to_vec(),
        }
    }

    /// This server itself: it decides what its tokens say.
    pub(crate) fn own(name: &str) -> Self {
        Self {
            name: name.into(),
            audience: BTreeSet::from([name.to_owned()]),
            roles_claim: "roles".to_owned(),
            roles: BTreeSet::new(),
            leeway_seconds: 0.0,
            required_claims: Vec::new(),
            subject_prefix: None,
            reserved: Vec::new(),
        }
    }

    /// Reads the claims of a token whose signature is right. `now` is in seconds since 1970.
    pub(crate) fn read(&self, claims: &Map<String, Value>, now: f64) -> Result<Identity, Refused> {
        if claims.get("iss").and_then(Value::as_str) != Some(&*self.name) {
            return Err(Refused::UnknownIssuer);
        }
        self.check_audience(claims)?;
        let expires_at = time(claims, "exp")?.ok_or_else(|| Refused::claim("exp", "is missing"))? + self.leeway_seconds;
        if expires_at <= now {
            return Err(Refused::Expired);
        }
        for claim in ["nbf", "iat"] {
            if time(claims, claim)?.is_some_and(|from| from - self.leeway_seconds > now) {
                return Err(Refused::NotYet);
            }
        }
        for claim in &self.required_claims {
            if claims.get(claim).is_none_or(Value::is_null) {
                return Err(Refused::claim(claim, "is missing"));
            }
        }
        let mut roles = self.roles(claims)?;
        roles.retain(|role| self.roles.is_empty() || self.roles.contains(role));
        Ok(Identity { subject: self.subject(claims)?, roles, expires_at })
    }

    fn subject(&self, claims: &Map<String, Value>) -> Result<String, Refused> {
        let subject = match claims.get("sub") {
            None => return Err(Refused::claim("sub", "is missing")),
            Some(Value::String(subject)) => subject,
            Some(_) => return Err(Refused::claim("sub", "must be a text")),
        };
        // Subjects are written into logs, headers and events unchanged.
        let is_text =
            (1..=SUBJECT_CHARS_MAX).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_text {
            return Err(Refused::claim("sub", "must be a text of 1 to 255 visible ASCII characters"));
        }
        match &self.subject_prefix {
            Some(prefix) => Ok(format!("{prefix}{subject}")),
            None if self.reserved.iter().any(|other| subject.starts_with(other)) => {
                Err(Refused::claim("sub", "begins like the subjects of another issuer, or of API keys"))
            }
            None => Ok(subject.clone()),
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refused> {
        let wrong = |problem| Err(Refused::claim("aud", problem));
        let is_ours = match claims.get("aud") {
            None => return wrong("is missing"),
            Some(Value::String(name)) => self.audience.contains(name),
            Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
                names.iter().filter_map(Value::as_str).any(|name| self.audience.contains(name))
            }
            Some(_) => return wrong("must be a text or a list of texts"),
        };
        if is_ours { Ok(()) } else { wrong("does not name this server") }
    }

    /// A claim without roles is a caller without roles, who may do what every caller may.
    fn roles(&self, claims: &Map<String, Value>) -> Result<Vec<String>, Refused> {
        match find(claims, &self.roles_claim) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(words)) => Ok(words.split_ascii_whitespace().map(str::to_owned).collect()),
            Some(Value::Array(roles)) if roles.iter().all(Value::is_string) => {
                Ok(roles.iter().filter_map(|role| role.as_str().map(str::to_owned)).collect())
            }
            Some(_) => Err(Refused::claim(&self.roles_claim, "must be a list of texts, or a text")),
        }
    }
}

/// A claim by its name, or by a path of names. The whole name goes first, because names may be addresses with dots.
fn find<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(found) = claims.get(path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// A time in seconds since 1970 (RFC 7519, 2: a number, also with a fraction).
fn time(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<f64>, Refused> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    match value.as_f64().filter(|seconds| (0.0..=TIME_MAX).contains(seconds)) {
        Some(seconds) if value.is_number() => Ok(Some(seconds)),
        _ => Err(Refused::claim(claim, "must be a number of seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_by_its_name_or_by_a_path() {
        let claims = serde_json::json!({"a": {"b": {"c": 1}}, "https://x.org/roles": 2, "a.b": 3});
        let claims = claims.as_object().unwrap();
        let found = |path| find(claims, path).and_then(Value::as_u64);
        assert_eq!((found("a.b.c"), found("https://x.org/roles"), found("a.b")), (Some(1), Some(2), Some(3)));
        assert_eq!((found("a.c"), found("b"), found("a.b.c.d"), found("")), (None, None, None, None));
    }
}
