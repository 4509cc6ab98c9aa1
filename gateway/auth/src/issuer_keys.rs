//! The keys of an issuer, kept current.
//!
//! A file is read again every [`FILES_EVERY`], an address is asked every [`ADDRESSES_EVERY`]. For a key that is not known,
//! either is read at once, but at most every [`UNKNOWN_KEYS_EVERY`], so that tokens with invented keys cannot make this
//! server flood the issuer. An answer that cannot be used, or none, changes nothing: known keys stay in use.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dormouse_config::{Issuer, Jwks};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::key_set::{BYTES_MAX, KeySet};
use crate::refused::Refused;
use crate::token::Token;

/// How often a file with keys is read again.
pub(crate) const FILES_EVERY: Duration = Duration::from_secs(10);

/// How often an address with keys is asked. An issuer that withdraws a key is followed after this time.
const ADDRESSES_EVERY: Duration = Duration::from_secs(600);

/// How often keys are asked for at most because of a key that is not known.
const UNKNOWN_KEYS_EVERY: Duration = Duration::from_secs(10);

/// How often keys are asked for at most while none was ever read: no token can be verified meanwhile.
const FIRST_KEYS_EVERY: Duration = Duration::from_secs(2);

/// Gets the document at an address, within some seconds and one megabyte. It may block its thread.
pub type FetchKeys = Arc<dyn Fn(&str) -> Result<Vec<u8>, String> + Send + Sync>;

/// The keys of one issuer.
pub(crate) struct IssuerKeys {
    /// The section of the configuration, for messages.
    section: String,
    source: Source,
    known: RwLock<Known>,
    /// Held while keys are read, so that all who need the same keys wait for one answer.
    reading: Mutex<Reading>,
}

#[derive(Clone)]
enum Source {
    Pem(PathBuf),
    File(PathBuf),
    Address(String, FetchKeys),
    /// The keys do not change.
    Nowhere,
}

/// The keys that are in use.
#[derive(Clone, Default)]
struct Known {
    /// `None`: they were never read.
    keys: Option<Arc<KeySet>>,
    content: Option<blake3::Hash>,
    /// Grows with each change: a token that was verified with earlier keys must be verified again.
    generation: u64,
}

/// When keys were read.
#[derive(Default)]
struct Reading {
    /// The last time because of a token, while no key was known at all.
    for_first_key: Option<Instant>,
    /// The last time because of a token with a key that was not known.
    for_unknown_key: Option<Instant>,
    succeeded: Option<Instant>,
    has_failed: bool,
}

impl IssuerKeys {
    pub(crate) fn of(section: &str, issuer: &Issuer, fetch: &FetchKeys) -> Self {
        let source = match &issuer.jwks {
            Jwks::None => Source::Pem(issuer.public_key.clone()),
            Jwks::File(path) => Source::File(path.clone()),
            Jwks::Url(url) => Source::Address(url.clone(), Arc::clone(fetch)),
        };
        Self { section: section.to_owned(), source, known: RwLock::default(), reading: Mutex::default() }
    }

    /// Keys that do not change.
    pub(crate) fn fixed(section: &str, keys: KeySet) -> Self {
        let known = RwLock::new(Known { keys: Some(Arc::new(keys)), content: None, generation: 1 });
        Self { section: section.to_owned(), source: Source::Nowhere, known, reading: Mutex::default() }
    }

    /// Reads the keys for the first time, if they are in a file. An address may not answer yet.
    pub(crate) fn read_file(&self) -> Result<(), String> {
        match self.source {
            Source::Address(..) => Ok(()),
            _ => self.source.read().and_then(|content| self.take(&content)),
        }
    }

    /// The generation of the keys that are in use.
    pub(crate) fn generation(&self) -> u64 {
        self.known().generation
    }

    /// Verifies the signature of a token, and returns the generation of the keys. A token of an unknown key may be the
    /// first one after the issuer has changed its keys: then they are read again.
    pub(crate) async fn verify(&self, token: &Token<'_>) -> Result<u64, Refused> {
        let has_candidate = |known: &Known| known.keys.as_ref().is_some_and(|keys| keys.has_candidate(token));
        let mut known = self.known();
        if !has_candidate(&known) {
            self.read_for_unknown_key(known.generation).await;
            known = self.known();
        }
        let Some(keys) = &known.keys else { return Err(Refused::KeysUnavailable) };
        match (keys.has_candidate(token), keys.verifies(token)) {
            (_, true) => Ok(known.generation),
            (true, false) => Err(Refused::Signature),
            (false, false) => Err(Refused::UnknownKey),
        }
    }

    /// Reads a file again, and asks at an address if it is time. To be called every [`FILES_EVERY`].
    pub(crate) async fn read_if_due(&self) {
        let mut reading = self.reading.lock().await;
        let is_recent = reading.succeeded.is_some_and(|at| at.elapsed() < ADDRESSES_EVERY);
        match self.source {
            Source::Nowhere => {}
            Source::Address(..) if is_recent => {}
            _ => self.read(&mut reading).await,
        }
    }

    /// Reads the keys again.
    pub(crate) async fn read_now(&self) {
        let mut reading = self.reading.lock().await;
        self.read(&mut reading).await;
    }

    async fn read_for_unknown_key(&self, generation: u64) {
        let mut reading = self.reading.lock().await;
        // Another request may have read them while this one waited.
        let has_keys = self.known().keys.is_some();
        let (last, every) = if has_keys {
            (&mut reading.for_unknown_key, UNKNOWN_KEYS_EVERY)
        } else {
            (&mut reading.for_first_key, FIRST_KEYS_EVERY)
        };
        if last.is_none_or(|at| at.elapsed() >= every) && self.generation() == generation {
            *last = Some(Instant::now());
            self.read(&mut reading).await;
        }
    }

    async fn read(&self, reading: &mut Reading) {
        if matches!(self.source, Source::Nowhere) {
            return;
        }
        let source = self.source.clone();
        let read = tokio::task::spawn_blocking(move || source.read()).await;
        let read = read.unwrap_or_else(|_| Err("reading them failed".to_owned()));
        match read.and_then(|content| self.take(&content)) {
            Ok(()) => {
                if std::mem::take(&mut reading.has_failed) {
                    info!(issuer = self.section, "the keys of the issuer can be read again");
                }
                reading.succeeded = Some(Instant::now());
            }
            Err(problem) => {
                if !std::mem::replace(&mut reading.has_failed, true) {
                    warn!(
                        issuer = self.section,
                        problem, "the keys of the issuer cannot be read, known keys stay in use"
                    );
                }
            }
        }
    }

    /// Uses other keys from now on, if the content is another one.
    fn take(&self, content: &[u8]) -> Result<(), String> {
        let hash = blake3::hash(content);
        if self.known().content == Some(hash) {
            return Ok(());
        }
        let keys = match self.source {
            Source::Pem(_) => KeySet::from_pem(content)?,
            _ => KeySet::from_jwks(content)?,
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Known { keys: Some(Arc::new(keys)), content: Some(hash), generation: known.generation + 1 };
        drop(known);
        info!(issuer = self.section, "the keys of the issuer were read");
        Ok(())
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Source {
    fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Pem(path) | Self::File(path) => {
                let described = |error: std::io::Error| format!("{}: {error}", path.display());
                let mut content = Vec::new();
                let file = File::open(path).map_err(described)?;
                file.take(BYTES_MAX as u64 + 1).read_to_end(&mut content).map_err(described)?;
                if content.len() > BYTES_MAX {
                    return Err(format!("{}: the file is larger than 1 MiB", path.display()));
                }
                Ok(content)
            }
            Self::Nowhere => Err("there is nothing to read".to_owned()),
            Self::Address(address, fetch) => fetch(address).map_err(|problem| format!("{address}: {problem}")),
        }
    }
}
