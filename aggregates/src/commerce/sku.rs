//! Stock keeping units: the names of what is sold.

use crate::commerce::limits;

text_value! {
    /// A stock keeping unit: 1 to 64 letters (a to z, A to Z), digits, `-`, `_` and `.`.
    Sku, "sku", check,
    schema: { "minLength": 1, "maxLength": limits::SKU_CHARS, "pattern": "^[A-Za-z0-9._-]+$" }
}

fn check(sku: &str) -> Result<(), String> {
    let characters = sku.chars().count();
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if characters == 0 || characters > limits::SKU_CHARS {
        Err(format!("must have 1 to {} characters, got {characters}", limits::SKU_CHARS))
    } else if let Some(character) = sku.chars().find(|character| !allowed(*character)) {
        Err(format!("must be made of letters, digits, '-', '_' and '.', got {character:?}"))
    } else if sku == "." || sku == ".." {
        Err("must not be a dot segment, which URLs cannot carry".to_owned())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dormouse_kernel::AggregateId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sku_is_letters_digits_and_a_few_signs() {
        for sku in ["a", "SKU-42", "v1.2_b", "0", "...", &"x".repeat(64)] {
            assert!(Sku::new(sku).is_ok(), "{sku:?}");
        }
        for sku in ["", "a b", "a/b", "größe", "a\n", ".", "..", &"x".repeat(65)] {
            assert!(Sku::new(sku).is_err(), "{sku:?}");
        }
    }

    #[test]
    fn a_refusal_says_which_character() {
        let refusal = Sku::new("red shoe").unwrap_err().to_string();
        assert_eq!(refusal, "sku must be made of letters, digits, '-', '_' and '.', got ' '");
        assert_eq!(Sku::new("").unwrap_err().to_string(), "sku must have 1 to 64 characters, got 0");
    }

    proptest! {
        #[test]
        fn every_sku_can_be_an_aggregate_id(sku in "[A-Za-z0-9._-]{1,64}") {
            prop_assert!(Sku::new(&sku).is_err() || AggregateId::new(&sku).is_ok());
        }
    }
}
