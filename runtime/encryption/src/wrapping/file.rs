//! Wrapping keys in a file that only its owner can read.
//!
//! ```text
//! 2026-11-30-5f0c1a2b pPjhXW…=
//! 2027-11-30-0c9be1d4 Yq4l0v…=
//! ```
//!
//! Each line has the id of a key, a blank, and 32 bytes in base64. The last one wraps, all of them unwrap. The file
//! must not be in a backup of what it protects.

mod content;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_lc_rs::rand;
use dormouse_kernel::Timestamp;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::{WrapError, WrapKeys, Wrapped, WrappingKeyId};
use crate::cipher::Cipher;
use crate::error::NoRandomness;
use crate::limits::WRAPPING_FILE_BYTES;
use crate::secret::SecretKey;
use content::{Content, ContentError};

/// The number of the format of wrapped bytes: it, then nonce, ciphertext and tag.
const FORMAT: u8 = 1;

/// The permissions of the file: its owner reads and writes it.
const MODE: u32 = 0o600;

/// The time between two reads of the file because a key is missing: if it stays missing, each read of data would read
/// the file.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Wrapping keys in a file. It is read again before a key is wrapped, if a key is missing, and by
/// [`reload`](Self::reload).
pub struct WrappingKeyFile {
    path: PathBuf,
    known: RwLock<Arc<Known>>,
    /// When the file was last read because a key was missing.
    looked: Mutex<Option<Instant>>,
}

struct Known {
    keys: Vec<(WrappingKeyId, Cipher)>,
    /// The key that wraps: the last one.
    current: WrappingKeyId,
}

/// The file with the wrapping keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum WrappingKeyFileError {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Others can read or write it.
    #[error("{}: others may access the file (mode {mode:03o}): make it private with chmod 600", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It has something else.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        problem: ContentError,
    },
    /// It is larger than any such file.
    #[error("{}: the file is larger than {WRAPPING_FILE_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The system has no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

impl WrappingKeyFile {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, if others may access it, or if it has something else.
    pub fn open(path: &Path) -> Result<Self, WrappingKeyFileError> {
        let known = RwLock::new(Arc::new(Known::read(path)?));
        Ok(Self { path: path.to_owned(), known, looked: Mutex::new(None) })
    }

    /// Reads the file again. If that fails, the keys that are known stay in use.
    ///
    /// # Errors
    /// As with [`open`](Self::open).
    pub fn reload(&self) -> Result<(), WrappingKeyFileError> {
        let known = Arc::new(Known::read(&self.path)?);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Adds a new key at the end of the file, which is created if it is missing, and returns its id. From then on it
    /// wraps, in each process that reads the file. Another process that changes the file waits, and a reader finds the
    /// old content or the new one.
    ///
    /// # Errors
    /// As with [`open`](Self::open), or if the file cannot be written.
    pub fn create(path: &Path, now: Timestamp) -> Result<WrappingKeyId, WrappingKeyFileError> {
        let io = |source| WrappingKeyFileError::Io { path: path.to_owned(), source };
        let private = |path: &Path| OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path);
        let lock = private(&beside(path, ".lock")).map_err(io)?;
        lock.lock().map_err(io)?;
        let before = fs::metadata(path).map(Some).or_else(|error| missing_is_fine(error).map(|()| None)).map_err(io)?;
        let mut text = if before.is_some() { read(path)? } else { Zeroizing::new(String::new()) };
        Content::parse(&text)
            .or_else(|problem| if text.is_empty() { Ok(Content::default()) } else { Err(problem) })
            .map_err(|problem| WrappingKeyFileError::Content { path: path.to_owned(), problem })?;
        let id = new_id(now)?;
        content::append(&mut text, &id, &SecretKey::random()?);
        let next = beside(path, ".next");
        // A file that a crash has left may have other permissions.
        fs::remove_file(&next).or_else(missing_is_fine).map_err(io)?;
        let mut written = private(&next).map_err(io)?;
        if let Some(before) = before {
            // An operator may add a key as root. The server must still be able to read the file.
            fchown(&written, Some(before.uid()), Some(before.gid())).map_err(io)?;
        }
        written.write_all(text.as_bytes()).and_then(|()| written.sync_all()).map_err(io)?;
        fs::rename(&next, path).map_err(io)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        Ok(id)
    }

    /// The keys, with this one if it is in the file: another process may have begun to wrap with a key that is not
    /// known here yet.
    fn known_with(&self, id: &WrappingKeyId) -> Arc<Known> {
        let known = self.known();
        if known.cipher(id).is_ok() || !self.may_look_again() {
            return known;
        }
        match self.reload() {
            Ok(()) => info!(path = %self.path.display(), wrapping_key = %id, "the wrapping keys were read again"),
            Err(error) => warn!(%error, "the wrapping keys cannot be read, known keys stay in use"),
        }
        self.known()
    }

    fn may_look_again(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let may = looked.is_none_or(|looked| looked.elapsed() >= LOOK_INTERVAL);
        if may {
            *looked = Some(Instant::now());
        }
        may
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl WrapKeys for WrappingKeyFile {
    fn current(&self) -> WrappingKeyId {
        self.known().current.clone()
    }

    async fn wrap(&self, secret: &SecretKey, context: &[u8]) -> Result<Wrapped, WrapError> {
        // A new key is rare. If it were wrapped with a key that another process has replaced, it would be lost once an
        // operator removes that one.
        if let Err(error) = self.reload() {
            warn!(%error, "the wrapping keys cannot be read, known keys stay in use");
        }
        let known = self.known();
        let cipher = known.cipher(&known.current)?;
        let mut bytes = vec![FORMAT];
        cipher.seal(&additional_data(&known.current, context), secret.expose(), &mut bytes)?;
        Ok(Wrapped { by: known.current.clone(), bytes })
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &[u8]) -> Result<SecretKey, WrapError> {
        let known = self.known_with(&wrapped.by);
        let cipher = known.cipher(&wrapped.by)?;
        let not_authentic = || WrapError::NotAuthentic(wrapped.by.clone());
        let (format, sealed) = wrapped.bytes.split_first().ok_or_else(not_authentic)?;
        if *format != FORMAT {
            return Err(not_authentic());
        }
        let secret = cipher.open(&additional_data(&wrapped.by, context), sealed).map(Zeroizing::new);
        secret.and_then(|secret| SecretKey::from_bytes(&secret)).ok_or_else(not_authentic)
    }
}

impl std::fmt::Debug for WrappingKeyFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known();
        let ids: Vec<&str> = known.keys.iter().map(|(id, _)| id.as_str()).collect();
        formatter.debug_struct("WrappingKeyFile").field("path", &self.path).field("keys", &ids).finish()
    }
}

impl Known {
    fn read(path: &Path) -> Result<Self, WrappingKeyFileError> {
        let text = read(path)?;
        let wrong = |problem| WrappingKeyFileError::Content { path: path.to_owned(), problem };
        let Content { keys } = Content::parse(&text).map_err(wrong)?;
        let current = keys.last().map(|(id, _)| id.clone()).ok_or_else(|| wrong(ContentError::Empty))?;
        let keys = keys.into_iter().map(|(id, secret)| Ok((id, Cipher::new(&secret)?)));
        let keys =
            keys.collect::<Result<_, _>>().map_err(|_: crate::error::CipherFailed| wrong(ContentError::Cipher))?;
        Ok(Self { keys, current })
    }

    fn cipher(&self, id: &WrappingKeyId) -> Result<&Cipher, WrapError> {
        let found = self.keys.iter().find(|(known, _)| known == id).map(|(_, cipher)| cipher);
        found.ok_or_else(|| WrapError::Missing(id.clone()))
    }
}

/// The id of the wrapping key is authenticated, too.
fn additional_data(id: &WrappingKeyId, context: &[u8]) -> Vec<u8> {
    let id = id.as_str().as_bytes();
    [&b"dormouse wrapped key"[..], &(id.len() as u64).to_be_bytes(), id, context].concat()
}

fn read(path: &Path) -> Result<Zeroizing<String>, WrappingKeyFileError> {
    let io = |source| WrappingKeyFileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    // Of the file that is open, because another one may get its name.
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(WrappingKeyFileError::Open { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(WRAPPING_FILE_BYTES + 1).read_to_string(&mut text).map_err(io)?;
    if text.len() as u64 > WRAPPING_FILE_BYTES {
        return Err(WrappingKeyFileError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

/// The date, so that an operator sees how old a key is, and random digits, so that no two keys have the same id.
fn new_id(now: Timestamp) -> Result<WrappingKeyId, WrappingKeyFileError> {
    let mut random = [0; 4];
    rand::fill(&mut random).map_err(|_| NoRandomness)?;
    let date: String = now.to_string().chars().take_while(|character| *character != 'T').collect();
    let id = format!("{date}-{:08x}", u32::from_be_bytes(random));
    // Of a time before the year 0 the date may begin with a minus sign, which an id may have, too.
    Ok(WrappingKeyId(id))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
