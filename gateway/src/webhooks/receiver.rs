//! The address of a receiver, as an operator gives it.

use std::fmt;
use std::net::IpAddr;

use axum::http::Uri;
use axum::http::uri::Scheme;
use serde::{Deserialize, Serialize};

use super::address::is_public;

/// The most bytes of an address.
const BYTES_MAX: usize = 2048;

/// The address of a receiver: `https://…` or `http://…`, without a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Receiver {
    uri: Uri,
    text: String,
}

/// A text is not the address of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidReceiver(&'static str);

impl Receiver {
    /// The host, without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> &str {
        let host = self.uri.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    pub(super) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    pub(super) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Host and port, as the header `Host` has them.
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    pub(super) fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// Whether the address shows, without a lookup of its name, that it is not on the public internet.
    pub(super) fn is_obviously_private(&self) -> bool {
        match self.host().parse::<IpAddr>() {
            Ok(address) => !is_public(address),
            Err(_) => {
                let host = self.host().trim_end_matches('.').to_ascii_lowercase();
                host == "localhost" || host.ends_with(".localhost")
            }
        }
    }
}

impl TryFrom<String> for Receiver {
    type Error = InvalidReceiver;

    fn try_from(text: String) -> Result<Self, InvalidReceiver> {
        if text.len() > BYTES_MAX {
            return Err(InvalidReceiver("is longer than 2048 bytes"));
        }
        let uri: Uri =
            text.parse().map_err(|_| InvalidReceiver("is not an address such as https://example.org/hook"))?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http || uri.host().is_none_or(str::is_empty) {
            return Err(InvalidReceiver("is not an address such as https://example.org/hook"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(InvalidReceiver("contains a user: receivers check the signature"));
        }
        Ok(Self { uri, text })
    }
}

impl From<Receiver> for String {
    fn from(receiver: Receiver) -> Self {
        receiver.text
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(text: &str) -> Result<Receiver, InvalidReceiver> {
        Receiver::try_from(text.to_owned())
    }

    #[test]
    fn an_address_has_its_parts() {
        let parts = |text: &str| {
            let receiver = receiver(text).unwrap();
            (receiver.host().to_owned(), receiver.port(), receiver.path_and_query().to_owned())
        };
        assert_eq!(parts("https://example.org"), ("example.org".to_owned(), 443, "/".to_owned()));
        assert_eq!(parts("http://example.org:81/a?b=c"), ("example.org".to_owned(), 81, "/a?b=c".to_owned()));
        assert_eq!(parts("http://[::1]/"), ("::1".to_owned(), 80, "/".to_owned()));
        assert_eq!(receiver("http://[::1]:81/").unwrap().authority(), "[::1]:81");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "example.org", "/a", "ftp://example.org/", "https://", "http://a b/", "https://a:b@c/"] {
            assert!(receiver(text).is_err(), "{text}");
        }
        assert!(receiver(&format!("https://a/{}", "x".repeat(2048))).is_err());
    }

    #[test]
    fn some_addresses_are_obviously_private() {
        for text in
            ["http://127.0.0.1/", "https://[::1]/", "http://localhost:1/", "http://a.localhost./", "http://10.0.0.1/"]
        {
            assert!(receiver(text).unwrap().is_obviously_private(), "{text}");
        }
        for text in ["https://example.org/", "http://1.1.1.1/"] {
            assert!(!receiver(text).unwrap().is_obviously_private(), "{text}");
        }
    }
}
