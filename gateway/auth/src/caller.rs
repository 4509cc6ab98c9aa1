//! Who sends a request.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::permissions::{EVERY, Section};

/// A caller that has proven who it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// Its name: the claim `sub` of its token, with the name of a further issuer before it, or `key:` and the name of its
    /// API key.
    pub subject: String,
    /// What it may do.
    pub rights: Rights,
    /// The issuer of its token. `None`: it has an API key.
    pub issuer: Option<Arc<str>>,
    /// When its token or key stops counting, in seconds since 1970. `None`: the key does not expire.
    pub(crate) expires_at: Option<f64>,
}

impl Caller {
    pub(crate) fn has_expired(&self, now: f64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What a caller may do.
#[derive(Clone, Debug, PartialEq)]
pub enum Rights {
    /// What its roles may: it has a token.
    Roles(Vec<String>),
    /// What was granted to its API key.
    Grants {
        /// The id of the API key.
        key: String,
        /// The grants.
        grants: Vec<Grant>,
    },
}

/// Something that an API key may do: `commands.CreateOrder`, `queries.GetOrder`, `admin.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub(crate) section: Section,
    /// A name as the permissions have it, or `*` for all of the section.
    pub(crate) name: String,
}

impl Grant {
    /// The section of the permission.
    #[must_use]
    pub fn section(&self) -> Section {
        self.section
    }

    /// The name of the permission.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is for everything in its section.
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        self.name == EVERY
    }
}

/// A text is no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no permission: write commands.NAME, queries.NAME or admin.NAME, such as commands.CreateOrder or admin.*"
)]
pub struct InvalidGrant(String);

impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let invalid = || InvalidGrant(text.to_owned());
        let (section, name) = text.split_once('.').ok_or_else(invalid)?;
        let section = Section::ALL.into_iter().find(|known| known.name() == section).ok_or_else(invalid)?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid());
        }
        Ok(Self { section, name: name.to_owned() })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.section.name(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_names_a_section_and_a_permission() {
        for text in ["commands.CreateOrder", "commands.order.CreateOrder", "queries.*", "admin.projections.rebuild"] {
            assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
        }
        for text in ["", "commands", "commands.", "command.CreateOrder", "CreateOrder", "queries.a b", "*"] {
            assert!(text.parse::<Grant>().is_err(), "{text}");
        }
    }
}
