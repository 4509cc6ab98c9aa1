//! The commands of one aggregate type, by the path segments that name them.

use std::collections::BTreeMap;

use dormouse_kernel::{Aggregate, kebab_case, variant_names};

use super::problem::{self, Problem};
use super::schema::VariantSchemas;

/// Segments that no command may have, because `/v1/{type}/{id}/{segment}` is the address of another resource.
pub(crate) const RESERVED_SEGMENTS: [&str; 1] = ["events"];

/// One command of an aggregate type.
#[derive(Clone, Debug)]
pub(super) struct Command {
    /// Its variant name in serde: `CreateOrder`.
    pub(super) variant: &'static str,
    /// Whether its body is an array, because its fields have no names.
    pub(super) is_array: bool,
    /// Whether no client may send it.
    is_internal: bool,
}

/// All commands of an aggregate type.
#[derive(Debug)]
pub(super) struct Commands(BTreeMap<String, Command>);

impl Commands {
    pub(super) fn of<A: Aggregate>(schemas: &VariantSchemas) -> Self {
        // The engine does not start if the command type is not an enum.
        let variants = variant_names::<A::Command>().unwrap_or_default();
        let command = |variant| Command {
            variant,
            is_array: schemas.is_array(variant),
            is_internal: A::INTERNAL_COMMANDS.contains(&variant),
        };
        let commands = variants.iter().map(|variant| (kebab_case(variant), command(variant)));
        Self(commands.collect())
    }

    /// Finds a command that clients may send by its path segment.
    pub(super) fn find(&self, aggregate: &str, segment: &str) -> Result<&Command, Problem> {
        match self.0.get(segment) {
            Some(command) if command.is_internal => Err(Problem::new(
                &problem::INTERNAL_COMMAND,
                format!("no client may send {segment:?} to {aggregate}: only the application itself sends it"),
            )),
            Some(command) => Ok(command),
            None => {
                let of_clients = self.0.iter().filter(|(_, command)| !command.is_internal);
                let known = of_clients.map(|(segment, _)| segment.as_str());
                let what = format!("{aggregate} has no command {segment:?}");
                Err(unknown(&problem::UNKNOWN_COMMAND, &what, segment, known))
            }
        }
    }
}

/// A problem about an unknown name, with the known names and the one that is most similar.
pub(super) fn unknown<'k>(
    problem_type: &'static problem::ProblemType,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'k str>,
) -> Problem {
    let mut known: Vec<_> = known.collect();
    known.sort_unstable();
    // Known names are short, so the comparison of a long name is cut off.
    let name: String = name.chars().take(128).collect();
    let nearest = known
        .iter()
        .copied()
        .max_by(|one, other| strsim::jaro_winkler(one, &name).total_cmp(&strsim::jaro_winkler(other, &name)));
    match nearest {
        Some(nearest) => {
            let detail = format!("{what}; did you mean {nearest:?}? known: {}", known.join(", "));
            Problem::new(problem_type, detail).with("nearest", nearest)
        }
        None => Problem::new(problem_type, format!("{what}; none is defined")),
    }
}
