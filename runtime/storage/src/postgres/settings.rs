//! Checks that a session has the settings that it was opened with.
//!
//! The settings are sent with the startup message. A pooler between us and the server may drop them silently. Then
//! commits would not be durable, statements would run without a limit, and tables would be created in another schema.

use sqlx::{PgConnection, Row};

use super::failure::Failure;

const IN_FORCE: &str = "SELECT name, setting FROM pg_settings WHERE name = ANY($1)";

/// Reads the settings back.
///
/// # Errors
/// If a setting is not in force. The error names its value, the wanted value, and what to do.
pub(super) async fn check(connection: &mut PgConnection, wanted: &[(&'static str, String)]) -> Result<(), Failure> {
    let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
    let rows = sqlx::query(IN_FORCE).bind(names).persistent(false).fetch_all(connection).await?;
    let mut in_force = Vec::with_capacity(rows.len());
    for row in &rows {
        in_force.push((row.try_get::<String, _>("name")?, row.try_get::<String, _>("setting")?));
    }
    match first_lost(wanted, &in_force) {
        None => Ok(()),
        Some((name, wanted, found)) => Err(Failure::Refused(format!(
            "a session has {name} = {found:?} although it was opened with {name} = {wanted:?}: something between here and \
             PostgreSQL drops the `options` of connections, such as PgBouncer with ignore_startup_parameters = options; \
             connect to PostgreSQL directly, or through a pooler that passes them on"
        ))),
    }
}

/// The first setting that is not in force: its name, the wanted value, and the value found.
fn first_lost<'t>(
    settings: &'t [(&'static str, String)],
    in_force: &[(String, String)],
) -> Option<(&'static str, &'t str, String)> {
    // Of a setting that was sent twice, the last value counts.
    let last = |name: &str| settings.iter().rfind(|(other, _)| *other == name).map(|(_, value)| value.as_str());
    settings.iter().find_map(|(name, _)| {
        let wanted = last(name)?;
        let found = in_force.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value);
        (found != wanted).then(|| (*name, wanted, found.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Vec<(&'static str, String)> {
        [("jit", "off"), ("synchronous_commit", "on"), ("synchronous_commit", "off")]
            .map(|(name, value)| (name, value.to_owned()))
            .to_vec()
    }

    fn in_force(synchronous_commit: &str) -> Vec<(String, String)> {
        [("jit", "off"), ("synchronous_commit", synchronous_commit)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    #[test]
    fn the_value_that_was_sent_last_must_be_in_force() {
        assert_eq!(first_lost(&sent(), &in_force("off")), None);
        assert_eq!(first_lost(&sent(), &in_force("on")), Some(("synchronous_commit", "off", "on".to_owned())));
    }

    #[test]
    fn a_setting_that_the_server_does_not_know_is_lost() {
        assert_eq!(first_lost(&sent(), &[]), Some(("jit", "off", String::new())));
    }
}
