//! Networks, as in `admin.allow` and `gateway.trusted_proxies`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// The addresses of a network in CIDR notation, `"10.0.0.0/8"` or `"fd00::/8"`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    const EXPECTED: &str = r#"a network such as "10.0.0.0/8" or "fd00::/8", or an address such as "192.0.2.1""#;

    /// Whether an address is in the network. An IPv4 address that is written as an IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether one of the networks has the address.
    #[must_use]
    pub fn any_contains(networks: &[Self], address: IpAddr) -> bool {
        networks.iter().any(|network| network.contains(address))
    }

    fn parse(text: &str) -> Option<Self> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => text.parse().ok()?,
        };
        // Bits of the host may be a typing error: `10.1.2.3/8` would allow more than it seems to.
        let is_mapped = matches!(network, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some());
        (network.addr() == network.network() && !is_mapped).then_some(Self(network))
    }
}

/// A text that is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", Network::EXPECTED)]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        Self::parse(text).ok_or(NotANetwork)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        text::parsed(from, Self::EXPECTED, Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_its_addresses() {
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("fd00::/8", "fd12::1") && !has("fd00::/8", "fe80::1"));
        assert!(has("192.0.2.1", "192.0.2.1") && !has("192.0.2.1", "192.0.2.2"));
        assert!(has("10.0.0.0/8", "::ffff:10.1.2.3"), "a socket for both families names IPv4 clients so");
        assert!(has("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(has("0.0.0.0/0", "203.0.113.9") && !has("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn a_network_reads_back_as_it_is_written() {
        for text in ["10.0.0.0/8", "192.0.2.1", "fd00::/8", "::1", "0.0.0.0/0", "::/0"] {
            assert_eq!(Network::parse(text).map(|network| network.to_string()).as_deref(), Some(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_text_is_refused_or_is_a_network_that_reads_back(text in "[0-9a-f.:/]{0,24}|[0-9]{1,3}(\\.[0-9]{1,3}){3}(/[0-9]{1,2})?") {
            if let Some(network) = Network::parse(&text) {
                proptest::prop_assert_eq!(Network::parse(&network.to_string()), Some(network));
            }
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "10.0.0.0/33", "10.1.2.3/8", "10.0.0/8", "fd00::1/8", "example.org", "*", "::ffff:10.0.0.0/104"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
