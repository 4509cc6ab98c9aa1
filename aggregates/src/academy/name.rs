//! Names of users, and titles.

use super::limits::NAME_CHARS;

text_value! {
    /// The name of a user, or a title: 1 to 200 characters, not all of them blank, and no control characters.
    Name, "the name", check,
    schema: { "minLength": 1, "maxLength": NAME_CHARS, "pattern": "\\S" }
}

fn check(name: &str) -> Result<(), String> {
    let characters = name.chars().count();
    if characters > NAME_CHARS {
        Err(format!("must have 1 to {NAME_CHARS} characters, got {characters}"))
    } else if name.trim().is_empty() {
        Err("must not be blank".to_owned())
    } else if let Some(character) = name.chars().find(|character| character.is_control()) {
        Err(format!("must not contain control characters, got {character:?}"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_that_is_not_blank() {
        for name in ["Ada", "Rust for beginners", "日本", &"ü".repeat(200)] {
            assert_eq!(Name::new(name).unwrap().as_str(), name);
        }
        for name in ["", " ", "a\nb", "a\0", &"a".repeat(201)] {
            assert!(Name::new(name).is_err(), "{name:?}");
        }
        assert_eq!(Name::new(" ").unwrap_err().to_string(), "the name must not be blank");
    }
}
