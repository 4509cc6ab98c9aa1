//! `[auth]`: authentication of callers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;
use crate::tls::is_set;

/// Authentication of callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// How callers prove who they are. Default `none`.
    pub mode: AuthMode,
    /// Whether the server refuses to start while callers are not authenticated. Default `false`; the profiles
    /// `production` and `enterprise` set it.
    pub required: bool,
    /// File with the API keys of machines. Default empty: there are none.
    pub api_keys: PathBuf,
    /// PEM file with the private Ed25519 key of this server's own tokens. Default empty: it makes none.
    pub token_key: PathBuf,
    /// Verified tokens that are remembered, so that a token is verified once. Default 10,000.
    pub token_cache: NonZeroUsize,
    /// The issuer of tokens.
    pub jwt: Issuer,
    /// Further issuers, by names of the operator's choice. Their subjects get the name before them: `partner:ada`.
    /// Default: none.
    pub issuers: BTreeMap<String, Issuer>,
    /// The roles of clients with a certificate (mutual TLS), by a host name that the certificate is for. Default: none.
    pub certificates: BTreeMap<String, Vec<String>>,
    /// Users of a Telegram Web App.
    pub telegram: Telegram,
}

/// How users of a Telegram Web App get tokens. This server makes the tokens itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telegram {
    /// File with the token of the bot. Default empty: there is none.
    pub bot_token: PathBuf,
    /// How long after a user opened the Web App its data count. Default 1 h.
    #[serde(with = "text::duration")]
    pub max_age: Duration,
    /// How long a token counts. Default 1 h.
    #[serde(with = "text::duration")]
    pub token_lifetime: Duration,
    /// The roles of users. Default: none.
    pub roles: Vec<String>,
    /// Whether a subject has a keyed hash in place of the user's id, which is personal. Default false; true needs
    /// `keys.file`. Set it before the first user comes: with another setting, users are others.
    pub hide_ids: bool,
}

/// How callers prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Callers are not authenticated. Listening beyond loopback then requires `gateway.allow_unauthenticated`.
    None,
    /// Each request has a token (RFC 7519) of a configured issuer, or an API key.
    Jwt,
}

/// An issuer of tokens, and what its tokens must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The claim `iss` of its tokens. Default empty: there is no such issuer.
    pub issuer: String,
    /// The names under which its tokens mean this server: one of them must be in the claim `aud`.
    pub audience: Vec<String>,
    /// PEM file with its public key. Either this or `jwks` is set.
    #[serde(default)]
    pub public_key: PathBuf,
    /// Its public keys as a JSON Web Key Set (RFC 7517): a file, or an address.
    #[serde(default)]
    pub jwks: Jwks,
    /// The claim with the roles of the caller. Default `roles`.
    #[serde(default = "default_roles_claim")]
    pub roles_claim: String,
    /// The only roles that its tokens may give. Default empty: any.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How far the issuer's clock may differ from this server's. Default 30 s.
    #[serde(with = "text::duration", default = "default_leeway")]
    pub leeway: Duration,
    /// Further claims that its tokens must have. Default: none.
    #[serde(default)]
    pub required_claims: Vec<String>,
}

/// The same as in `default.toml`, for the issuers of `auth.issuers`.
fn default_roles_claim() -> String {
    "roles".to_owned()
}

/// The same as in `default.toml`, for the issuers of `auth.issuers`.
const fn default_leeway() -> Duration {
    Duration::from_secs(30)
}

impl Auth {
    /// The configured issuers, each with the key of its section.
    pub fn all_issuers(&self) -> impl Iterator<Item = (String, &Issuer)> {
        let first = (!self.jwt.issuer.is_empty()).then(|| ("auth.jwt".to_owned(), &self.jwt));
        let others = self.issuers.iter().map(|(name, issuer)| (format!("auth.issuers.{name}"), issuer));
        first.into_iter().chain(others)
    }

    /// The file with the key of this server's own tokens, if there is one.
    #[must_use]
    pub fn token_key(&self) -> Option<&Path> {
        is_set(&self.token_key).then_some(&*self.token_key)
    }

    /// The file with the token of the Telegram bot, if there is one.
    #[must_use]
    pub fn bot_token(&self) -> Option<&Path> {
        is_set(&self.telegram.bot_token).then_some(&*self.telegram.bot_token)
    }

    /// The file with the API keys, if there is one.
    #[must_use]
    pub fn api_keys(&self) -> Option<&Path> {
        is_set(&self.api_keys).then_some(&*self.api_keys)
    }
}

/// Where the keys of an issuer are. As text it is nothing, a path, or an address that begins with `https://`. Only an
/// address of this machine may begin with `http://`. On a network, an attacker could replace keys that are not
/// encrypted, and make tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Jwks {
    /// Nowhere: the issuer has a `public_key`.
    #[default]
    None,
    /// In a file.
    File(PathBuf),
    /// At an address.
    Url(String),
}

impl Jwks {
    const EXPECTED: &str = r#"a file, "https://host/path", or "http://" and an address of this machine"#;

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::None);
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Some(Self::File(text.into())) };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_usable = match scheme {
            "https" => !authority.is_empty(),
            "http" => is_this_machine(authority),
            _ => false,
        };
        (is_usable && !authority.contains('@')).then(|| Self::Url(text.to_owned()))
    }
}

fn is_this_machine(authority: &str) -> bool {
    let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let host = authority[end..].find(':').map_or(authority, |colon| &authority[..end + colon]);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl std::fmt::Display for Jwks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

impl Serialize for Jwks {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Jwks {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::parsed(from, Self::EXPECTED, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_a_file_or_at_an_encrypted_address_or_on_this_machine() {
        assert_eq!(Jwks::parse(""), Some(Jwks::None));
        assert_eq!(Jwks::parse("keys/issuer.json"), Some(Jwks::File("keys/issuer.json".into())));
        for url in [
            "https://login.example.org/keys",
            "https://login.example.org",
            "http://127.0.0.1:8081/jwks",
            "http://localhost/jwks",
            "http://[::1]:80/jwks",
        ] {
            assert_eq!(Jwks::parse(url), Some(Jwks::Url(url.to_owned())), "{url}");
        }
        for url in [
            "http://login.example.org/keys",
            "http://127.0.0.1.evil.net/",
            "http://localhost@evil.net/",
            "https://",
            "https://user:secret@host/keys",
            "ftp://host/keys",
        ] {
            assert_eq!(Jwks::parse(url), None, "{url}");
        }
    }
}
