//! Names of time zones.

use jiff::tz::TimeZone;

use super::limits::TIME_ZONE_CHARS;

text_value! {
    /// The name of a time zone in the IANA database: `Europe/Berlin`, `UTC`.
    TimeZoneName, "the time zone", check,
    schema: { "minLength": 1, "maxLength": TIME_ZONE_CHARS, "pattern": "^[A-Za-z0-9/_+-]+$" }
}

/// The form only. Stored events have names of the database of their day, and must stay readable with every other one.
fn check(name: &str) -> Result<(), String> {
    let characters = name.chars().count();
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '/' | '_' | '+' | '-');
    if characters == 0 || characters > TIME_ZONE_CHARS {
        Err(format!("must have 1 to {TIME_ZONE_CHARS} characters, got {characters}"))
    } else if let Some(character) = name.chars().find(|character| !allowed(*character)) {
        Err(format!("must be a name such as Europe/Berlin, got {character:?}"))
    } else {
        Ok(())
    }
}

impl TimeZoneName {
    /// The rules of the time zone. `None` if the database has none of this name, or writes it otherwise.
    pub(super) fn rules(&self) -> Option<TimeZone> {
        let rules = TimeZone::get(self.as_str()).ok()?;
        // The lookup ignores case. One zone shall have one name.
        (rules.iana_name() == Some(self.as_str()) && !rules.is_unknown()).then_some(rules)
    }
}

/// UTC.
impl Default for TimeZoneName {
    fn default() -> Self {
        Self("UTC".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_rules(name: &str) -> bool {
        TimeZoneName::new(name).unwrap().rules().is_some()
    }

    #[test]
    fn a_time_zone_is_one_of_the_database() {
        for name in ["UTC", "Etc/UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12"] {
            assert!(has_rules(name), "{name}");
        }
        for name in ["Europe/Atlantis", "europe/berlin", "Etc/Unknown", "+02"] {
            assert!(!has_rules(name), "{name}");
        }
        assert!(TimeZoneName::default().rules().is_some());
    }

    #[test]
    fn a_name_that_no_time_zone_can_have_is_refused() {
        for name in ["", "Europe/Berlin\n", "../etc", "Europe Berlin", &"a".repeat(65)] {
            assert!(TimeZoneName::new(name).is_err(), "{name:?}");
        }
        let refusal = TimeZoneName::new("a b").unwrap_err().to_string();
        assert_eq!(refusal, "the time zone must be a name such as Europe/Berlin, got ' '");
    }
}
