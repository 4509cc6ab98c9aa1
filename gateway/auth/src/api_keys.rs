//! API keys: for machines that no issuer knows. A file has their hashes, their names and what they may do.
//!
//! A key is `dmk_`, its id, and 32 random bytes. Whoever reads the file cannot make the key from it: the bytes are random,
//! so that a plain hash cannot be reversed by guessing.

mod file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tracing::{info, warn};

use crate::caller::{Caller, Rights};
use crate::refused::Refused;
pub use file::{ApiKey, ApiKeyFile, ApiKeyFileError, NewApiKey};

/// How each API key begins, so that scanners for secrets can find one that was published by mistake.
pub(crate) const PREFIX: &str = "dmk_";

/// How the subject of each API key begins. No token has such a subject.
pub(crate) const SUBJECT_PREFIX: &str = "key:";

/// The API keys of a server, by their ids.
pub(crate) struct ApiKeys {
    path: PathBuf,
    known: RwLock<Known>,
}

struct Known {
    file: ApiKeyFile,
    by_id: HashMap<String, Entry>,
}

struct Entry {
    hash: blake3::Hash,
    caller: Arc<Caller>,
    /// Whether it was accepted since the server knows it.
    was_used: AtomicBool,
}

/// What a change of the file of API keys has changed: ids of keys, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyChanges {
    /// Keys that count from now on.
    pub added: Vec<String>,
    /// Keys that count no more.
    pub removed: Vec<String>,
    /// Keys that may do something else, or expire at another time.
    pub changed: Vec<String>,
}

impl ApiKeys {
    pub(crate) fn load(path: &Path) -> Result<Self, ApiKeyFileError> {
        Ok(Self { path: path.to_owned(), known: RwLock::new(Known::of(ApiKeyFile::read(path)?, None)) })
    }

    /// Finds the caller with this key, and whether the key is used for the first time.
    pub(crate) fn find(&self, key: &str, now: f64) -> Result<(Arc<Caller>, bool), Refused> {
        let (id, secret) = parts(key).ok_or(Refused::UnknownApiKey)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        // Hashes are compared in constant time.
        let entry = known.by_id.get(id).filter(|entry| entry.hash == blake3::hash(secret.as_bytes()));
        let entry = entry.ok_or(Refused::UnknownApiKey)?;
        if entry.caller.has_expired(now) {
            return Err(Refused::ExpiredApiKey);
        }
        let is_first = !entry.was_used.swap(true, Ordering::Relaxed);
        Ok((Arc::clone(&entry.caller), is_first))
    }

    /// Whether there is a key with this id that was not revoked.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_id.contains_key(id)
    }

    /// Reads the file again. If it cannot be used, the keys that are known stay in use. Returns what has changed.
    pub(crate) fn read_again(&self) -> Option<ApiKeyChanges> {
        match ApiKeyFile::read(&self.path) {
            Ok(file) => {
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                if known.file == file {
                    return None;
                }
                let now = Known::of(file, Some(&known.by_id));
                let before = std::mem::replace(&mut *known, now);
                info!(keys = known.by_id.len(), "the API keys were read");
                Some(ApiKeyChanges::between(&before.by_id, &known.by_id))
            }
            Err(error) => {
                warn!(%error, "the API keys cannot be read, known keys stay in use");
                None
            }
        }
    }
}

impl Known {
    /// `before`: the keys that were known before.
    fn of(file: ApiKeyFile, before: Option<&HashMap<String, Entry>>) -> Self {
        let valid = file.keys().iter().filter(|key| key.revoked_at.is_none());
        let entries = valid.map(|key| {
            let rights = Rights::Grants { key: key.id.clone(), grants: key.grants.clone() };
            let expires_at = key.expires_at.map(|at| at.as_duration().as_secs_f64());
            let subject = format!("{SUBJECT_PREFIX}{}", key.name);
            let caller = Arc::new(Caller { subject, rights, issuer: None, expires_at });
            let was_used = before
                .and_then(|before| before.get(&key.id))
                .is_some_and(|known| known.was_used.load(Ordering::Relaxed));
            (key.id.clone(), Entry { hash: key.hash, caller, was_used: was_used.into() })
        });
        Self { by_id: entries.collect(), file }
    }
}

impl ApiKeyChanges {
    fn between(before: &HashMap<String, Entry>, after: &HashMap<String, Entry>) -> Self {
        let sorted = |ids: &mut dyn Iterator<Item = &String>| {
            let mut ids: Vec<String> = ids.cloned().collect();
            ids.sort_unstable();
            ids
        };
        let is_changed = |id: &&String| match (before.get(*id), after.get(*id)) {
            (Some(one), Some(other)) => one.caller != other.caller || one.hash != other.hash,
            _ => false,
        };
        Self {
            added: sorted(&mut after.keys().filter(|id| !before.contains_key(*id))),
            removed: sorted(&mut before.keys().filter(|id| !after.contains_key(*id))),
            changed: sorted(&mut after.keys().filter(is_changed)),
        }
    }
}

/// The id and the secret of a key.
fn parts(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(PREFIX)?.split_once('_')
}
