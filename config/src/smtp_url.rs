//! The URL of a mail server.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::mask;
use crate::text;

/// The URL of a mail server, or none. `Debug` and serialization mask the password; [`SmtpUrl::get`] gives the real one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SmtpUrl(Option<String>);

impl SmtpUrl {
    /// The URL with its password. `None`: there is no mail server.
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// A text that is no URL of a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct InvalidSmtpUrl;

const EXPECTED: &str = r#""smtp://user:password@host:587?tls=required", "smtps://user:password@host" or """#;

impl FromStr for SmtpUrl {
    type Err = InvalidSmtpUrl;

    fn from_str(url: &str) -> Result<Self, InvalidSmtpUrl> {
        let is_known = ["smtp://", "smtps://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        match url {
            "" => Ok(Self(None)),
            url if is_known => Ok(Self(Some(url.to_owned()))),
            _ => Err(InvalidSmtpUrl),
        }
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&mask(self.get().unwrap_or_default()))
    }
}

impl Serialize for SmtpUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&mask(self.get().unwrap_or_default()))
    }
}

impl<'de> Deserialize<'de> for SmtpUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::parsed(from, EXPECTED, |url| url.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let url = "smtps://ada:secret@mail.example.org".parse::<SmtpUrl>().unwrap();
        assert_eq!(format!("{url:?}"), "smtps://ada:***@mail.example.org");
        assert_eq!(url.get(), Some("smtps://ada:secret@mail.example.org"));
    }

    #[test]
    fn only_mail_servers_are_accepted() {
        assert_eq!("".parse::<SmtpUrl>().unwrap().get(), None);
        for url in ["smtp://", "http://mail.example.org", "mail.example.org"] {
            assert!(url.parse::<SmtpUrl>().is_err(), "{url}");
        }
    }
}
