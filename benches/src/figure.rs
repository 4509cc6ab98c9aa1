//! The result of a measurement, and the target in the design.

use std::fmt;

/// A measured value, alone or beside a baseline.
pub(crate) struct Figure {
    /// The name for `--only`.
    pub(crate) name: &'static str,
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) unit: Unit,
    /// In the same unit. With a baseline, the target is for the ratio; without one, for the measured value.
    pub(crate) baseline: Option<Baseline>,
    /// `None` if the design has no target.
    pub(crate) target: Option<Target>,
    /// The 99th percentile of the latency, if it was measured.
    pub(crate) p99_milliseconds: Option<f64>,
}

pub(crate) struct Baseline {
    pub(crate) what: &'static str,
    pub(crate) measured: f64,
}

#[derive(Clone, Copy)]
pub(crate) enum Unit {
    PerSecond,
    Bytes,
    Milliseconds,
    /// A part of one processor core.
    OfACore,
}

/// A row of the design (§8). If the aim is below the floor, less is better.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// The lowest accepted value; the highest if less is better.
    pub(crate) floor: f64,
    pub(crate) aim: f64,
}

impl Figure {
    pub(crate) const HEADER: &str =
        "  result     floor       aim                  what (measured) ÷ baseline (measured)";

    /// The value that the target is for.
    fn result(&self) -> f64 {
        self.baseline.as_ref().map_or(self.measured, |baseline| self.measured / baseline.measured)
    }

    fn verdict(&self) -> &'static str {
        match self.target {
            None => "",
            Some(target) if target.aim_is_met(self.result()) => "aim met",
            Some(target) if target.floor_holds(self.result()) => "floor holds",
            Some(_) => "BELOW FLOOR",
        }
    }

    /// The result or one of its targets, in its unit.
    fn show(&self, value: f64) -> String {
        match (&self.baseline, self.unit) {
            (Some(_), _) => format!("{value:.2}"),
            (None, Unit::PerSecond) => format!("{value:.0}/s"),
            (None, Unit::Bytes) => format!("{:.1} KiB", value / 1024.0),
            (None, Unit::Milliseconds) => format!("{value:.1} ms"),
            (None, Unit::OfACore) => format!("{:.2} %", value * 100.0),
        }
    }

    /// With as many digits as make sense in its unit.
    fn rounded(&self, value: f64) -> f64 {
        match self.unit {
            Unit::PerSecond | Unit::Bytes => value.round(),
            Unit::Milliseconds => (value * 1000.0).round() / 1000.0,
            Unit::OfACore => (value * 1e5).round() / 1e5,
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let unit = match self.unit {
            Unit::PerSecond => "per second",
            Unit::Bytes => "bytes",
            Unit::Milliseconds => "milliseconds",
            Unit::OfACore => "of a core",
        };
        serde_json::json!({
            "name": self.name, "what": self.what, "unit": unit, "measured": self.rounded(self.measured),
            "baseline": self.baseline.as_ref().map(|baseline| baseline.what),
            "baseline_measured": self.baseline.as_ref().map(|baseline| self.rounded(baseline.measured)),
            "result": self.result(), "floor": self.target.map(|target| target.floor),
            "aim": self.target.map(|target| target.aim), "verdict": self.verdict(),
            "p99_milliseconds": self.p99_milliseconds,
        })
        .to_string()
    }
}

impl Target {
    fn floor_holds(self, result: f64) -> bool {
        self.at_least(result, self.floor)
    }

    fn aim_is_met(self, result: f64) -> bool {
        self.at_least(result, self.aim)
    }

    fn at_least(self, result: f64, wanted: f64) -> bool {
        if self.aim < self.floor { result <= wanted } else { result >= wanted }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (floor, aim) = match self.target {
            Some(target) => (self.show(target.floor), self.show(target.aim)),
            None => ("-".to_owned(), "-".to_owned()),
        };
        write!(
            formatter,
            "{:>8}  {floor:>8}  {aim:>8}  {:<11}  {}",
            self.show(self.result()),
            self.verdict(),
            self.what
        )?;
        let measured = self.rounded(self.measured).to_string();
        let p99 = self.p99_milliseconds.map_or(String::new(), |p99| format!(", p99 {p99:.1} ms"));
        match &self.baseline {
            Some(baseline) => {
                write!(formatter, " ({measured}{p99}) ÷ {} ({})", baseline.what, self.rounded(baseline.measured))
            }
            None => write!(formatter, " ({measured}{p99})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(measured: f64, baseline: Option<f64>, target: Target) -> &'static str {
        let baseline = baseline.map(|measured| Baseline { what: "", measured });
        let (unit, target, p99_milliseconds) = (Unit::PerSecond, Some(target), None);
        Figure { name: "", what: String::new(), measured, unit, baseline, target, p99_milliseconds }.verdict()
    }

    #[test]
    fn more_is_better_where_the_aim_is_above_the_floor() {
        let target = Target { floor: 0.5, aim: 1.0 };
        assert_eq!(verdict(49.0, Some(100.0), target), "BELOW FLOOR");
        assert_eq!(verdict(50.0, Some(100.0), target), "floor holds");
        assert_eq!(verdict(100.0, Some(100.0), target), "aim met");
    }

    #[test]
    fn less_is_better_where_the_aim_is_below_the_floor() {
        let target = Target { floor: 12.0, aim: 8.0 };
        assert_eq!(verdict(13.0, None, target), "BELOW FLOOR");
        assert_eq!(verdict(12.0, None, target), "floor holds");
        assert_eq!(verdict(8.0, None, target), "aim met");
    }
}
