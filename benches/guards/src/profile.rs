//! The part of callgrind's output that is needed: each function's own instructions, and the instructions of its calls.
//! The format: <https://valgrind.org/docs/manual/cl-format.html>.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};

/// A function of the program or of a library.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// The file name of the program or library.
    pub object: String,
    /// With its path, without its type parameters.
    pub name: String,
}

/// Calls of one function by another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// The number of calls.
    pub count: u64,
    /// The instructions in the called function and everything that it calls.
    pub instructions: u64,
}

/// The profile of one thread, or of all threads.
#[derive(Debug, Default)]
pub struct Profile {
    functions: Vec<Function>,
    numbers: HashMap<Function, usize>,
    own: HashMap<usize, u64>,
    calls: HashMap<(usize, usize), Calls>,
}

impl Profile {
    /// If the text is not callgrind's output.
    pub fn parse(text: &str) -> Result<Self> {
        let mut profile = Self::default();
        let (mut objects, mut names) = (Names::default(), Names::default());
        let mut caller = Function { object: String::new(), name: String::new() };
        let mut callee = caller.clone();
        let mut count = None;
        for line in text.lines() {
            match line.split_once('=') {
                Some(("ob", name)) => {
                    caller.object = objects.resolve(name)?;
                    callee.object.clone_from(&caller.object);
                }
                Some(("fn", name)) => caller.name = names.resolve_function(name)?,
                Some(("cob", name)) => callee.object = objects.resolve(name)?,
                Some(("cfn", name)) => callee.name = names.resolve_function(name)?,
                Some(("calls", calls)) => {
                    let calls = calls.split(' ').next().unwrap_or_default().parse::<u64>();
                    count = Some(calls.context("calls without a number")?);
                }
                _ if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) => {
                    let instructions = line.split(' ').nth(1).unwrap_or("0").parse::<u64>();
                    let instructions = instructions.context("a line without a number")?;
                    let from = profile.number(&caller);
                    // The line after a call has the instructions of the called function, which are not the caller's
                    // own.
                    if let Some(count) = count.take() {
                        let to = profile.number(&callee);
                        let calls = profile.calls.entry((from, to)).or_default();
                        calls.count += count;
                        calls.instructions += instructions;
                        callee.object.clone_from(&caller.object);
                    } else {
                        *profile.own.entry(from).or_default() += instructions;
                    }
                }
                _ => {}
            }
        }
        Ok(profile)
    }

    fn number(&mut self, function: &Function) -> usize {
        if let Some(number) = self.numbers.get(function) {
            return *number;
        }
        self.functions.push(function.clone());
        self.numbers.insert(function.clone(), self.functions.len() - 1);
        self.functions.len() - 1
    }

    /// All functions with their own instructions. The numbers in [`Profile::calls`] refer to this order.
    pub fn functions(&self) -> impl Iterator<Item = (&Function, u64)> {
        self.functions
            .iter()
            .enumerate()
            .map(|(number, function)| (function, self.own.get(&number).copied().unwrap_or(0)))
    }

    /// The calls from one function to another, by their numbers.
    pub fn calls(&self) -> impl Iterator<Item = (usize, usize, Calls)> {
        self.calls.iter().map(|((from, to), calls)| (*from, *to, *calls))
    }

    /// All instructions.
    pub fn total(&self) -> u64 {
        self.own.values().sum()
    }

    /// The instructions of the functions whose names contain one of these, with everything that they call.
    ///
    /// If a name matches no function: it was renamed, or the compiler inlined it into its caller.
    pub fn inclusive(&self, names: &[&str]) -> Result<u64> {
        for name in names {
            ensure!(
                self.functions.iter().any(|function| function.name.contains(name)),
                "no function is named {name}: it was renamed, or inlined into its caller"
            );
        }
        let is_meant = |number: usize| names.iter().any(|name| self.functions[number].name.contains(name));
        let into = self.calls.iter().filter(|((from, to), _)| is_meant(*to) && !is_meant(*from));
        Ok(into.map(|(_, calls)| calls.instructions).sum())
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

    /// A recursive call is written as a function `name'2`.
    fn resolve_function(&mut self, text: &str) -> Result<String> {
        let name = self.resolve(text)?;
        Ok(match name.rsplit_once('\'') {
            Some((plain, depth)) if depth.bytes().all(|byte| byte.is_ascii_digit()) => plain.to_owned(),
            _ => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ob=(1) /usr/bin/dormouse\nfn=(1) main\n10 5\ncob=(2) /lib/libc.so.6\ncfn=(2) malloc\n\
                        calls=3 0\n11 600\n+1 2\ncfn=(3) main'2\ncalls=1 0\n* 40\n\nfn=(3)\n1 40\n\nob=(2)\nfn=(2)\n\
                        0 600\n\ntotals: 647\n";

    #[test]
    fn what_is_called_is_not_the_callers_own() -> Result<()> {
        let profile = Profile::parse(TEXT)?;
        let own: Vec<_> =
            profile.functions().map(|(function, own)| (&*function.object, &*function.name, own)).collect();
        assert_eq!(own, [("/usr/bin/dormouse", "main", 47), ("/lib/libc.so.6", "malloc", 600)]);
        assert_eq!(profile.total(), 647);
        Ok(())
    }

    #[test]
    fn what_a_function_takes_includes_what_it_calls_once() -> Result<()> {
        let profile = Profile::parse(TEXT)?;
        assert_eq!(profile.inclusive(&["mall"])?, 600);
        assert_eq!(profile.inclusive(&["mall", "main"])?, 0, "only main calls main");
        assert!(profile.inclusive(&["calloc"]).unwrap_err().to_string().contains("calloc"));
        Ok(())
    }
}
