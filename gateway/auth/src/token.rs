//! A signed token in compact form (RFC 7515, RFC 7519), before anything in it is believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use crate::refused::Refused;
use crate::unique_json;

/// The longest token. Those of identity providers with many groups have 4 KiB; servers in front allow 8 KiB for all headers.
pub(crate) const BYTES_MAX: usize = 8 * 1024;

/// The longest key id. Identity providers use hashes and UUIDs.
const KEY_ID_CHARS_MAX: usize = 256;

/// A token whose signature has not been verified.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    pub(crate) algorithm: Algorithm,
    /// The id of the key that signed it, as the token says.
    pub(crate) key_id: Option<String>,
    /// What the token says of its caller.
    pub(crate) claims: Map<String, Value>,
    /// What is signed.
    pub(crate) message: &'t str,
    /// The signature in base64url.
    pub(crate) signature: &'t str,
}

impl<'t> Token<'t> {
    /// Parses a token. Headers with keys, or with addresses of keys (`jwk`, `jku`, `x5c`, `x5u`), are not looked at: only
    /// configured keys count.
    pub(crate) fn parse(text: &'t str) -> Result<Self, Refused> {
        if text.len() > BYTES_MAX {
            return Err(Refused::TooLong(BYTES_MAX));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::Malformed("it must have three parts, separated by dots"));
        };
        let object = |part: &str, what| {
            let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed(what))?;
            unique_json::object(&bytes).ok_or(Refused::Malformed(what))
        };
        let header = object(header, "its header must be a JSON object in base64url, with each name once")?;
        let (algorithm, key_id) = read_header(&header)?;
        let claims = object(claims, "its claims must be a JSON object in base64url, with each name once")?;
        if signature.is_empty() || URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(Refused::Malformed("its signature must be in base64url"));
        }
        let message = &text[..text.len() - signature.len() - 1];
        Ok(Self { algorithm, key_id, claims, message, signature })
    }
}

fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), Refused> {
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(Refused::Critical);
    }
    let algorithm = match header.get("alg").and_then(Value::as_str) {
        Some("RS256") => Algorithm::RS256,
        Some("ES256") => Algorithm::ES256,
        Some("EdDSA") => Algorithm::EdDSA,
        _ => return Err(Refused::Algorithm),
    };
    // Explicit types keep tokens with another purpose out (RFC 8725, 3.11).
    if let Some(token_type) = header.get("typ") {
        let token_type = token_type.as_str().unwrap_or_default().to_ascii_lowercase();
        let token_type = token_type.strip_prefix("application/").unwrap_or(&token_type);
        if !matches!(token_type, "jwt" | "at+jwt") {
            return Err(Refused::Malformed("its type must be JWT or at+jwt"));
        }
    }
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) if id.chars().count() <= KEY_ID_CHARS_MAX => Some(id.clone()),
        Some(_) => return Err(Refused::Malformed("the id of its key must be a text of at most 256 characters")),
    };
    Ok((algorithm, key_id))
}
