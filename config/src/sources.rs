//! What a configuration is made of, before it is read.

use std::env;
use std::path::PathBuf;

use crate::Error;

/// Environment variables with this prefix are configuration. Two underscores, because Kubernetes gives every pod beside a
/// service called `dormouse` variables such as `DORMOUSE_PORT`.
pub(crate) const PREFIX: &str = "DORMOUSE__";

/// What a configuration is made of besides the embedded defaults. Keep it to load again when the file changes.
#[derive(Clone, Default)]
pub struct Sources {
    /// An embedded profile, by name.
    pub profile: Option<String>,
    /// A TOML file; it must exist.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `DORMOUSE__` are ignored.
    pub environment: Vec<(String, String)>,
    /// `section.key=value` assignments; the last one of a key wins.
    pub overrides: Vec<String>,
}

impl Sources {
    /// The sources of this process: its command line's choices and its environment, as it is now.
    ///
    /// # Errors
    /// A variable beginning with `DORMOUSE__` that is not Unicode.
    pub fn from_process(profile: Option<String>, file: Option<PathBuf>, overrides: Vec<String>) -> Result<Self, Error> {
        let environment = env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.to_string_lossy().into_owned();
                name.starts_with(PREFIX).then_some((name, value))
            })
            .map(|(name, value)| match value.into_string() {
                Ok(value) => Ok((name, value)),
                Err(_) => Err(Error::NotUnicode { name }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { profile, file, environment, overrides })
    }
}
