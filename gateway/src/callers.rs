//! Who the callers are: makes the authenticator of a configuration, and gets the keys of issuers.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use dormouse_auth::{Authenticator, FetchKeys, TELEGRAM_PREFIX, TelegramBot, UnusableKeys};
use dormouse_config::{Auth, AuthMode, Telegram};
use dormouse_encryption::{DataKeys, EqualityKey};
use tokio_rustls::rustls::crypto::ring;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::http::TelegramLogin;

/// How long an issuer may take to send its keys. Requests with tokens of a new key wait for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of keys.
const BYTES_MAX: u64 = 1 << 20;

/// The authenticator. `None`: callers are not authenticated.
pub(crate) fn authenticator(config: &Auth) -> Result<Option<Arc<Authenticator>>, UnusableKeys> {
    match config.mode {
        AuthMode::None => Ok(None),
        AuthMode::Jwt => Authenticator::load(config, &fetch()).map(|authenticator| Some(Arc::new(authenticator))),
    }
}

/// What gives tokens to users of a Telegram Web App. `None`: nothing does.
pub(crate) fn telegram(
    config: &Auth,
    authenticator: Option<&Authenticator>,
    keys: Option<&DataKeys>,
) -> Result<Option<TelegramLogin>, UnusableKeys> {
    let tokens = authenticator.and_then(Authenticator::own_tokens);
    let (Some(path), Some(tokens)) = (config.bot_token(), tokens) else { return Ok(None) };
    let unusable = |what: &str| {
        let section = "auth.telegram.bot_token".to_owned();
        UnusableKeys { section, problem: format!("{}: {what}", path.display()) }
    };
    let token = fs::read_to_string(path).map_err(|error| unusable(&error.to_string()))?;
    if token.trim().is_empty() {
        return Err(unusable("the file is empty"));
    }
    let telegram = &config.telegram;
    Ok(Some(TelegramLogin {
        bot: TelegramBot::new(token.trim(), telegram.max_age),
        tokens: Arc::clone(tokens),
        subjects: TelegramSubjects::new(telegram, keys),
        roles: telegram.roles.clone(),
        token_lifetime: telegram.token_lifetime,
    }))
}

/// The subjects of the users of a Telegram Web App.
#[derive(Debug)]
pub(crate) enum TelegramSubjects {
    /// With the id of the user.
    Shown,
    /// With its hash.
    Hidden(EqualityKey),
}

impl TelegramSubjects {
    pub(crate) fn new(config: &Telegram, keys: Option<&DataKeys>) -> Self {
        // A validated configuration has keys if it hides ids.
        match keys.filter(|_| config.hide_ids) {
            None => Self::Shown,
            Some(keys) => Self::Hidden(keys.equality_key("auth.telegram.id")),
        }
    }

    pub(crate) fn of(&self, user: u64) -> String {
        match self {
            Self::Shown => format!("{TELEGRAM_PREFIX}{user}"),
            Self::Hidden(key) => format!("{TELEGRAM_PREFIX}{}", key.hash(&user.to_be_bytes()).as_str()),
        }
    }
}

/// Gets a document over HTTP. The certificates of issuers come from the authorities of this system.
fn fetch() -> FetchKeys {
    let native = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> = native.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .build();
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        // A redirect could lead to an address that is not encrypted.
        .max_redirects(0)
        // Only the configuration reads the environment.
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .build()
        .new_agent();
    Arc::new(move |url| {
        let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
        let read = response.body_mut().with_config().limit(BYTES_MAX).read_to_vec();
        read.map_err(|error| error.to_string())
    })
}
