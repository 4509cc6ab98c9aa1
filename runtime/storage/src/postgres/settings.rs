//! Whether a session has the settings that it was told when it was opened.
//!
//! They go along with the startup message. A pooler between us and the server may drop them without a word, and then commits
//! would not be durable, statements would run without a limit, and tables would be made in another schema.

use sqlx::{PgConnection, Row};

use super::failure::Failure;

const IN_FORCE: &str = "SELECT name, setting FROM pg_settings WHERE name = ANY($1)";

/// Reads the settings back.
///
/// # Errors
/// If one of them is not in force: what it is, what it must be, and what to do.
pub(super) async fn check(connection: &mut PgConnection, told: &[(&'static str, String)]) -> Result<(), Failure> {
    let names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
    let rows = sqlx::query(IN_FORCE).bind(names).persistent(false).fetch_all(connection).await?;
    let mut in_force = Vec::with_capacity(rows.len());
    for row in &rows {
        in_force.push((row.try_get::<String, _>("name")?, row.try_get::<String, _>("setting")?));
    }
    match first_lost(told, &in_force) {
        None => Ok(()),
        Some((name, wanted, found)) => Err(Failure::Refused(format!(
            "a session has {name} = {found:?} although it was opened with {name} = {wanted:?}: something between here and \
             PostgreSQL drops the `options` of connections, such as PgBouncer with ignore_startup_parameters = options; \
             connect to PostgreSQL directly, or through a pooler that passes them on"
        ))),
    }
}

/// The first setting that is not in force: its name, what was told, and what it is.
fn first_lost<'t>(
    told: &'t [(&'static str, String)],
    in_force: &[(String, String)],
) -> Option<(&'static str, &'t str, String)> {
    // Of a setting that was told twice, the last counts.
    let last = |name: &str| told.iter().rfind(|(other, _)| *other == name).map(|(_, value)| value.as_str());
    told.iter().find_map(|(name, _)| {
        let wanted = last(name)?;
        let found = in_force.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value);
        (found != wanted).then(|| (*name, wanted, found.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Vec<(&'static str, String)> {
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
    fn what_was_told_last_must_be_in_force() {
        assert_eq!(first_lost(&told(), &in_force("off")), None);
        assert_eq!(first_lost(&told(), &in_force("on")), Some(("synchronous_commit", "off", "on".to_owned())));
    }

    #[test]
    fn a_setting_that_the_server_does_not_know_is_lost() {
        assert_eq!(first_lost(&told(), &[]), Some(("jit", "off", String::new())));
    }
}
