//! Origins of web pages, as in `gateway.cors_origins`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{HostName, text};

/// The origin of web pages (RFC 6454), as a browser writes it: scheme, host, and the port unless it is the usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin(String);

impl WebOrigin {
    const EXPECTED: &str =
        r#"an origin as browsers send it, such as "https://shop.example.org", without a final slash"#;

    /// The origin as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let usual_port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        let is_host = host.parse::<HostName>().is_ok_and(|_| !host.starts_with("*.")) && host == host.to_lowercase();
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == port));
        (is_host && is_port && !authority.ends_with(usual_port)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for WebOrigin {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WebOrigin {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::parsed(from, Self::EXPECTED, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_as_browsers_send_it() {
        for text in ["https://shop.example.org", "http://localhost:3000", "https://shop.example.org:8443", "http://app"]
        {
            assert_eq!(WebOrigin::parse(text).as_ref().map(WebOrigin::as_str), Some(text));
        }
        for text in [
            "",
            "*",
            "null",
            "shop.example.org",
            "https://shop.example.org/",
            "https://Shop.example.org",
            "https://shop.example.org:443",
            "http://localhost:80",
            "https://*.example.org",
            "https://shop.example.org:",
            "https://shop.example.org:08443",
            "https://user@shop.example.org",
            "ftp://shop.example.org",
        ] {
            assert_eq!(WebOrigin::parse(text), None, "{text}");
        }
    }
}
