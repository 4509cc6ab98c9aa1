//! Free texts.

use crate::limits;

text_value! {
    /// A free text: 1 to 500 characters, not all of them blank, with line breaks and tabs but no other control
    /// characters.
    Text, "text", check,
    schema: { "minLength": 1, "maxLength": limits::TEXT_CHARS, "pattern": "\\S" }
}

impl Text {
    /// Makes an allowed text of any text, such as the output of a program: what is too long is cut off, control
    /// characters become spaces, and a blank text becomes `(blank)`.
    #[must_use]
    pub fn repaired(text: &str) -> Self {
        let allowed = |character: char| if forbidden(character) { ' ' } else { character };
        let text: String = text.trim().chars().map(allowed).take(limits::TEXT_CHARS).collect();
        Self(if text.trim().is_empty() { "(blank)".into() } else { text.into_boxed_str() })
    }
}

/// PostgreSQL's JSON cannot contain NUL, and terminals obey the other control characters when a log is read.
fn forbidden(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\r' | '\t')
}

fn check(text: &str) -> Result<(), String> {
    let characters = text.chars().count();
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

    #[test]
    fn a_text_from_outside_is_repaired() {
        for (outside, repaired) in [
            ("the disk is full\n", "the disk is full"),
            ("\u{1b}[31mred", " [31mred"),
            ("a\nb", "a\nb"),
            ("", "(blank)"),
            ("\0\u{7}", "(blank)"),
            (&"ü".repeat(501), &"ü".repeat(500)),
        ] {
            let text = Text::repaired(outside);
            assert_eq!(text.as_str(), repaired);
            assert_eq!(Text::new(repaired), Ok(text));
        }
    }
}
