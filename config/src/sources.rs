//! The sources of a configuration.

use std::env;
use std::path::PathBuf;

use crate::Error;

/// The prefix of environment variables that are settings. It has two underscores, because Kubernetes sets variables
/// such as `DORMOUSE_PORT` in every pod beside a service called `dormouse`.
pub(crate) const PREFIX: &str = "DORMOUSE__";

/// The sources of a configuration besides the embedded defaults. Keep them to load again when the file changes.
#[derive(Clone, Default)]
pub struct Sources {
    /// An embedded profile, by name.
    pub profile: Option<String>,
    /// A TOML file, which must exist.
    pub file: Option<PathBuf>,
    /// Environment variables. Those that do not begin with `DORMOUSE__` are ignored.
    pub environment: Vec<(String, String)>,
    /// Assignments `section.key=value`. The last one of a key wins.
    pub overrides: Vec<String>,
}

impl Sources {
    /// The sources of this process: the options of its command line, and its current environment.
    ///
    /// # Errors
    /// If a variable that begins with `DORMOUSE__` is not Unicode.
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
