//! What a measurement comes to.

use std::fmt;

/// A rate beside its baseline's.
pub(crate) struct Ratio {
    pub(crate) what: String,
    pub(crate) rate_per_second: f64,
    pub(crate) baseline: &'static str,
    pub(crate) baseline_per_second: f64,
    /// The least that the design accepts.
    pub(crate) floor: Option<f64>,
    /// 99th percentile of the latency, where it was measured.
    pub(crate) p99_milliseconds: Option<f64>,
}

impl Ratio {
    pub(crate) const HEADER: &str = "ratio  floor  what (rate per second, p99) ÷ baseline (rate per second)";

    pub(crate) fn ratio(&self) -> f64 {
        self.rate_per_second / self.baseline_per_second
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({
            "what": self.what, "rate_per_second": self.rate_per_second.round(),
            "baseline": self.baseline, "baseline_per_second": self.baseline_per_second.round(),
            "ratio": self.ratio(), "floor": self.floor, "p99_milliseconds": self.p99_milliseconds,
        })
        .to_string()
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let floor = self.floor.map_or("    -".to_owned(), |floor| format!("{floor:5.2}"));
        let p99 = self.p99_milliseconds.map_or(String::new(), |p99| format!(", p99 {p99:.1} ms"));
        write!(
            formatter,
            "{:5.2}  {floor}  {} ({:.0}{p99}) ÷ {} ({:.0})",
            self.ratio(),
            self.what,
            self.rate_per_second,
            self.baseline,
            self.baseline_per_second
        )
    }
}
