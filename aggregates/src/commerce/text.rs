//! Free texts.

use crate::commerce::limits;

text_value! {
    /// A free text: 1 to 500 characters, not all of them blank, with line breaks and tabs but no other control
    /// characters.
    Text, "text", check,
    schema: { "minLength": 1, "maxLength": limits::TEXT_CHARS, "pattern": "\\S" }
}

fn check(text: &str) -> Result<(), String> {
    let characters = text.chars().count();
    // PostgreSQL's JSON cannot contain NUL, and terminals obey the other control characters when a log is read.
    let forbidden = |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
    if characters > limits::TEXT_CHARS {
        Err(format!("must have 1 to {} characters, got {characters}", limits::TEXT_CHARS))
    } else if text.trim().is_empty() {
        Err("must not be blank".to_owned())
    } else if let Some(character) = text.chars().find(|character| forbidden(*character)) {
        Err(format!("must not contain control characters, got {character:?}"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_neither_blank_nor_too_long() {
        for text in ["a", " a ", "Ærøskøbing\nDenmark", &"ü".repeat(500)] {
            assert_eq!(Text::new(text).unwrap().as_str(), text);
        }
        for text in ["", " \t\n", "a\0", "\u{1b}[2J", &"a".repeat(501)] {
            assert!(Text::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        assert_eq!(Text::new("").unwrap_err().to_string(), "text must not be blank");
        let refusal = Text::new("a".repeat(501)).unwrap_err();
        assert_eq!(refusal.to_string(), "text must have 1 to 500 characters, got 501");
        assert_eq!(Text::new("a\0").unwrap_err().to_string(), "text must not contain control characters, got '\\0'");
    }
}
