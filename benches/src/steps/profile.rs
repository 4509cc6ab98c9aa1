//! What callgrind writes, as far as it matters here: each function's own instructions.
//! The format: <https://valgrind.org/docs/manual/cl-format.html>.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Function {
    /// The file name of the program or library.
    pub(super) object: String,
    pub(super) name: String,
}

pub(super) struct Profile {
    own: HashMap<Function, u64>,
}

impl Profile {
    pub(super) fn functions(&self) -> impl Iterator<Item = (&Function, u64)> {
        self.own.iter().map(|(function, own)| (function, *own))
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let (mut objects, mut names) = (Names::default(), Names::default());
        let mut current = Function { object: String::new(), name: String::new() };
        let mut own: HashMap<Function, u64> = HashMap::new();
        let mut is_call = false;
        for line in text.lines() {
            match line.split_once('=') {
                Some(("ob", name)) => current.object = objects.resolve(name)?,
                Some(("fn", name)) => current.name = names.resolve(name)?,
                // Mentioned here for the first time, perhaps, and by number later.
                Some(("cob", name)) => drop(objects.resolve(name)?),
                Some(("cfn", name)) => drop(names.resolve(name)?),
                Some(("calls", _)) => is_call = true,
                _ if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) => {
                    let instructions = line.split(' ').nth(1).unwrap_or("0").parse::<u64>();
                    let instructions = instructions.context("a line without a number")?;
                    // The line after a call says what was spent in there, which is not the caller's own.
                    if !std::mem::take(&mut is_call) {
                        *own.entry(current.clone()).or_default() += instructions;
                    }
                }
                _ => {}
            }
        }
        ensure!(!own.is_empty(), "callgrind counted nothing");
        Ok(Self { own })
    }
}

/// A name is written once, as `(7) name`, and from then on as `(7)`.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn resolve(&mut self, text: &str) -> Result<String> {
        let (number, name) = text.split_once(')').context("a name without a number")?;
        if !name.is_empty() {
            self.0.insert(number.to_owned(), name.trim().to_owned());
        }
        self.0.get(number).cloned().with_context(|| format!("nothing has the number {number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_is_not_the_callers_own() -> Result<()> {
        let text = "ob=(1) /usr/bin/dormouse\nfn=(1) main\n10 5\ncob=(2) /lib/libc.so.6\ncfn=(2) malloc\n\
                    calls=3 0\n11 600\n+1 2\n\nob=(2)\nfn=(2)\n0 600\n\ntotals: 607\n";
        let profile = Profile::parse(text)?;
        let own = |object: &str, name: &str| {
            let function = Function { object: object.to_owned(), name: name.to_owned() };
            profile.own.get(&function).copied()
        };
        assert_eq!(own("/usr/bin/dormouse", "main"), Some(7));
        assert_eq!(own("/lib/libc.so.6", "malloc"), Some(600));
        Ok(())
    }
}
