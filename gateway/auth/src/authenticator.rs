//! From the text after `Bearer` to a caller.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use dormouse_config::Auth;
use moka::sync::Cache;
use serde_json::Value;

use crate::api_keys::{self, ApiKeyChanges, ApiKeys};
use crate::caller::{Caller, Rights};
use crate::issuer::{Identity, Issuer};
use crate::issuer_keys::{FILES_EVERY, FetchKeys, IssuerKeys};
use crate::own_tokens::OwnTokens;
use crate::refused::Refused;
use crate::token::{BYTES_MAX, Token};

/// How the subject of each user of Telegram begins. No token of another issuer has such a subject.
pub const TELEGRAM_PREFIX: &str = "telegram:";

/// How the subject of each client with a certificate begins. No token of an issuer has such a subject.
const CERTIFICATE_PREFIX: &str = "certificate:";

/// Tells who a caller is, by its token, its API key or its certificate.
pub struct Authenticator {
    issuers: Vec<TrustedIssuer>,
    api_keys: Option<ApiKeys>,
    /// `None`: this server makes no tokens.
    own_tokens: Option<Arc<OwnTokens>>,
    /// The callers with certificates, by a host name in lower case.
    certificates: HashMap<String, Arc<Caller>>,
    /// Tokens that were verified, by their hashes: a token itself is kept nowhere.
    verified: Cache<blake3::Hash, Verified>,
    on_key_changes: OnceLock<Box<OnKeyChanges>>,
}

type OnKeyChanges = dyn Fn(&ApiKeyChanges) + Send + Sync;

/// A caller whose credentials were accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The caller.
    pub caller: Arc<Caller>,
    /// Whether these credentials were accepted for the first time since the server knows them. A token that was forgotten,
    /// because there were too many, counts as new.
    pub is_first: bool,
}

struct TrustedIssuer {
    issuer: Issuer,
    keys: IssuerKeys,
}

/// A token that was verified.
#[derive(Clone)]
struct Verified {
    caller: Arc<Caller>,
    /// Its issuer, by its place in the list.
    issuer: usize,
    /// The generation of the issuer's keys. With other keys the token must be verified again.
    generation: u64,
}

/// The keys of an issuer, or the API keys, cannot be used at the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{section}: {problem}")]
pub struct UnusableKeys {
    /// The section of the configuration.
    pub section: String,
    /// What is wrong with them.
    pub problem: String,
}

impl Authenticator {
    /// Reads the keys that are in files. Those at addresses are read by [`keep_current`](Self::keep_current), or when the
    /// first token needs them. `fetch` gets a document.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn load(config: &Auth, fetch: &FetchKeys) -> Result<Self, UnusableKeys> {
        let unusable = |section: &str| {
            let section = section.to_owned();
            move |problem: String| UnusableKeys { section, problem }
        };
        let names = config.issuers.keys().map(|name| format!("{name}:"));
        let reserved: Vec<String> =
            names.chain([api_keys::SUBJECT_PREFIX, TELEGRAM_PREFIX, CERTIFICATE_PREFIX].map(str::to_owned)).collect();
        let mut issuers = Vec::new();
        for (section, configured) in config.all_issuers() {
            let keys = IssuerKeys::of(&section, configured, fetch);
            keys.read_file().map_err(unusable(&section))?;
            let name = section.strip_prefix("auth.issuers.");
            issuers.push(TrustedIssuer { issuer: Issuer::of(configured, name, &reserved), keys });
        }
        let api_keys = config.api_keys().map(ApiKeys::load).transpose();
        let api_keys = api_keys.map_err(|error| unusable("auth.api_keys")(error.to_string()))?;
        let own_tokens = config.token_key().map(OwnTokens::load).transpose().map_err(unusable("auth.token_key"))?;
        if let Some(own_tokens) = &own_tokens {
            let keys = IssuerKeys::fixed("auth.token_key", own_tokens.keys());
            issuers.push(TrustedIssuer { issuer: OwnTokens::issuer(), keys });
        }
        let certificates = config.certificates.iter().map(|(name, roles)| {
            let (subject, rights) = (format!("{CERTIFICATE_PREFIX}{name}"), Rights::Roles(roles.clone()));
            (name.to_lowercase(), Arc::new(Caller { subject, rights, issuer: None, expires_at: None }))
        });
        let certificates = certificates.collect();
        let verified = Cache::new(config.token_cache.get() as u64);
        let own_tokens = own_tokens.map(Arc::new);
        Ok(Self { issuers, api_keys, own_tokens, certificates, verified, on_key_changes: OnceLock::new() })
    }

    /// Tells who has these credentials: a token of an issuer, or an API key.
    ///
    /// # Errors
    /// The reason why they are not accepted.
    pub async fn authenticate(&self, credentials: &str) -> Result<Arc<Caller>, Refused> {
        self.accept(credentials).await.map(|accepted| accepted.caller)
    }

    /// As [`authenticate`](Self::authenticate), and tells whether the credentials are new.
    ///
    /// # Errors
    /// The reason why they are not accepted.
    pub async fn accept(&self, credentials: &str) -> Result<Accepted, Refused> {
        self.accept_at(credentials, now()).await
    }

    /// Calls a function after each change of the API keys while the server runs. Only the first function counts.
    pub fn on_key_changes(&self, call: impl Fn(&ApiKeyChanges) + Send + Sync + 'static) {
        let _had_one = self.on_key_changes.set(Box::new(call));
    }

    /// The caller with a certificate for these host names. The transport has verified the certificate.
    #[must_use]
    pub fn certified(&self, names: &[String]) -> Option<Arc<Caller>> {
        names.iter().find_map(|name| self.certificates.get(&name.to_lowercase())).cloned()
    }

    /// Whether a caller's token or key has not expired, and its key was not revoked: for requests that last long.
    #[must_use]
    pub fn still_counts(&self, caller: &Caller) -> bool {
        let is_known = match &caller.rights {
            Rights::Roles(_) => true,
            Rights::Grants { key, .. } => self.api_keys.as_ref().is_some_and(|keys| keys.has(key)),
        };
        is_known && !caller.has_expired(now())
    }

    /// The caller of credentials that are known to be valid without verifying anything: of an API key, or of a token
    /// that was verified before.
    #[must_use]
    pub fn remembered(&self, credentials: &str) -> Option<Accepted> {
        self.remembered_at(credentials, now())
    }

    fn remembered_at(&self, credentials: &str, now: f64) -> Option<Accepted> {
        if let Some(keys) = self.api_keys_for(credentials) {
            return keys.find(credentials, now).ok().map(|(caller, is_first)| Accepted { caller, is_first });
        }
        if credentials.len() > BYTES_MAX {
            return None;
        }
        let known = self.verified.get(&blake3::hash(credentials.as_bytes()))?;
        let has_same_keys = self.issuers.get(known.issuer)?.keys.generation() == known.generation;
        let caller = known.caller;
        (has_same_keys && !caller.has_expired(now)).then_some(Accepted { caller, is_first: false })
    }

    /// The same as [`accept`](Self::accept) at a time in seconds since 1970.
    async fn accept_at(&self, credentials: &str, now: f64) -> Result<Accepted, Refused> {
        if let Some(keys) = self.api_keys_for(credentials) {
            return keys.find(credentials, now).map(|(caller, is_first)| Accepted { caller, is_first });
        }
        if credentials.len() > BYTES_MAX {
            return Err(Refused::TooLong(BYTES_MAX));
        }
        if let Some(accepted) = self.remembered_at(credentials, now) {
            return Ok(accepted);
        }
        let hash = blake3::hash(credentials.as_bytes());
        // A token that is verified again, because its issuer has other keys now, is none that is new.
        let is_first = !self.verified.contains_key(&hash);
        let verified = self.verify(credentials, now).await?;
        let caller = Arc::clone(&verified.caller);
        self.verified.insert(hash, verified);
        Ok(Accepted { caller, is_first })
    }

    /// The API keys, if these credentials are one.
    fn api_keys_for(&self, credentials: &str) -> Option<&ApiKeys> {
        self.api_keys.as_ref().filter(|_| credentials.starts_with(api_keys::PREFIX))
    }

    async fn verify(&self, credentials: &str, now: f64) -> Result<Verified, Refused> {
        let token = Token::parse(credentials)?;
        let named = token.claims.get("iss").and_then(Value::as_str).ok_or(Refused::UnknownIssuer)?;
        let mut issuers = self.issuers.iter().enumerate();
        let (place, trusted) = issuers.find(|(_, one)| *one.issuer.name == *named).ok_or(Refused::UnknownIssuer)?;
        let generation = trusted.keys.verify(&token).await?;
        // Only now the claims are known to be the issuer's.
        let identity = trusted.issuer.read(&token.claims, now)?;
        let Identity { subject, roles, expires_at } = identity;
        let issuer = Some(Arc::clone(&trusted.issuer.name));
        let caller = Caller { subject, rights: Rights::Roles(roles), issuer, expires_at: Some(expires_at) };
        let caller = Arc::new(caller);
        Ok(Verified { caller, issuer: place, generation })
    }

    /// What makes tokens of this server's own, if it has a key (`auth.token_key`).
    #[must_use]
    pub fn own_tokens(&self) -> Option<&Arc<OwnTokens>> {
        self.own_tokens.as_ref()
    }

    /// Reads changed keys, until it is dropped.
    pub async fn keep_current(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(FILES_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for trusted in &self.issuers {
                trusted.keys.read_if_due().await;
            }
            self.read_api_keys();
        }
    }

    /// Reads all keys now.
    pub async fn read_again(&self) {
        for trusted in &self.issuers {
            trusted.keys.read_now().await;
        }
        self.read_api_keys();
    }

    fn read_api_keys(&self) {
        let changes = self.api_keys.as_ref().and_then(ApiKeys::read_again);
        if let (Some(changes), Some(call)) = (changes, self.on_key_changes.get()) {
            call(&changes);
        }
    }
}

/// In seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
