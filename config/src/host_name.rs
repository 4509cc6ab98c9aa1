//! Host names, as in `gateway.hosts`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name in the DNS, as text.
const NAME_CHARS: usize = 253;

/// A host name without a port, in lower case: `shop.example.org`, or `*.example.org` for all names that end so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// A text that is not a host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a host name without a port, such as \"shop.example.org\" or \"*.example.org\"")]
pub struct NotAHostName;

impl HostName {
    /// Whether this is the name `host`, or a pattern that matches it. Case does not matter.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            None => self.0.eq_ignore_ascii_case(host),
            Some(end) => {
                // Bytes, because `host` may be any text, and `end` may begin within one of its characters.
                let start = host.len().checked_sub(end.len()).filter(|start| *start > 0);
                start.is_some_and(|start| host.as_bytes()[start..].eq_ignore_ascii_case(end.as_bytes()))
            }
        }
    }
}

impl FromStr for HostName {
    type Err = NotAHostName;

    fn from_str(text: &str) -> Result<Self, NotAHostName> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
        };
        if text.len() > NAME_CHARS || !name.split('.').all(is_label) {
            return Err(NotAHostName);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl TryFrom<String> for HostName {
    type Error = NotAHostName;

    fn try_from(text: String) -> Result<Self, NotAHostName> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, host: &str) -> bool {
        pattern.parse::<HostName>().unwrap().covers(host)
    }

    #[test]
    fn a_name_covers_itself_in_any_case() {
        assert!(covers("Shop.example.org", "shop.EXAMPLE.org"));
        assert!(!covers("shop.example.org", "example.org"));
        assert!(!covers("shop.example.org", "shop.example.org.evil.net"));
    }

    #[test]
    fn a_pattern_covers_names_below_it_only() {
        assert!(covers("*.example.org", "shop.example.org") && covers("*.example.org", "a.b.Example.org"));
        assert!(!covers("*.example.org", "example.org"));
        assert!(!covers("*.example.org", ".example.org"));
        assert!(!covers("*.example.org", "evilexample.org"));
        assert!(!covers("*.example.org", "é"));
    }

    #[test]
    fn a_text_that_is_no_host_name_is_refused() {
        for text in
            ["", "*", "*.", "a..b", "shop:8080", "http://shop", "a b", "-a", "a.*.org", "[::1]", &"a".repeat(254)]
        {
            assert_eq!(text.parse::<HostName>(), Err(NotAHostName), "{text}");
        }
    }
}
