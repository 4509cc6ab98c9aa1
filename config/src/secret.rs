//! Masks passwords in text that is shown: a printed configuration, errors, logs.

const MASK: &str = "***";

/// Replaces passwords within URLs, also if the URL is malformed. In doubt it masks too much.
pub(crate) fn mask(text: &str) -> String {
    mask_parameter(&mask_userinfo(text))
}

/// `scheme://user:password@host` → `scheme://user:***@host`. The last `@` counts: a password that is not
/// percent-encoded may contain others, and `/`, `?` and `#` as well.
fn mask_userinfo(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let Some(end) = text.rfind('@').filter(|end| *end > start) else {
        return text.to_owned();
    };
    match text[start..end].find(':') {
        Some(colon) => format!("{}{MASK}{}", &text[..=start + colon], &text[end..]),
        None => text.to_owned(),
    }
}

/// `?password=…&…` → `?password=***&…`, which PostgreSQL URLs allow.
fn mask_parameter(text: &str) -> String {
    const NAME: &str = "password=";
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.to_ascii_lowercase().find(NAME) {
        let value = at + NAME.len();
        let end = rest[value..].find('&').map_or(rest.len(), |end| value + end);
        masked.push_str(&rest[..value]);
        masked.push_str(MASK);
        rest = &rest[end..];
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn passwords_in_urls_are_masked() {
        assert_eq!(mask("postgres://u:secret@host/db"), "postgres://u:***@host/db");
        assert_eq!(mask("postgres://u:a:b@c/d?e@host/db"), "postgres://u:***@host/db");
        assert_eq!(mask("postgres://host/db?password=secret&x=1"), "postgres://host/db?password=***&x=1");
        assert_eq!(mask("postgres://h/d?Password=a&sslpassword=b"), "postgres://h/d?Password=***&sslpassword=***");
    }

    #[test]
    fn passwords_in_malformed_urls_are_masked() {
        for text in ["postgres:u:secret@host", "u:secret@host", "postgres:/u:secret@host", "\"x://u:secret@h\""] {
            assert!(!mask(text).contains("secret"), "{}", mask(text));
        }
    }

    #[test]
    fn text_without_passwords_is_unchanged() {
        for text in ["127.0.0.1:8080", "sqlite://./data", "postgres://user@host:5432/db", "a@b", ""] {
            assert_eq!(mask(text), text);
        }
    }
}
