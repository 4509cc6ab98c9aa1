//! The commands of one aggregate type, by the path segments that name them.

use std::collections::BTreeMap;

use dormouse_kernel::{Aggregate, kebab_case, variant_names};

use super::problem::{self, Problem};
use super::schema::VariantSchemas;

/// The address `/v1/{type}/{id}/{segment}` belongs to something else.
pub(crate) const RESERVED_SEGMENTS: [&str; 1] = ["events"];

/// One command of a type.
#[derive(Clone, Debug)]
pub(super) struct Command {
    /// Its name in serde: `CreateOrder`.
    pub(super) variant: &'static str,
    /// Its fields have no names, so its body is an array.
    pub(super) is_array: bool,
}

/// All commands of a type.
#[derive(Debug)]
pub(super) struct Commands(BTreeMap<String, Command>);

impl Commands {
    pub(super) fn of<A: Aggregate>(schemas: &VariantSchemas) -> Self {
        // An engine does not start with commands that are no enum.
        let variants = variant_names::<A::Command>().unwrap_or_default();
        let command = |variant| Command { variant, is_array: schemas.is_array(variant) };
        let commands = variants.iter().map(|variant| (kebab_case(variant), command(variant)));
        Self(commands.collect())
    }

    /// By the segment that names it in addresses.
    pub(super) fn find(&self, aggregate: &str, segment: &str) -> Result<&Command, Problem> {
        self.0.get(segment).ok_or_else(|| {
            let known = self.0.keys().map(String::as_str);
            unknown(&problem::UNKNOWN_COMMAND, &format!("{aggregate} has no command {segment:?}"), segment, known)
        })
    }
}

/// A name that is none of the known ones, and the one that was probably meant.
pub(super) fn unknown<'k>(
    kind: &'static problem::Kind,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'k str>,
) -> Problem {
    let mut known: Vec<_> = known.collect();
    known.sort_unstable();
    // Names are short; whoever sends a long one gets no help with it.
    let name: String = name.chars().take(128).collect();
    let nearest = known
        .iter()
        .copied()
        .max_by(|one, other| strsim::jaro_winkler(one, &name).total_cmp(&strsim::jaro_winkler(other, &name)));
    match nearest {
        Some(nearest) => {
            let detail = format!("{what}; did you mean {nearest:?}? known: {}", known.join(", "));
            Problem::new(kind, detail).with("nearest", nearest)
        }
        None => Problem::new(kind, format!("{what}; there are none")),
    }
}
