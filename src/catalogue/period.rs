//! Hivelocity's billing periods and the words that billing platforms have for them. Pure.

use super::template::shortened;

/// The periods that a bare-metal order can have.
const KNOWN: [&str; 7] = [
    "hourly",
    "monthly",
    "quarterly",
    "semi-annually",
    "annually",
    "biennial",
    "triennial",
];

/// Where a product's billing period comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// The same for every order.
    Fixed(&'static str),
    /// The event's billing cycle, translated.
    FromCycle,
}

/// A period or a cycle that Hivelocity does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownPeriod {
    /// In the configuration.
    #[error("{0:?} is no billing period; accepted are {list} and billing_cycle", list = KNOWN.join(", "))]
    Setting(String),
    /// The event names none.
    #[error(
        "the event names no billing cycle; set a fixed period for the product, or a recurring cycle in the billing platform"
    )]
    NoCycle,
    /// The event names one that has no counterpart.
    #[error(
        "the billing cycle {0:?} has no counterpart at Hivelocity; set a fixed period for the product, or a recurring cycle in the billing platform"
    )]
    Cycle(String),
}

impl Period {
    /// Reads the setting.
    pub fn from_setting(text: &str) -> Result<Self, UnknownPeriod> {
        let text = text.trim();
        if text == "billing_cycle" {
            return Ok(Self::FromCycle);
        }
        let known = KNOWN.into_iter().find(|known| *known == text);
        known
            .map(Self::Fixed)
            .ok_or_else(|| UnknownPeriod::Setting(shortened(text)))
    }

    /// The period to order with.
    pub fn for_cycle(self, cycle: &str) -> Result<&'static str, UnknownPeriod> {
        match self {
            Self::Fixed(period) => Ok(period),
            Self::FromCycle => translate(cycle),
        }
    }
}

/// The period that a billing platform's word means. Only words that can mean one thing are
/// taken: a wrong guess would be paid for years.
fn translate(cycle: &str) -> Result<&'static str, UnknownPeriod> {
    let separator = |letter: char| letter.is_whitespace() || letter == '_' || letter == '-';
    let word: String = cycle
        .chars()
        .filter(|c| !separator(*c))
        .flat_map(char::to_lowercase)
        .take(40)
        .collect();
    Ok(match word.as_str() {
        "" => return Err(UnknownPeriod::NoCycle),
        "hourly" | "hour" | "1h" => "hourly",
        "monthly" | "month" | "1m" | "1month" => "monthly",
        "quarterly" | "quarter" | "3m" | "3months" => "quarterly",
        "semiannually" | "semiannual" | "halfyearly" | "6m" | "6months" => "semi-annually",
        "annually" | "annual" | "yearly" | "year" | "1y" | "1year" | "12m" | "12months" => {
            "annually"
        }
        "biennially" | "biennial" | "2y" | "2years" | "24m" | "24months" => "biennial",
        "triennially" | "triennial" | "3y" | "3years" | "36m" | "36months" => "triennial",
        _ => return Err(UnknownPeriod::Cycle(shortened(cycle.trim()))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cycle_of_whmcs_has_its_period_or_is_refused_by_name() {
        let cycles = [
            ("Monthly", "monthly"),
            ("Quarterly", "quarterly"),
            ("Semi-Annually", "semi-annually"),
            ("Annually", "annually"),
            ("Biennially", "biennial"),
            ("Triennially", "triennial"),
        ];
        for (cycle, period) in cycles {
            assert_eq!(Period::FromCycle.for_cycle(cycle), Ok(period));
        }
        for cycle in ["One Time", "Free Account", "biannually", "5y", "14 days"] {
            let error = Period::FromCycle.for_cycle(cycle).unwrap_err().to_string();
            assert!(
                error.contains(cycle) && error.contains("fixed period"),
                "{error}"
            );
        }
    }

    #[test]
    fn spaces_case_and_dashes_of_a_cycle_do_not_matter() {
        for cycle in [
            "semi annually",
            "SEMI_ANNUALLY",
            "semiannually",
            " Semi-Annually ",
            "6M",
        ] {
            assert_eq!(
                Period::FromCycle.for_cycle(cycle),
                Ok("semi-annually"),
                "{cycle}"
            );
        }
        for (cycle, period) in [
            ("1M", "monthly"),
            ("3M", "quarterly"),
            ("1Y", "annually"),
            ("yearly", "annually"),
            ("2Y", "biennial"),
            ("3Y", "triennial"),
            ("hourly", "hourly"),
        ] {
            assert_eq!(Period::FromCycle.for_cycle(cycle), Ok(period), "{cycle}");
        }
    }

    #[test]
    fn an_empty_cycle_is_no_month() {
        assert_eq!(
            Period::FromCycle.for_cycle(" - "),
            Err(UnknownPeriod::NoCycle)
        );
    }

    #[test]
    fn a_fixed_period_does_not_ask_the_event() {
        assert_eq!(
            Period::from_setting("annually")
                .unwrap()
                .for_cycle("One Time"),
            Ok("annually")
        );
    }

    #[test]
    fn a_period_that_does_not_exist_is_refused_with_those_that_do() {
        let error = Period::from_setting("weekly").unwrap_err().to_string();
        assert!(error.contains("\"weekly\"") && error.contains("hourly, monthly, quarterly"));
        assert!(error.contains("billing_cycle"), "{error}");
    }
}
