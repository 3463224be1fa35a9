//! One template: compiled and tried once, rendered per order. Pure.

use std::io;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, filters, tests};

use super::context::{Context, KNOWN, Variables, is_known};
use super::error::TextProblem;
use super::reads::Reads;
use super::scan::{Use, uses};
use crate::domain::step::{DEVICE_ID, DEVICE_IP};
use crate::domain::{Customer, OrderedService};

/// How long a rendered text may be, in bytes.
const OUTPUT_LIMIT: usize = 1024;
/// How many instructions one rendering may take.
const FUEL: u64 = 10_000;
/// How long a text may get in between, in bytes.
const REPLACED_LIMIT: usize = 64 * 1024;
/// The one template of an environment.
const NAME: &str = "text";

const FILTERS: [&str; 12] = [
    "capitalize",
    "d",
    "default",
    "first",
    "last",
    "length",
    "lower",
    "replace",
    "split",
    "title",
    "trim",
    "upper",
];
const TESTS: [&str; 7] = [
    "defined",
    "endingwith",
    "eq",
    "ne",
    "none",
    "startingwith",
    "undefined",
];
const STATEMENTS: [&str; 10] = [
    "if", "elif", "else", "endif", "set", "endset", "for", "endfor", "raw", "endraw",
];

/// Which templates can use the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The device's own order: there is none yet.
    Device,
    /// What comes after it.
    Licence,
}

/// A compiled template.
#[derive(Clone)]
pub(super) struct Text {
    environment: Environment<'static>,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = self
            .environment
            .get_template(NAME)
            .map(|text| text.source().to_owned());
        write!(f, "{:?}", source.unwrap_or_default())
    }
}

impl Text {
    /// Compiles a template, looks at everything it names, and tries it out.
    pub(super) fn compile(source: &str, place: Place) -> Result<Self, TextProblem> {
        let mut environment = environment();
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| TextProblem::Syntax {
                detail: explained(&error),
            })?;
        let text = Self { environment };
        text.check_names(source, place)?;
        text.try_out()?;
        if place == Place::Licence {
            text.check_device_is_left_whole()?;
        }
        Ok(text)
    }

    /// The text for one order, trimmed.
    pub(super) fn render(&self, context: &Context) -> Result<String, TextProblem> {
        let mut output = Capped::default();
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| problem(&error))?;
        let result = template
            .render_captured_to(context.root(), &mut output)
            .map(drop);
        // A noted lookup is the cause of whatever came after it.
        if let Some(noted) = context.take_problem() {
            return Err(noted);
        }
        result.map_err(|error| problem(&error))?;
        let text = String::from_utf8(output.bytes).map_err(|error| TextProblem::Failed {
            detail: error.to_string(),
        })?;
        Ok(text.trim().to_owned())
    }

    /// Every name in the template exists, also in branches that no trial takes.
    fn check_names(&self, source: &str, place: Place) -> Result<(), TextProblem> {
        uses(source).into_iter().try_for_each(check_use)?;
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| problem(&error))?;
        let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
        names.sort_unstable();
        for name in names {
            let of_device = name == "device" || name.starts_with("device.");
            if !is_known(&name) {
                return Err(TextProblem::UnknownVariable {
                    name,
                    known: KNOWN.to_owned(),
                });
            }
            if of_device && place == Place::Device {
                return Err(TextProblem::NoDeviceYet { name });
            }
        }
        Ok(())
    }

    /// Renders with stand-ins. What depends on an order's values may fail with some of them;
    /// what fails with all of them can never work.
    fn try_out(&self) -> Result<(), TextProblem> {
        let mut last = None;
        let mut worked = false;
        for sample in Sample::ALL {
            match self.render(&sample.context(DEVICE_IP, DEVICE_ID)) {
                Ok(_) | Err(TextProblem::Missing) => worked = true,
                Err(failed @ TextProblem::Failed { .. }) => last = Some(failed),
                Err(certain) => return Err(certain),
            }
        }
        match last {
            Some(failed) if !worked => Err(failed),
            Some(_) | None => Ok(()),
        }
    }

    /// A plan is made with marks where the device's IP and id will be; a template that changes
    /// the mark would never get the IP.
    fn check_device_is_left_whole(&self) -> Result<(), TextProblem> {
        let (ip, id) = ("192.0.2.10", "4711");
        for sample in Sample::ALL {
            let planned = self.render(&sample.context(DEVICE_IP, DEVICE_ID));
            let known = self.render(&sample.context(ip, id));
            let Ok(planned) = planned else { continue };
            let filled = planned.replace(DEVICE_IP, ip).replace(DEVICE_ID, id);
            if known.as_ref() != Ok(&filled) {
                return Err(TextProblem::ChangesDevice);
            }
        }
        Ok(())
    }
}

/// The engine with only what a product needs: no functions, no other templates, no globals.
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(20);
    environment.add_filter("capitalize", filters::capitalize);
    environment.add_filter("d", filters::default);
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("replace", replace);
    environment.add_filter("split", filters::split);
    environment.add_filter("title", filters::title);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("endingwith", tests::is_endingwith);
    environment.add_test("eq", tests::is_eq);
    environment.add_test("ne", tests::is_ne);
    environment.add_test("none", tests::is_none);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("undefined", tests::is_undefined);
    environment
}

/// Like the usual one, but what comes out has a limit: both texts may be a customer's.
fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    let places = text.matches(from).count();
    if text.len().saturating_add(places.saturating_mul(to.len())) > REPLACED_LIMIT {
        return Err(Error::new(
            ErrorKind::WriteFailure,
            "the replaced text is too long",
        ));
    }
    Ok(text.replace(from, to))
}

fn check_use(used: Use<'_>) -> Result<(), TextProblem> {
    let list = |known: &[&str]| known.join(", ");
    let name = |name: &str| name.to_owned();
    match used {
        Use::Filter(filter) if !FILTERS.contains(&filter) => Err(TextProblem::UnknownFilter {
            name: name(filter),
            known: list(&FILTERS),
        }),
        Use::Test(test) if !TESTS.contains(&test) => Err(TextProblem::UnknownTest {
            name: name(test),
            known: list(&TESTS),
        }),
        Use::Statement(word) if !STATEMENTS.contains(&word) => Err(TextProblem::UnknownStatement {
            name: name(word),
            known: list(&STATEMENTS),
        }),
        Use::Call(function) => Err(TextProblem::Call {
            name: name(function),
        }),
        Use::Filter(_) | Use::Test(_) | Use::Statement(_) | Use::Lookup(_) => Ok(()),
    }
}

/// The engine's error in our words.
fn problem(error: &Error) -> TextProblem {
    let kind = error.kind();
    if kind == ErrorKind::UndefinedError {
        return TextProblem::Missing;
    }
    if kind == ErrorKind::OutOfFuel || kind == ErrorKind::WriteFailure {
        return TextProblem::TooLong {
            limit: OUTPUT_LIMIT,
        };
    }
    TextProblem::Failed {
        detail: explained(error),
    }
}

fn explained(error: &Error) -> String {
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), shortened);
    match error.line() {
        Some(line) if line > 1 => format!("{what} (line {line})"),
        Some(_) | None => what,
    }
}

/// A text for a message: one line, not too long.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut short: String = text.chars().take(SHOWN).map(one_line).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

fn one_line(letter: char) -> char {
    if letter.is_control() { ' ' } else { letter }
}

/// Takes bytes up to a limit.
#[derive(Default)]
struct Capped {
    bytes: Vec<u8>,
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_LIMIT {
            return Err(io::Error::other("the text is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Stand-ins for an order's values.
#[derive(Clone, Copy)]
enum Sample {
    Words,
    Numbers,
    Nothing,
}

impl Sample {
    const ALL: [Self; 3] = [Self::Words, Self::Numbers, Self::Nothing];

    fn context(self, ip: &str, id: &str) -> Context {
        let (text, number) = match self {
            Self::Words => ("sample.example.com", "7"),
            Self::Numbers => ("1", "1"),
            Self::Nothing => ("", "7"),
        };
        let customer = Customer {
            id: number.to_owned(),
            email: text.to_owned(),
            name: text.to_owned(),
            company: text.to_owned(),
        };
        let service = OrderedService {
            id: number.to_owned(),
            product_id: number.to_owned(),
            hostname: text.to_owned(),
            billing_cycle: text.to_owned(),
            quantity: 1,
            ..OrderedService::default()
        };
        let variables = Variables {
            source: "sample",
            order_id: text,
            customer: &customer,
            service: &service,
            device_ip: ip,
            device_id: id,
        };
        Context::build(&variables, &Reads::default(), text)
    }
}
