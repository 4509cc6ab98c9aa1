//! Domains as they are stored.

use crate::hosting::limits;

text_value! {
    /// A domain in its ASCII form, in lower case: `example.org`, `xn--bcher-kva.example`. At least two labels of up to
    /// 63 letters, digits and `-`, with at most 128 characters in all. The last label begins with a letter, so no IP
    /// address is a domain.
    Domain, "the domain", check,
    schema: {
        "minLength": 3,
        "maxLength": limits::DOMAIN_CHARS,
        "pattern": "^[a-z0-9-]+(\\.[a-z0-9-]+)*\\.[a-z][a-z0-9-]*$",
        "examples": ["example.org"],
    }
}

/// Nothing here depends on a version of Unicode: a stored domain stays readable. [`NewDomain`](super::NewDomain) checks
/// what is behind `xn--`.
fn check(domain: &str) -> Result<(), String> {
    let inside = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    if domain.len() > limits::DOMAIN_CHARS {
        return Err(format!("must have at most {} characters in ASCII, got {}", limits::DOMAIN_CHARS, domain.len()));
    }
    if let Some(character) = domain.chars().find(|character| !inside(*character) && *character != '.') {
        return Err(format!("must be made of lower-case letters, digits, '-' and '.', got {character:?}"));
    }
    let Some((_, last)) = domain.rsplit_once('.') else {
        return Err("must have at least two labels, such as example.org".to_owned());
    };
    for label in domain.split('.') {
        if label.is_empty() || label.len() > limits::LABEL_CHARS {
            return Err(format!("must have 1 to {} characters in each label, got {label:?}", limits::LABEL_CHARS));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(format!("must not have a label that begins or ends with '-', got {label:?}"));
        }
    }
    if last.starts_with(|first: char| first.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err(format!("must end with a label that begins with a letter, unlike an IP address, got {last:?}"))
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::AggregateId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_domain_has_two_labels_or_more() {
        let longest = format!("{}.{}.org", "a".repeat(63), "b".repeat(60));
        for domain in
            ["example.org", "a.b", "www.2nd-shop.co.uk", "xn--bcher-kva.example", "r3---sn.example.org", &longest]
        {
            assert!(Domain::new(domain).is_ok(), "{domain}");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused_with_the_reason() {
        let refused = |domain: &str, reason: &str| {
            let refusal = Domain::new(domain).unwrap_err().to_string();
            assert!(refusal.contains(reason), "{domain}: {refusal}");
        };
        for single in ["", "localhost", "org"] {
            refused(single, "must have at least two labels");
        }
        for with in
            ["Example.org", "bücher.example", "a_b.org", "a b.org", "a/b.org", "example.org:80", "[::1]", "*.org"]
        {
            refused(with, "must be made of lower-case letters, digits, '-' and '.'");
        }
        for empty in [".org", "example.", "a..b", "."] {
            refused(empty, "must have 1 to 63 characters in each label");
        }
        refused(&format!("{}.org", "a".repeat(64)), "must have 1 to 63 characters in each label");
        refused("-a.org", "begins or ends with '-'");
        refused("a-.org", "begins or ends with '-'");
        for address in ["127.0.0.1", "10.1", "1.2.3.0x7f"] {
            refused(address, "unlike an IP address");
        }
        let long = format!("{}.{}.org", "a".repeat(63), "b".repeat(61));
        refused(&long, "must have at most 128 characters in ASCII, got 129");
    }

    proptest! {
        #[test]
        fn every_domain_can_be_an_aggregate_id(domain in "[a-z0-9.-]{1,130}") {
            prop_assert!(Domain::new(&domain).is_err() || AggregateId::new(&domain).is_ok());
        }
    }
}
