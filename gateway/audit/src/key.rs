//! The key of the hashes.

use std::fmt::{self, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

/// The bytes of a key.
const KEY_BYTES: usize = 32;

/// What others than the owner and its group may do with a file.
const OTHERS: u32 = 0o007;

/// The key of the hashes. Whoever has it can write a log that verifies: it must not be where copies of the log are.
#[derive(Clone)]
pub struct Key([u8; KEY_BYTES]);

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file cannot be read or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Everybody on the machine may read or write it.
    #[error(
        "{}: others than its owner and its group may read or change the key (mode {mode:03o}): chmod 600, and if \
         somebody may have read it, begin a new log with another key", path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What who may do with it.
        mode: u32,
    },
    /// It has something else.
    #[error("{}: the key must have 64 hexadecimal digits and nothing else", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It is missing, but there is a log.
    #[error(
        "{}: the key of the log is missing: put it back; or, if it is lost, move the log's files away, and a new log \
         begins with a new key", path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The system has no random bytes.
    #[error("the system gives no random bytes for a key")]
    Random,
}

impl Key {
    /// Reads the key.
    ///
    /// # Errors
    /// The file is missing, has something else, or may be read by everybody.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
            _ => KeyError::Io { path: path.to_owned(), source },
        };
        let file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.mode() & 0o777;
        if mode & OTHERS != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let text = fs::read(path).map_err(io)?;
        Self::parse(&text).ok_or_else(|| KeyError::Malformed { path: path.to_owned() })
    }

    /// Makes a key, in a file that only its owner may read.
    pub(crate) fn create(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let mut bytes = [0; KEY_BYTES];
        rand::fill(&mut bytes).map_err(|_| KeyError::Random)?;
        let mut text = String::with_capacity(2 * KEY_BYTES + 1);
        bytes.iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
        text.push('\n');
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(io)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        Ok(Self(bytes))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_suffix(b"\n").unwrap_or(text);
        Some(Self(*blake3::Hash::from_hex(digits).ok()?.as_bytes()))
    }

    pub(crate) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }

    #[cfg(test)]
    pub(crate) const fn of(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(***)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_by_its_owner_only() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keys/audit.key");
        assert!(matches!(Key::load(&path), Err(KeyError::Missing { .. })));
        let key = Key::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Key::load(&path).unwrap().0, key.0);
        assert!(matches!(Key::create(&path), Err(KeyError::Io { .. })), "a key is never replaced");
        assert_ne!(Key::create(&place.path().join("other")).unwrap().0, key.0);
        assert_eq!(format!("{key:?}"), "Key(***)");
    }

    #[test]
    fn a_key_that_everybody_may_read_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("audit.key");
        Key::create(&path).unwrap();
        for (mode, is_accepted) in [(0o400, true), (0o640, true), (0o644, false), (0o602, false), (0o777, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Key::load(&path).is_ok(), is_accepted, "{mode:o}");
        }
    }

    #[test]
    fn a_key_with_something_else_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("audit.key");
        Key::create(&path).unwrap();
        let digits = "0b".repeat(KEY_BYTES);
        for (text, is_accepted) in [
            (digits.clone(), true),
            (format!("{digits}\n"), true),
            (String::new(), false),
            (format!("{digits}\n\n"), false),
            (format!(" {digits}"), false),
            (digits[1..].to_owned(), false),
            (format!("{digits}0b"), false),
            (digits.replace('b', "x"), false),
        ] {
            fs::write(&path, &text).unwrap();
            assert_eq!(Key::load(&path).is_ok(), is_accepted, "{text:?}");
        }
    }
}
