//! The file with the API keys.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::PREFIX;
use crate::caller::Grant;

/// The random bytes of an id: enough that two keys never have the same.
const ID_BYTES: usize = 8;

/// The random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// The longest name of a key. It is part of the subject of events.
const NAME_CHARS_MAX: usize = 64;

/// The version of the format.
const FORMAT: u32 = 1;

/// The content of the file with the API keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyFile {
    format: u32,
    keys: Vec<ApiKey>,
}

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The part of the key that is not secret.
    pub id: String,
    /// What it is for. Events that it causes have `key:` and this name as their subject.
    pub name: String,
    #[serde(serialize_with = "write_hash", deserialize_with = "read_hash")]
    pub(crate) hash: blake3::Hash,
    /// What it may do.
    #[serde(rename = "permissions", serialize_with = "write_grants", deserialize_with = "read_grants")]
    pub grants: Vec<Grant>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops counting. `None`: it does not expire.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked. `None`: it counts.
    pub revoked_at: Option<Timestamp>,
}

/// What a new API key shall be.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What it is for: 1 to 64 letters, digits, dashes, dots and underscores.
    pub name: String,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// When it stops counting. `None`: it does not expire.
    pub expires_at: Option<Timestamp>,
}

/// The file with the API keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyFileError {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It has something else.
    #[error("{}: the file has no API keys: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A name is not possible.
    #[error("{0:?} is no name for an API key: use 1 to 64 letters, digits, dashes, dots and underscores")]
    Name(String),
    /// Another key that counts has the name.
    #[error("there is an API key {0:?} already: revoke it, or choose another name")]
    NameTaken(String),
    /// There is no such key.
    #[error("there is no API key with the id or the name {0:?} that counts")]
    Unknown(String),
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl ApiKeyFile {
    /// Reads the file. A file that does not exist has no keys.
    ///
    /// # Errors
    /// It cannot be read, or has something else.
    pub fn read(path: &Path) -> Result<Self, ApiKeyFileError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { format: FORMAT, keys: Vec::new() });
            }
            Err(source) => return Err(ApiKeyFileError::Io { path: path.to_owned(), source }),
        };
        let wrong = |problem| ApiKeyFileError::Content { path: path.to_owned(), problem };
        let file: Self = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if file.format != FORMAT {
            return Err(wrong(format!("its format is {}, this program knows {FORMAT}", file.format)));
        }
        Ok(file)
    }

    /// All keys, in the order in which they were made.
    #[must_use]
    pub fn keys(&self) -> &[ApiKey] {
        &self.keys
    }

    /// Makes a key, and writes its hash into the file. Returns the key, which is kept nowhere, and what the file has of it.
    ///
    /// # Errors
    /// The name is not possible, or the file cannot be written.
    pub fn create(path: &Path, new: NewApiKey, now: Timestamp) -> Result<(String, ApiKey), ApiKeyFileError> {
        let is_possible = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if !(1..=NAME_CHARS_MAX).contains(&new.name.len()) || !new.name.bytes().all(is_possible) {
            return Err(ApiKeyFileError::Name(new.name));
        }
        let id: String = random::<ID_BYTES>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?);
        let key = ApiKey {
            id,
            name: new.name,
            hash: blake3::hash(secret.as_bytes()),
            grants: new.grants,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        Self::change(path, |file| {
            if file.keys.iter().any(|other| other.name == key.name && other.revoked_at.is_none()) {
                return Err(ApiKeyFileError::NameTaken(key.name.clone()));
            }
            file.keys.push(key.clone());
            Ok(())
        })?;
        Ok((format!("{PREFIX}{}_{secret}", key.id), key))
    }

    /// Revokes the key with this id, or the one with this name that counts.
    ///
    /// # Errors
    /// There is no such key, or the file cannot be written.
    pub fn revoke(path: &Path, id_or_name: &str, now: Timestamp) -> Result<ApiKey, ApiKeyFileError> {
        Self::change(path, |file| {
            let mut valid = file.keys.iter_mut().filter(|key| key.revoked_at.is_none());
            let key = valid.find(|key| key.id == id_or_name || key.name == id_or_name);
            let key = key.ok_or_else(|| ApiKeyFileError::Unknown(id_or_name.to_owned()))?;
            key.revoked_at = Some(now);
            Ok(key.clone())
        })
    }

    /// Changes the file. Another process that changes it waits, and a reader finds the old content or the new one.
    fn change<T>(
        path: &Path,
        change: impl FnOnce(&mut Self) -> Result<T, ApiKeyFileError>,
    ) -> Result<T, ApiKeyFileError> {
        let io = |source| ApiKeyFileError::Io { path: path.to_owned(), source };
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let lock = File::create(beside(".lock")).map_err(io)?;
        lock.lock().map_err(io)?;
        let mut file = Self::read(path)?;
        let changed = change(&mut file)?;
        let mut text = serde_json::to_vec_pretty(&file).map_err(|error| io(error.into()))?;
        text.push(b'\n');
        let next = beside(".next");
        let mut written = File::create(&next).map_err(io)?;
        written.write_all(&text).and_then(|()| written.sync_all()).map_err(io)?;
        fs::rename(&next, path).map_err(io)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        Ok(changed)
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], ApiKeyFileError> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| ApiKeyFileError::Random)?;
    Ok(bytes)
}

fn write_hash<S: Serializer>(hash: &blake3::Hash, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&hash.to_hex())
}

fn read_hash<'de, D: Deserializer<'de>>(from: D) -> Result<blake3::Hash, D::Error> {
    let text = String::deserialize(from)?;
    blake3::Hash::from_hex(text).map_err(|_| de::Error::custom("a hash has 64 hexadecimal digits"))
}

fn write_grants<S: Serializer>(grants: &[Grant], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(grants.iter().map(Grant::to_string))
}

fn read_grants<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Grant>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str) -> NewApiKey {
        NewApiKey { name: name.to_owned(), grants: vec!["commands.*".parse().unwrap()], expires_at: None }
    }

    #[test]
    fn the_file_has_a_key_but_not_its_secret() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keys.json");
        let (key, made) = ApiKeyFile::create(&path, new("ci"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(ApiKeyFile::read(&path).unwrap().keys(), std::slice::from_ref(&made));
        let (id, secret) = super::super::parts(&key).unwrap();
        assert_eq!(id, made.id);
        assert!(!fs::read_to_string(&path).unwrap().contains(secret));
        // Whatever else the folder has, such as the lock.
        for entry in fs::read_dir(place.path()).unwrap() {
            assert!(!fs::read_to_string(entry.unwrap().path()).unwrap().contains(secret));
        }
    }

    #[test]
    fn names_of_keys_that_count_are_unique_and_possible() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keys.json");
        let create = |name: &str| ApiKeyFile::create(&path, new(name), Timestamp::UNIX_EPOCH).map(|(_, key)| key);
        let first = create("ci").unwrap();
        assert!(matches!(create("ci"), Err(ApiKeyFileError::NameTaken(_))));
        ApiKeyFile::revoke(&path, "ci", Timestamp::UNIX_EPOCH).unwrap();
        let second = create("ci").unwrap();
        ApiKeyFile::revoke(&path, &second.id, Timestamp::UNIX_EPOCH).unwrap();
        for unknown in ["ci", &first.id, "other"] {
            let refused = ApiKeyFile::revoke(&path, unknown, Timestamp::UNIX_EPOCH);
            assert!(matches!(refused, Err(ApiKeyFileError::Unknown(_))), "{unknown}");
        }
        for name in ["", "a b", "a:b", "ü", &"n".repeat(65)] {
            assert!(matches!(create(name), Err(ApiKeyFileError::Name(_))), "{name}");
        }
    }

    #[test]
    fn keys_that_are_made_at_the_same_time_are_all_kept() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keys.json");
        std::thread::scope(|scope| {
            for number in 0..16 {
                let path = &path;
                scope.spawn(move || {
                    ApiKeyFile::create(path, new(&format!("key-{number}")), Timestamp::UNIX_EPOCH).unwrap();
                });
            }
        });
        assert_eq!(ApiKeyFile::read(&path).unwrap().keys().len(), 16);
    }

    #[test]
    fn a_file_with_something_else_is_refused_and_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("keys.json");
        for content in ["", "{}", r#"{"format":2,"keys":[]}"#, r#"{"format":1,"keys":[{"id":"a"}]}"#] {
            fs::write(&path, content).unwrap();
            let refused = ApiKeyFile::create(&path, new("ci"), Timestamp::UNIX_EPOCH);
            assert!(matches!(refused, Err(ApiKeyFileError::Content { .. })), "{content}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }
}
