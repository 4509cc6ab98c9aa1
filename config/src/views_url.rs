//! The URL of the views.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{JournalUrl, text};

/// Where the views are, parsed from `views.url`.
///
/// `Display`, `Debug` and serialization mask the password, as for a [`JournalUrl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewsUrl {
    /// `journal`: beside the journal, in the same directory or database, or in memory.
    Journal,
    /// A place of their own, in the form of a journal URL.
    Own(JournalUrl),
}

/// A text is no URL of views. The error does not repeat the text, which may contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", ViewsUrl::EXPECTED)]
pub struct InvalidViewsUrl;

impl ViewsUrl {
    const EXPECTED: &str = r#""journal", "sqlite://DIRECTORY" (without parameters), "postgres://user:password@host/database" or "memory:""#;

    /// The directory or database of the views, if the URL of the journal is `journal`.
    #[must_use]
    pub fn place<'u>(&'u self, journal: &'u JournalUrl) -> &'u JournalUrl {
        match self {
            Self::Journal => journal,
            Self::Own(url) => url,
        }
    }
}

impl FromStr for ViewsUrl {
    type Err = InvalidViewsUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "journal" => Ok(Self::Journal),
            own => own.parse().map(Self::Own).map_err(|_| InvalidViewsUrl),
        }
    }
}

impl fmt::Display for ViewsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal => f.write_str("journal"),
            Self::Own(url) => url.fmt(f),
        }
    }
}

impl Serialize for ViewsUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ViewsUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::parsed(from, Self::EXPECTED, |text| text.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_parses_and_is_displayed_as_it_was() {
        for text in ["journal", "sqlite://./views", "memory:", "postgres://u@h/d"] {
            assert_eq!(text.parse::<ViewsUrl>().unwrap().to_string(), text);
        }
        for text in ["", "views", "sqlite://", "mysql://u:hunter2@h", "Journal"] {
            let error = text.parse::<ViewsUrl>().unwrap_err().to_string();
            assert!(error.starts_with("expected \"journal\", \"sqlite://") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn views_are_beside_the_journal_unless_they_have_a_place_of_their_own() {
        let journal: JournalUrl = "sqlite://./data".parse().unwrap();
        assert_eq!(ViewsUrl::Journal.place(&journal), &journal);
        assert_eq!(ViewsUrl::Own(JournalUrl::Memory).place(&journal), &JournalUrl::Memory);
    }

    #[test]
    fn a_password_is_masked() {
        let url: ViewsUrl = "postgres://app:hunter2@db/x".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://app:***@db/x");
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
