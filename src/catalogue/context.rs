//! The variables of a template: the event's values, or stand-ins for trying a template out. Pure.
//!
//! Values from outside are data here and never read as templates. Each is limited in length, so
//! that a customer who fills an option with a megabyte gets an error and not a slow server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};

use super::error::TextProblem;
use super::reads::{Reads, folded, resolve};
use crate::domain::step::{DEVICE_ID, DEVICE_IP};
use crate::domain::{Customer, OrderedService};

/// How long one value may be that a template uses, in bytes.
pub(super) const INPUT_LIMIT: usize = 1024;

/// The variables that exist, for people.
pub(super) const KNOWN: &str = "source, order_id, customer.id, customer.email, customer.name, \
     customer.company, service.id, service.product_id, service.hostname, service.billing_cycle, \
     service.quantity, options['…'], fields['…'], device.ip, device.id (one_h only)";

/// Variables that have no parts.
const PLAIN: [&str; 2] = ["source", "order_id"];
/// Variables that have parts, with those.
const GROUPS: [(&str, &[&str]); 3] = [
    ("customer", &["id", "email", "name", "company"]),
    (
        "service",
        &["id", "product_id", "hostname", "billing_cycle", "quantity"],
    ),
    ("device", &["ip", "id"]),
];
/// Variables whose parts the billing platform names.
const OPEN: [&str; 2] = ["options", "fields"];

/// What a template of a product can use.
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    /// The source's name.
    pub source: &'a str,
    /// The order's id; may be empty.
    pub order_id: &'a str,
    /// Whose order it is.
    pub customer: &'a Customer,
    /// The service.
    pub service: &'a OrderedService,
    /// The device's IP; empty where there is none, `{device.ip}` where there will be one.
    pub device_ip: &'a str,
    /// The device's id; empty or `{device.id}` as with the IP.
    pub device_id: &'a str,
}

/// Whether a template may use `name`, written with dots.
pub(super) fn is_known(name: &str) -> bool {
    let Some((group, part)) = name.split_once('.') else {
        return PLAIN.contains(&name)
            || OPEN.contains(&name)
            || GROUPS.iter().any(|(group, _)| *group == name);
    };
    if OPEN.contains(&group) {
        return !part.contains('.');
    }
    GROUPS
        .iter()
        .any(|(known, parts)| *known == group && parts.contains(&part))
}

/// The values a template is rendered with, and what went wrong while it looked at them.
#[derive(Debug)]
pub(super) struct Context {
    root: Value,
    notes: Arc<Notes>,
}

impl Context {
    /// The values of one order, for templates that read `reads` of it.
    pub(super) fn of(variables: &Variables<'_>, reads: &Reads) -> Self {
        Self::build(variables, reads, "")
    }

    /// `absent` is what an option or a field has that the order does not name.
    pub(super) fn build(variables: &Variables<'_>, reads: &Reads, absent: &'static str) -> Self {
        let notes = Arc::new(Notes::default());
        let Variables {
            source,
            order_id,
            customer,
            service,
            device_ip,
            device_id,
        } = *variables;
        let closed = |name: &'static str, values: Vec<(&str, Entry)>| {
            let values = values
                .into_iter()
                .map(|(key, entry)| (key.to_owned(), entry))
                .collect();
            Group::value(name, values, None, &notes)
        };
        let open = |name: &'static str, texts: &BTreeMap<String, String>| {
            let values = texts
                .iter()
                .map(|(key, text)| (key.clone(), entry(text)))
                .collect();
            let open = Open {
                absent,
                asked: reads.names(name).iter().cloned().collect(),
            };
            Group::value(name, values, Some(open), &notes)
        };
        let customer = vec![
            ("id", entry(&customer.id)),
            ("email", entry(&customer.email)),
            ("name", entry(&customer.name)),
            ("company", entry(&customer.company)),
        ];
        let service_values = vec![
            ("id", entry(&service.id)),
            ("product_id", entry(&service.product_id)),
            ("hostname", entry(&service.hostname)),
            ("billing_cycle", entry(&service.billing_cycle)),
            ("quantity", Entry::Value(Value::from(service.quantity))),
        ];
        let known = |text: &str| Entry::Value(Value::from(text));
        let device = vec![("ip", known(device_ip)), ("id", known(device_id))];
        let root = closed(
            ROOT,
            vec![
                ("source", entry(source)),
                ("order_id", entry(order_id)),
                ("customer", Entry::Value(closed("customer", customer))),
                ("service", Entry::Value(closed("service", service_values))),
                ("device", Entry::Value(closed("device", device))),
                ("options", Entry::Value(open("options", &service.options))),
                ("fields", Entry::Value(open("fields", &service.fields))),
            ],
        );
        Self { root, notes }
    }

    /// The root of the variables.
    pub(super) fn root(&self) -> Value {
        self.root.clone()
    }

    /// Takes out what the template did wrong since the last time.
    pub(super) fn take_problem(&self) -> Option<TextProblem> {
        self.notes
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The root's name; its parts are looked up without it.
const ROOT: &str = "";

/// A value, or why it cannot be used.
#[derive(Clone)]
enum Entry {
    Value(Value),
    TooLong,
    Forged,
}

/// A value from outside. One that holds the marks of a planned device is refused: it would be
/// taken for one later.
fn entry(text: &str) -> Entry {
    if text.len() > INPUT_LIMIT {
        Entry::TooLong
    } else if text.contains(DEVICE_IP) || text.contains(DEVICE_ID) {
        Entry::Forged
    } else {
        Entry::Value(Value::from(text))
    }
}

/// The first thing that a template did wrong. The engine lets a lookup fail silently in places
/// (`x or y`), so lookups are watched here.
#[derive(Debug, Default)]
struct Notes(Mutex<Option<TextProblem>>);

impl Notes {
    fn add(&self, problem: TextProblem) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(problem);
    }

    fn unknown(&self, name: String) {
        self.add(TextProblem::UnknownVariable {
            name,
            known: KNOWN.to_owned(),
        });
    }
}

/// Variables under one name.
struct Group {
    name: &'static str,
    values: BTreeMap<String, Entry>,
    /// Where the billing platform names the parts; none: asking for an unknown one is a mistake.
    open: Option<Open>,
    notes: Arc<Notes>,
}

/// A group whose parts the billing platform names.
struct Open {
    /// What a part has that is not there.
    absent: &'static str,
    /// The names that templates ask for.
    asked: Vec<String>,
}

impl Group {
    fn value(
        name: &'static str,
        values: BTreeMap<String, Entry>,
        open: Option<Open>,
        notes: &Arc<Notes>,
    ) -> Value {
        Value::from_object(Self {
            name,
            values,
            open,
            notes: Arc::clone(notes),
        })
    }

    fn full_name(&self, part: &str) -> String {
        let part: String = part.chars().take(80).collect();
        match (self.name, &self.open) {
            (ROOT, _) => part,
            (name, Some(_)) => format!("{name}['{part}']"),
            (name, None) => format!("{name}.{part}"),
        }
    }

    fn find(&self, part: &str) -> Option<&Entry> {
        if self.open.is_some() {
            self.values.get(resolve(&self.values, part)?)
        } else {
            self.values.get(part)
        }
    }

    /// The names there are, and those that templates ask for and that differ from one of them
    /// only in case and spacing: `in` compares letter by letter.
    fn names(&self, open: &Open) -> Vec<Value> {
        let there = self.values.keys();
        let known: Vec<String> = there.clone().map(|name| folded(name)).collect();
        let asked = open.asked.iter().filter(|name| {
            !self.values.contains_key(name.as_str()) && known.contains(&folded(name))
        });
        there.chain(asked).map(Value::from).collect()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Object for Group {
    /// Whatever is looked up of options and fields has a value, so `in` must not go by that.
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.open {
            Some(_) => ObjectRepr::Iterable,
            None => ObjectRepr::Map,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &self.open {
            Some(open) => Enumerator::Values(self.names(open)),
            None => Enumerator::Empty,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let shown;
        let part = if let Some(part) = key.as_str() {
            part
        } else {
            shown = key.to_string();
            &shown
        };
        match (self.find(part), &self.open) {
            (Some(Entry::Value(value)), _) => Some(value.clone()),
            (Some(Entry::TooLong), _) => {
                let name = self.full_name(part);
                self.notes.add(TextProblem::InputTooLong {
                    name,
                    limit: INPUT_LIMIT,
                });
                Some(Value::from(""))
            }
            (Some(Entry::Forged), _) => {
                self.notes.add(TextProblem::ForgedMark {
                    name: self.full_name(part),
                });
                Some(Value::from(""))
            }
            (None, Some(open)) => Some(Value::from(open.absent)),
            (None, None) => {
                // The engine itself asks the root for names that a template sets.
                if self.name != ROOT {
                    self.notes.unknown(self.full_name(part));
                }
                None
            }
        }
    }

    /// A whole group has no text; `{{ service }}` is a forgotten part.
    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notes.unknown(format!("{} without a part", self.name));
        Ok(())
    }
}
