//! Who sends a request, and what the sender may do. This crate knows nothing of HTTP: it takes the text after `Bearer`, and
//! gives a [`Caller`] or a reason.
//!
//! [`Authenticator`] has the issuers with their keys, and the API keys. It verifies a token once, and remembers it until it
//! expires. [`Permissions`] is the table of who may do what; a [`Rule`] is one line of it.

mod api_keys;
mod authenticator;
mod caller;
mod issuer;
mod issuer_keys;
mod key_set;
mod own_tokens;
mod permissions;
mod refused;
mod telegram;
mod token;
mod unique_json;

pub use api_keys::{ApiKey, ApiKeyChanges, ApiKeyFile, ApiKeyFileError, NewApiKey};
pub use authenticator::{Accepted, Authenticator, TELEGRAM_PREFIX, UnusableKeys};
pub use caller::{Caller, Grant, InvalidGrant, Rights};
pub use issuer_keys::FetchKeys;
pub use own_tokens::OwnTokens;
pub use permissions::{Access, Denied, InvalidPermission, Permissions, Role, Rule, Section};
pub use refused::Refused;
pub use telegram::{InvalidInitData, TelegramBot};
