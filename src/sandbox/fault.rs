//! What goes wrong between a client and a supplier, by chance or by script. Pure: it decides which
//! fault a request meets; the connection lives through it elsewhere.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use serde_json::{Value, json};

use super::wire::Response;

/// One thing that goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens; 500.
    Refuse500,
    /// Nothing happens; 503 with `Retry-After`.
    Unavailable503 {
        /// The value of `Retry-After`.
        retry_after_secs: u64,
    },
    /// Nothing happens; 429 with `Retry-After`.
    RateLimited429 {
        /// The value of `Retry-After`.
        retry_after_secs: u64,
    },
    /// Nothing happens; a maintenance page with status 200.
    HtmlPage200,
    /// Nothing happens; a gateway's page with status 502.
    HtmlPage502,
    /// It happens; then a gateway's page with status 502, as when a proxy loses patience.
    DoneThenHtmlPage502,
    /// It happens; the connection is closed without an answer.
    DoneThenDropped,
    /// It happens; the answer comes only after this long, if the client is still there.
    DoneThenStalled(Duration),
    /// It happens; then 503 with `Retry-After`, as when a proxy gives up on what it has passed on.
    DoneThenUnavailable503 {
        /// The value of `Retry-After`.
        retry_after_secs: u64,
    },
    /// It happens; the answer has its status and no body.
    DoneThenEmptyBody,
    /// It happens; in the answer every id is null.
    DoneThenNullIds,
    /// The connection is closed without an answer, and it happens only after this long, although
    /// nobody listens any more.
    LateEffect(Duration),
    /// Nothing happens; status 200 with a body that says it failed.
    ErrorUnder200 {
        /// The status that the body names.
        code: u16,
    },
    /// Nothing happens; the connection is closed without an answer.
    DroppedBefore,
    /// It happens after this long, and only if the client is still there.
    StalledBefore(Duration),
    /// Nothing happens; 400 with this message.
    Refused400(String),
    /// Nothing happens; 403.
    Forbidden403,
    /// Nothing happens; 401: the key is not valid.
    KeyRefused,
    /// Nothing happens; 403: the request's address is not allowed.
    AddressRefused,
    /// Nothing happens; 403: the account is suspended.
    AccountRefused,
    /// Nothing happens; 402: the account has to pay first.
    PaymentRequired,
    /// Nothing happens; 200 with this body.
    Answered200(String),
    /// Nothing happens; this error number of 1H (say 36, "failed to activate").
    OneHError(u16),
}

impl Fault {
    /// The answer that comes in the place of the real one; `None` where none comes, and where it is
    /// made of the real one.
    pub(super) fn answer(&self) -> Option<Response> {
        Some(match self {
            Self::Refuse500 => Response::refusal(500, "Internal error."),
            Self::Unavailable503 { retry_after_secs }
            | Self::DoneThenUnavailable503 { retry_after_secs } => {
                Response::refusal(503, "Down for a moment.").retry_after(*retry_after_secs)
            }
            Self::RateLimited429 { retry_after_secs } => {
                Response::refusal(429, "Too many requests.").retry_after(*retry_after_secs)
            }
            Self::HtmlPage200 => Response::page(200, "Maintenance"),
            Self::HtmlPage502 | Self::DoneThenHtmlPage502 => Response::page(502, "Bad Gateway"),
            Self::Refused400(message) => Response::refusal(400, message),
            Self::Forbidden403 => Response::refusal(403, "This key lacks the permission."),
            Self::Answered200(body) => Response::of(200, "application/json", body.clone()),
            Self::KeyRefused => Response::refusal(401, "The API key is not valid."),
            Self::AddressRefused => {
                Response::refusal(403, "Access from your IP address is not allowed.")
            }
            Self::AccountRefused => Response::refusal(403, "Your account is suspended."),
            Self::PaymentRequired => {
                Response::refusal(402, "Payment required: there are open invoices.")
            }
            Self::OneHError(number) => super::one_h::failure(*number, "Some internal error"),
            Self::ErrorUnder200 { code } => {
                let body = json!({"code": code, "message": "This could not be done."});
                Response::json(200, &body)
            }
            Self::DoneThenDropped
            | Self::DoneThenStalled(_)
            | Self::DoneThenEmptyBody
            | Self::DoneThenNullIds
            | Self::LateEffect(_)
            | Self::DroppedBefore
            | Self::StalledBefore(_) => return None,
        })
    }

    /// What comes in the place of the answer to a request that took effect at once.
    pub(super) fn instead_of(&self, mut real: Response) -> Option<Response> {
        let succeeded = (200..300).contains(&real.status);
        let without_body = *self == Self::DoneThenEmptyBody;
        if !without_body && *self != Self::DoneThenNullIds {
            return self.answer();
        }
        if succeeded && without_body {
            real.body.clear();
        } else if succeeded {
            real.body = without_ids(&real.body);
        }
        Some(real)
    }

    /// Whether the request takes effect at once although its answer is lost or another.
    pub(super) fn takes_effect_unheard(&self) -> bool {
        matches!(
            self,
            Self::DoneThenHtmlPage502
                | Self::DoneThenUnavailable503 { .. }
                | Self::DoneThenEmptyBody
                | Self::DoneThenNullIds
                | Self::DoneThenDropped
        )
    }

    /// Whether the supplier itself says it, and no proxy before it.
    pub(super) fn is_the_suppliers(&self) -> bool {
        matches!(
            self,
            Self::Refuse500
                | Self::Refused400(_)
                | Self::Forbidden403
                | Self::KeyRefused
                | Self::Answered200(_)
                | Self::AddressRefused
                | Self::AccountRefused
                | Self::PaymentRequired
                | Self::ErrorUnder200 { .. }
        )
    }
}

/// The same JSON in which every id is null.
fn without_ids(body: &[u8]) -> Vec<u8> {
    fn forget(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    if key == "id" || key.ends_with("Id") {
                        *inner = Value::Null;
                    } else {
                        forget(inner);
                    }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(forget),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            forget(&mut value);
            value.to_string().into_bytes()
        }
        Err(_) => body.to_vec(),
    }
}

#[derive(Debug)]
struct Scripted {
    matcher: String,
    fault: Fault,
    left: usize,
}

/// Which requests meet which fault: the script first, then chance.
#[derive(Debug)]
pub(super) struct FaultPlan {
    rate: f64,
    random: StdRng,
    scripted: Vec<Scripted>,
}

impl FaultPlan {
    /// Chance alone, repeatable by its seed.
    pub(super) fn new(rate: f64, seed: u64) -> Self {
        Self {
            rate,
            random: StdRng::seed_from_u64(seed),
            scripted: Vec::new(),
        }
    }

    /// From now on every request has this chance of a fault.
    pub(super) fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    /// The next `times` requests that match meet this fault.
    pub(super) fn script(&mut self, matcher: &str, fault: Fault, times: usize) {
        self.scripted.push(Scripted {
            matcher: matcher.to_owned(),
            fault,
            left: times,
        });
    }

    /// From now on nothing goes wrong.
    pub(super) fn clear(&mut self) {
        self.rate = 0.0;
        self.scripted.clear();
    }

    /// What this request meets, if anything.
    pub(super) fn draw(&mut self, operation: &str) -> Option<Fault> {
        let script = self
            .scripted
            .iter_mut()
            .find(|script| script.left > 0 && is_meant(&script.matcher, operation));
        if let Some(script) = script {
            script.left -= 1;
            return Some(script.fault.clone());
        }
        let unlucky = self.rate > 0.0 && self.random.random::<f64>() < self.rate;
        unlucky.then(|| self.any(changes_something(operation)))
    }

    /// Anything that can befall a request; more can befall one that changes something.
    fn any(&mut self, write: bool) -> Fault {
        let pause = Duration::from_millis(self.random.random_range(20..200));
        let kinds: u8 = if write { 14 } else { 9 };
        match self.random.random_range(0..kinds) {
            0 => Fault::Refuse500,
            1 => Fault::Unavailable503 {
                retry_after_secs: 1,
            },
            2 => Fault::RateLimited429 {
                retry_after_secs: 1,
            },
            3 => Fault::HtmlPage200,
            4 => Fault::HtmlPage502,
            5 => Fault::DoneThenDropped,
            6 => Fault::DroppedBefore,
            7 => Fault::DoneThenStalled(pause),
            8 => Fault::StalledBefore(pause),
            9 => Fault::DoneThenUnavailable503 {
                retry_after_secs: 1,
            },
            10 => Fault::DoneThenEmptyBody,
            11 => Fault::DoneThenNullIds,
            12 => Fault::ErrorUnder200 { code: 500 },
            _ => Fault::LateEffect(pause * 15),
        }
    }
}

/// Whether an operation may change something.
pub(super) fn changes_something(operation: &str) -> bool {
    !operation.starts_with("GET ") && !operation.starts_with("one_h get_")
}

/// Whether an operation such as `POST /device/50001/power` or `one_h add_license` is meant. `*` is
/// any method or command, a path segment in braces is any segment.
fn is_meant(matcher: &str, operation: &str) -> bool {
    let (Some((who, what)), Some((method, path))) =
        (matcher.split_once(' '), operation.split_once(' '))
    else {
        return matcher == "*";
    };
    if who != "*" && who != method {
        return false;
    }
    let (wanted, given) = (what.split('/'), path.split('/'));
    what == "*"
        || wanted.clone().count() == given.clone().count()
            && wanted.zip(given).all(|(want, have)| {
                want == have || want.starts_with('{') && want.ends_with('}') && !have.is_empty()
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_names_an_operation_a_template_or_a_command() {
        assert!(is_meant(
            "POST /bare-metal-devices/",
            "POST /bare-metal-devices/"
        ));
        assert!(is_meant("POST /device/{id}/power", "POST /device/7/power"));
        assert!(is_meant("* /device/{id}/power", "GET /device/7/power"));
        assert!(is_meant("one_h add_license", "one_h add_license"));
        assert!(is_meant("one_h *", "one_h get_licenses"));
        assert!(is_meant("*", "one_h get_licenses"));
        assert!(!is_meant("POST /device/{id}", "POST /device/7/power"));
        assert!(!is_meant(
            "GET /bare-metal-devices/{id}",
            "GET /bare-metal-devices/"
        ));
        assert!(!is_meant("one_h add_license", "one_h add_user"));
    }

    #[test]
    fn chance_is_as_frequent_as_asked_and_never_a_plain_refusal() {
        let mut plan = FaultPlan::new(0.1, 7);
        let drawn: Vec<Fault> = (0..10_000)
            .filter_map(|_| plan.draw("GET /token/"))
            .collect();
        assert!((800..1200).contains(&drawn.len()), "{}", drawn.len());
        let refusal = |fault: &Fault| matches!(fault, Fault::Refused400(_) | Fault::Forbidden403);
        assert!(!drawn.iter().any(refusal));
    }

    #[test]
    fn chance_knows_more_for_what_changes_something() {
        let mut plan = FaultPlan::new(1.0, 7);
        let mut drawn = |operation: &str| -> Vec<Fault> {
            (0..500).filter_map(|_| plan.draw(operation)).collect()
        };
        let late = |fault: &Fault| matches!(fault, Fault::LateEffect(_));
        assert!(drawn("POST /bare-metal-devices/").iter().any(late));
        assert!(drawn("one_h add_user").contains(&Fault::DoneThenEmptyBody));
        assert!(!drawn("GET /order/").iter().any(late));
        assert!(!drawn("one_h get_licenses").contains(&Fault::DoneThenNullIds));
    }

    #[test]
    fn a_script_comes_before_chance_and_ends() {
        let mut plan = FaultPlan::new(0.0, 0);
        plan.script("one_h add_user", Fault::Forbidden403, 2);
        assert_eq!(plan.draw("one_h add_license"), None);
        assert_eq!(plan.draw("one_h add_user"), Some(Fault::Forbidden403));
        assert_eq!(plan.draw("one_h add_user"), Some(Fault::Forbidden403));
        assert_eq!(plan.draw("one_h add_user"), None);
    }
}
