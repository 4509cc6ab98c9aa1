//! `[nats]`: events that are published to NATS JetStream.

use serde::{Deserialize, Serialize};

use crate::text;

/// Events that are published to NATS JetStream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// The server, or several of one cluster. Default empty: nothing is published.
    pub url: NatsUrl,
    /// What the subjects of events begin with. Default `dormouse`.
    pub stream_subject: String,
    /// Whether a missing stream is created. Default `false`.
    pub create_stream: bool,
}

/// The URL of NATS servers, separated by commas, or nothing. `Display`, `Debug` and serialization mask passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NatsUrl(String);

impl NatsUrl {
    const EXPECTED: &str = r#""nats://host:4222", "tls://user:password@host:4222", several separated by commas, or """#;

    /// Whether there is a server.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The URLs with their passwords, for connecting. Never log them.
    pub fn expose(&self) -> impl Iterator<Item = &str> {
        self.0.split(',').map(str::trim)
    }

    fn parse(text: &str) -> Option<Self> {
        let is_server = |url: &str| {
            let url = url.trim();
            ["nats://", "tls://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
        };
        (text.is_empty() || text.split(',').all(is_server)).then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let masked: Vec<String> = self.0.split(',').map(crate::secret::mask).collect();
        f.write_str(&masked.join(","))
    }
}

impl std::fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NatsUrl({self})")
    }
}

impl Serialize for NatsUrl {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NatsUrl {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::parsed(from, Self::EXPECTED, Self::parse)
    }
}

impl Nats {
    /// Whether the subjects begin with words that NATS accepts, without wildcards.
    pub(crate) fn has_valid_subject(&self) -> bool {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        self.stream_subject.split('.').all(is_word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_servers_and_masks_passwords() {
        let url = NatsUrl::parse("nats://a:4222, tls://app:hunter2@b").unwrap();
        assert_eq!(url.expose().collect::<Vec<_>>(), ["nats://a:4222", "tls://app:hunter2@b"]);
        assert!(!url.to_string().contains("hunter2") && !format!("{url:?}").contains("hunter2"));
        assert!(NatsUrl::parse("").unwrap().is_empty());
        for text in ["localhost:4222", "http://a", "nats://", "nats://a,,nats://b", " "] {
            assert!(NatsUrl::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_subject_has_words_without_wildcards() {
        let has_valid_subject = |subject: &str| {
            Nats { url: NatsUrl::default(), stream_subject: subject.to_owned(), create_stream: false }
                .has_valid_subject()
        };
        assert!(has_valid_subject("dormouse") && has_valid_subject("shop.events-2"));
        for subject in ["", ".", "a.", "a.*", ">", "a b", "ä"] {
            assert!(!has_valid_subject(subject), "{subject}");
        }
    }
}
