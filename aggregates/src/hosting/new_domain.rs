//! Domains as clients write them.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};

use crate::InvalidValue;
use crate::hosting::{Domain, limits};

/// A domain in a command. It may have upper-case letters and letters of all languages, which become the ASCII form by
/// the rules of UTS 46 (without transitional processing): `Bücher.example` is `xn--bcher-kva.example`.
///
/// Events and messages have the ASCII form, a [`Domain`]. So a later version of Unicode changes no stored domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NewDomain(Domain);

impl NewDomain {
    /// Converts the domain to its ASCII form, and checks it.
    ///
    /// # Errors
    /// If it is not a domain name.
    pub fn new(domain: &str) -> Result<Self, InvalidValue> {
        let refused = |problem: String| InvalidValue { what: "the domain", problem };
        if domain.len() > limits::NEW_DOMAIN_BYTES {
            return Err(refused(format!("must have at most {} characters in ASCII", limits::DOMAIN_CHARS)));
        }
        // `Domain` checks letters, lengths and hyphens, and says what is wrong. This conversion only says that something
        // is. It checks the hyphens, too: those at the end of `bücher-` are not at the end of its ASCII form.
        let ascii = Uts46::new()
            .to_ascii(domain.as_bytes(), AsciiDenyList::EMPTY, Hyphens::CheckFirstLast, DnsLength::Ignore)
            .map_err(|_| refused("must be an international domain name, such as bücher.example (UTS 46)".to_owned()))?;
        Domain::new(ascii).map(Self)
    }
}

impl From<NewDomain> for Domain {
    fn from(NewDomain(domain): NewDomain) -> Self {
        domain
    }
}

impl From<Domain> for NewDomain {
    fn from(domain: Domain) -> Self {
        Self(domain)
    }
}

impl TryFrom<String> for NewDomain {
    type Error = InvalidValue;

    fn try_from(domain: String) -> Result<Self, InvalidValue> {
        Self::new(&domain)
    }
}

impl From<NewDomain> for String {
    fn from(NewDomain(domain): NewDomain) -> Self {
        domain.into()
    }
}

value_schema! {
    NewDomain, "A domain, such as example.org or bücher.example.", "string",
    { "minLength": 3, "maxLength": limits::NEW_DOMAIN_BYTES, "format": "idn-hostname" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ascii(domain: &str) -> String {
        NewDomain::new(domain).unwrap().into()
    }

    #[test]
    fn a_domain_becomes_lower_case_ascii() {
        for (written, stored) in [
            ("example.org", "example.org"),
            ("WWW.Example.ORG", "www.example.org"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("straße.de", "xn--strae-oqa.de"),
            ("例え。jp", "xn--r8jz45g.jp"),
            ("ｅｘａｍｐｌｅ.org", "example.org"),
        ] {
            assert_eq!(ascii(written), stored, "{written}");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for domain in [
            "",
            "localhost",
            "例え",
            "127.0.0.1",
            "１２７.０.０.１",
            "[::1]",
            "::1",
            "example.org.",
            "ex ample.org",
            "a_b.org",
            "bü_cher.org",
            "-bücher.org",
            "bücher-.org",
            "a\u{200d}b.org",
            "xn--a.org",
            "xn--.org",
            "xn--a-ecp.ru",
            "http://example.org",
            "example.org/path",
            "user@example.org",
            "a\0.org",
            &format!("{}.org", "ü".repeat(63)),
            &format!("{}.org", "a.".repeat(100_000)),
        ] {
            assert!(NewDomain::new(domain).is_err(), "{domain:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let refusal = |domain: &str| NewDomain::new(domain).unwrap_err().to_string();
        assert_eq!(refusal("bücher"), "the domain must have at least two labels, such as example.org");
        assert_eq!(
            refusal("xn--a.org"),
            "the domain must be an international domain name, such as bücher.example (UTS 46)"
        );
        assert_eq!(refusal(&"ü".repeat(300)), "the domain must have at most 128 characters in ASCII");
    }

    proptest! {
        #[test]
        fn the_ascii_form_of_a_domain_is_the_same_domain(domain in "[a-zA-ZüßéЖ語0-9.。-]{1,40}") {
            if let Ok(new) = NewDomain::new(&domain) {
                let stored = Domain::from(new.clone());
                prop_assert_eq!(NewDomain::new(stored.as_str()).unwrap(), new);
            }
        }
    }
}
