//! The URL of a journal.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::mask;
use crate::text;

/// Where the journal is, parsed from `journal.url`.
///
/// `Display`, `Debug` and serialization mask the password; [`JournalUrl::postgres_url`] gives the real one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalUrl {
    /// `sqlite://DIRECTORY`: a directory, relative to the working directory or absolute (`sqlite:///var/lib/dormouse`).
    Sqlite(PathBuf),
    /// `postgres://…` or `postgresql://…`.
    Postgres(PostgresUrl),
    /// `memory:`, lost at exit.
    Memory,
}

impl JournalUrl {
    /// The PostgreSQL URL with its password, for connecting. Never log it.
    pub fn postgres_url(&self) -> Option<&str> {
        match self {
            Self::Postgres(url) => Some(url.expose()),
            Self::Sqlite(_) | Self::Memory => None,
        }
    }
}

/// A PostgreSQL URL. `Display`, `Debug` and serialization mask the password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// The URL with its password, for connecting. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A text is no journal URL. The error does not repeat the text, which may contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", JournalUrl::EXPECTED)]
pub struct InvalidJournalUrl;

impl JournalUrl {
    const EXPECTED: &str =
        r#""sqlite://DIRECTORY" (without parameters), "postgres://user:password@host/database" or "memory:""#;
}

impl FromStr for JournalUrl {
    type Err = InvalidJournalUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        match text.split_once("://") {
            // URLs of sqlx may end with `?mode=…`, which would become part of the directory's name here.
            Some(("sqlite", directory)) if !directory.is_empty() && !directory.contains('?') => {
                Ok(Self::Sqlite(PathBuf::from(directory)))
            }
            Some(("postgres" | "postgresql", rest)) if !rest.is_empty() => {
                Ok(Self::Postgres(PostgresUrl(text.to_owned())))
            }
            _ => Err(InvalidJournalUrl),
        }
    }
}

impl fmt::Display for JournalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(directory) => write!(f, "sqlite://{}", directory.display()),
            Self::Postgres(url) => url.fmt(f),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

impl Serialize for PostgresUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PostgresUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::parsed(from, r#""postgres://user:password@host/database""#, |text| match text.parse() {
            Ok(JournalUrl::Postgres(url)) => Some(url),
            _ => None,
        })
    }
}

impl Serialize for JournalUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JournalUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::parsed(from, Self::EXPECTED, |text| text.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> JournalUrl {
        text.parse().unwrap()
    }

    #[test]
    fn every_scheme_parses_and_is_displayed_as_it_was() {
        assert_eq!(url("sqlite://./data"), JournalUrl::Sqlite("./data".into()));
        assert_eq!(url("sqlite:///var/lib/dormouse"), JournalUrl::Sqlite("/var/lib/dormouse".into()));
        assert_eq!(url("memory:"), JournalUrl::Memory);
        for text in ["sqlite://./data", "sqlite:///var/x", "memory:", "postgres://u@h/d", "postgresql://h/d"] {
            assert_eq!(url(text).to_string(), text);
        }
    }

    #[test]
    fn a_postgres_password_is_masked_except_in_postgres_url() {
        let url = url("postgresql://app:hunter2@db:5432/dormouse");
        assert_eq!(url.to_string(), "postgresql://app:***@db:5432/dormouse");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert_eq!(toml::Value::try_from(&url).unwrap().as_str(), Some(url.to_string().as_str()));
        assert_eq!(url.postgres_url(), Some("postgresql://app:hunter2@db:5432/dormouse"));
    }

    #[test]
    fn any_other_text_is_refused_without_repeating_it() {
        for text in [
            "",
            "data",
            "sqlite:data",
            "sqlite://",
            "sqlite://x?mode=rwc",
            "memory",
            "postgres://",
            "mysql://u:hunter2@h",
        ] {
            let error = text.parse::<JournalUrl>().unwrap_err().to_string();
            assert!(error.starts_with("expected \"sqlite://"), "{error}");
            assert!(!error.contains("hunter2"));
        }
    }
}
