//! E-mail addresses.

use crate::limits;

text_value! {
    /// An e-mail address, at most 254 bytes. The check finds typing errors: there must be one `@`, something before it,
    /// and after it a domain of at least two parts. Only a message can show whether the address exists.
    Email, "the e-mail address", check,
    schema: { "format": "email", "minLength": 3, "maxLength": limits::EMAIL_BYTES }
}

fn check(address: &str) -> Result<(), String> {
    if address.len() > limits::EMAIL_BYTES {
        return Err(format!("must have at most {} bytes, got {}", limits::EMAIL_BYTES, address.len()));
    }
    // A quoted name may contain an `@` (RFC 5321, 4.1.2). Such addresses are not in use, and few mail servers accept
    // them.
    let Some((name, domain)) = address.split_once('@').filter(|(_, domain)| !domain.contains('@')) else {
        return Err("must have one '@'".to_owned());
    };
    let reserved =
        |character: char| character.is_whitespace() || character.is_control() || "\"(),:;<>[\\]".contains(character);
    if name.is_empty() || name.len() > limits::EMAIL_LOCAL_BYTES {
        Err(format!("must have 1 to {} bytes before the '@'", limits::EMAIL_LOCAL_BYTES))
    } else if let Some(character) = name.chars().find(|character| reserved(*character)) {
        Err(format!("must not have {character:?} before the '@'"))
    } else if !domain.contains('.') || !domain.split('.').all(is_label) {
        Err("must have a domain after the '@', such as example.org".to_owned())
    } else {
        Ok(())
    }
}

/// Letters of all languages: a domain may use any of them (RFC 5890).
fn is_label(label: &str) -> bool {
    let inside = |character: char| character.is_alphanumeric() || character == '-';
    !label.is_empty() && label.chars().all(inside) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_common_use_are_accepted() {
        for address in [
            "ada@example.org",
            "o'brien+orders@mail.example.co.uk",
            "a@b.c",
            "日本@例え.jp",
            "first..last@example.org",
            &format!("{}@example.org", "a".repeat(64)),
        ] {
            assert!(Email::new(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn texts_that_are_not_addresses_are_refused() {
        for address in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@localhost",
            "ada@example.",
            "ada@.org",
            "ada@-example.org",
            "ada@exa mple.org",
            "ada lovelace@example.org",
            "Ada <ada@example.org>",
            "ada@b@example.org",
            "ada@example.org\n",
            &format!("{}@example.org", "a".repeat(65)),
            &format!("a@{}.org", "b".repeat(250)),
        ] {
            assert!(Email::new(address).is_err(), "{address:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        assert_eq!(Email::new("ada").unwrap_err().to_string(), "the e-mail address must have one '@'");
    }
}
