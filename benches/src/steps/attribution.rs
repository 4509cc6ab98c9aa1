//! Assigns the instructions of each function to its own step, or to the steps that it is called for.

use std::collections::HashMap;

use dormouse_guards::Profile;

use super::step::{STEPS, Step};

/// The shares of recursive functions converge in these passes, and no chain of functions without a step is longer.
const ROUNDS: usize = 64;

type Shares = [f64; STEPS];

/// Instructions of one thread, by step.
#[derive(Clone, Debug, Default)]
pub(super) struct Attribution {
    pub(super) instructions: Shares,
    functions: HashMap<(Step, String), f64>,
}

impl Attribution {
    /// A function without a step is shared among its callers' steps, by the instructions of each call.
    pub(super) fn of(profile: &Profile) -> Self {
        let functions: Vec<_> = profile.functions().collect();
        let steps: Vec<Option<Step>> = functions.iter().map(|(function, _)| Step::of(function)).collect();
        let mut callers: Vec<Vec<(usize, f64)>> = vec![Vec::new(); functions.len()];
        for (from, to, calls) in profile.calls() {
            if from != to && steps[to].is_none() {
                callers[to].push((from, calls.instructions as f64));
            }
        }
        let mut shares: Vec<Shares> = vec![[0.0; STEPS]; functions.len()];
        for (number, step) in steps.iter().enumerate() {
            // A function without callers and without a step is the first one of a thread, or was running when counting
            // started.
            if step.is_some() || callers[number].is_empty() {
                shares[number][step.unwrap_or(Step::Runtime) as usize] = 1.0;
            }
        }
        for _ in 0..ROUNDS {
            for number in 0..functions.len() {
                if !callers[number].is_empty() {
                    shares[number] = average(&callers[number], &shares);
                }
            }
        }
        let mut attribution = Self::default();
        for ((function, own), mut shares) in functions.into_iter().zip(shares) {
            // A cycle of functions that is never entered from outside.
            shares[Step::Runtime as usize] += 1.0 - shares.iter().sum::<f64>();
            for step in Step::ALL {
                attribution.count(step, &function.name, shares[step as usize] * own as f64);
            }
        }
        attribution
    }

    /// All of it belongs to one step.
    pub(super) fn to(step: Step, profile: &Profile) -> Self {
        let mut attribution = Self::default();
        for (function, own) in profile.functions() {
            attribution.count(step, &function.name, own as f64);
        }
        attribution
    }

    fn count(&mut self, step: Step, function: &str, instructions: f64) {
        if instructions > 0.0 {
            self.instructions[step as usize] += instructions;
            *self.functions.entry((step, function.to_owned())).or_default() += instructions;
        }
    }

    /// The largest functions of a step.
    pub(super) fn largest(&self, step: Step, count: usize) -> Vec<(&str, f64)> {
        let of_step = self.functions.iter().filter(|((its, _), _)| *its == step);
        let mut functions: Vec<_> = of_step.map(|((_, name), own)| (name.as_str(), *own)).collect();
        functions.sort_by(|one, other| other.1.total_cmp(&one.1));
        functions.truncate(count);
        functions
    }

    pub(super) fn add(&mut self, other: Self) {
        for ((step, name), more) in other.functions {
            self.count(step, &name, more);
        }
    }
}

fn average(callers: &[(usize, f64)], shares: &[Shares]) -> Shares {
    let total: f64 = callers.iter().map(|(_, spent)| spent).sum();
    let mut average = [0.0; STEPS];
    for (caller, spent) in callers {
        for (sum, share) in average.iter_mut().zip(shares[*caller]) {
            *sum += share * spent / total.max(1.0);
        }
    }
    average
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_step_is_shared_among_its_callers() -> anyhow::Result<()> {
        let text = "fn=(1) tokio::run\n1 10\ncfn=(2) dormouse::http::decode::command\ncalls=1 1\n1 400\n\
                    cfn=(3) blake3::hash\ncalls=1 1\n1 200\n\nfn=(2)\n1 100\ncfn=(4) alloc\ncalls=3 1\n1 300\n\n\
                    fn=(3)\n1 100\ncfn=(4)\ncalls=1 1\n1 100\n\nfn=(4)\n1 400\n";
        let attribution = Attribution::of(&Profile::parse(text)?);
        let of = |step: Step| attribution.instructions[step as usize].round();
        assert_eq!((of(Step::Json), of(Step::Chain), of(Step::Runtime)), (400.0, 200.0, 10.0));
        assert_eq!(attribution.instructions.iter().sum::<f64>().round(), 610.0);
        Ok(())
    }
}
