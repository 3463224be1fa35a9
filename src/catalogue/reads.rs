//! Which options and fields a product's templates read, and which of an order's they do not. Pure.
//!
//! Names are compared without regard to case and spacing: billing platforms are filled in by
//! people, and an option that misses its name by a space would silently become a default.

use std::collections::{BTreeMap, BTreeSet};

use super::scan::Lookup;
use crate::domain::OrderedService;
use crate::domain::nearest::meant;

/// The same for names that differ only in case and spacing.
pub(super) fn folded(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// The name among `known` that a template's name stands for: itself, else the first in their
/// order that differs only in case and spacing.
pub(super) fn resolve<'k, V>(known: &'k BTreeMap<String, V>, name: &str) -> Option<&'k str> {
    if let Some((exact, _)) = known.get_key_value(name) {
        return Some(exact);
    }
    let wanted = folded(name);
    let mut names = known.keys().map(String::as_str);
    names.find(|other| folded(other) == wanted)
}

/// The names that templates read of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    named: BTreeSet<String>,
    /// Whether a template picks names as it goes, so that it may read any.
    any: bool,
}

/// The names that a product's templates read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    options: Names,
    fields: Names,
}

impl Reads {
    /// Adds what a template looks up.
    pub(super) fn add(&mut self, lookups: Vec<Lookup<'_>>) {
        for Lookup { group, name } in lookups {
            let names = if group == "options" {
                &mut self.options
            } else {
                &mut self.fields
            };
            match name {
                Some(name) => drop(names.named.insert(name.to_owned())),
                None => names.any = true,
            }
        }
    }

    /// What both read.
    pub(super) fn and(mut self, other: &Self) -> Self {
        for (names, others) in [
            (&mut self.options, &other.options),
            (&mut self.fields, &other.fields),
        ] {
            names.named.extend(others.named.iter().cloned());
            names.any |= others.any;
        }
        self
    }

    /// The names that `group` is asked for.
    pub(super) fn names(&self, group: &str) -> &BTreeSet<String> {
        if group == "options" {
            &self.options.named
        } else {
            &self.fields.named
        }
    }

    /// What of the order is read by none of the templates.
    pub(super) fn unread(&self, ordered: &OrderedService) -> Unread {
        let options = self.options.unread(&ordered.options, &self.fields);
        let fields = self.fields.unread(&ordered.fields, &self.options);
        let given = |values: &BTreeMap<String, String>| {
            values.values().filter(|value| !is_empty(value)).count()
        };
        let none_read = !options.is_empty() && options.len() == given(&ordered.options);
        Unread {
            absent: if none_read {
                self.options.absent(&ordered.options)
            } else {
                Vec::new()
            },
            options,
            fields,
        }
    }
}

impl Names {
    /// Which of the names given are not read; `other` is the other group, where one may have been
    /// looked for.
    fn unread(&self, given: &BTreeMap<String, String>, other: &Self) -> Vec<UnreadName> {
        if self.any {
            return Vec::new();
        }
        let read: BTreeSet<&str> = self
            .named
            .iter()
            .filter_map(|name| resolve(given, name))
            .collect();
        let unread = given
            .iter()
            .filter(|(name, value)| !is_empty(value) && !read.contains(name.as_str()));
        unread
            .map(|(name, _)| self.unread_name(name, other))
            .collect()
    }

    fn unread_name(&self, name: &str, other: &Self) -> UnreadName {
        let known: Vec<String> = self.named.iter().map(|name| folded(name)).collect();
        let near = meant(&folded(name), known.iter().map(String::as_str));
        let near = near.and_then(|near| self.named.iter().find(|name| folded(name) == near));
        UnreadName {
            name: name.to_owned(),
            meant: near.cloned(),
            elsewhere: other
                .named
                .iter()
                .any(|known| folded(known) == folded(name)),
        }
    }

    fn absent(&self, given: &BTreeMap<String, String>) -> Vec<String> {
        let absent = self
            .named
            .iter()
            .filter(|name| resolve(given, name).is_none());
        absent.cloned().collect()
    }
}

/// A value that says nothing is not missed.
fn is_empty(value: &str) -> bool {
    value.trim().is_empty()
}

/// What an order says and no template of its product reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Options, in their order.
    pub options: Vec<UnreadName>,
    /// Fields, in their order.
    pub fields: Vec<UnreadName>,
    /// Where none of the options is read: those that the templates read and the order lacks, so
    /// that defaults stand in for them.
    pub absent: Vec<String>,
}

impl Unread {
    /// How many names are not read.
    pub fn count(&self) -> usize {
        self.options.len() + self.fields.len()
    }

    /// What a person is told of the names, a sentence each.
    pub fn names(&self, product: &str) -> Vec<String> {
        let mut told = sentences("option", &self.options, product);
        told.append(&mut sentences("field", &self.fields, product));
        told
    }

    /// The same, and which defaults stand in, where the order is carried out.
    pub fn sentences(&self, product: &str) -> Vec<String> {
        let mut told = self.names(product);
        told.extend(self.defaults(product));
        told
    }

    fn defaults(&self, product: &str) -> Option<String> {
        if self.absent.is_empty() {
            return None;
        }
        let absent: Vec<String> = self.absent.iter().map(|name| quoted(name)).collect();
        Some(format!(
            "none of the order's options is read, while product {product} reads {}: its defaults were taken",
            absent.join(" and ")
        ))
    }
}

/// Near misses one by one, the others together.
fn sentences(what: &str, names: &[UnreadName], product: &str) -> Vec<String> {
    let (near, others): (Vec<_>, Vec<_>) = names
        .iter()
        .partition(|name| name.elsewhere || name.meant.is_some());
    let near = near.iter().take(MOST_NAMES);
    let mut sentences: Vec<String> = near
        .filter_map(|name| name.near_miss(what, product))
        .collect();
    let shown = others.iter().take(MOST_NAMES);
    let mut listed: Vec<String> = shown.map(|name| quoted(&name.name)).collect();
    if others.len() > MOST_NAMES {
        listed.push(format!("{} more", others.len() - MOST_NAMES));
    }
    let listed = listed.join(", ");
    match others.len() {
        0 => {}
        1 => sentences.push(format!("{what} {listed} is not read by product {product}")),
        _ => sentences.push(format!(
            "{what}s {listed} are not read by product {product}"
        )),
    }
    sentences
}

/// How many names a sentence lists; an event may bring hundreds.
const MOST_NAMES: usize = 10;

/// A name that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadName {
    /// As the event has it.
    pub name: String,
    /// The name that is read and was perhaps meant.
    pub meant: Option<String>,
    /// Whether it is read of the other group: an option where a field is, or the other way round.
    pub elsewhere: bool,
}

impl UnreadName {
    fn near_miss(&self, what: &str, product: &str) -> Option<String> {
        let name = quoted(&self.name);
        if self.elsewhere {
            let other = if what == "option" {
                "a field"
            } else {
                "an option"
            };
            return Some(format!(
                "{what} {name} is not read; product {product} reads {other} of that name"
            ));
        }
        let meant = self.meant.as_ref()?;
        // Two spellings of one name: the other one was taken.
        let taken = folded(meant) == folded(&self.name);
        let meant = quoted(meant);
        Some(if taken {
            format!("{what} {name} is not read, since another one is named like {meant}")
        } else {
            format!("{what} {name} is not read; did you mean {meant}?")
        })
    }
}

/// A name from outside for a sentence: short.
fn quoted(name: &str) -> String {
    format!("'{}'", super::template::shortened(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::scan::lookups;

    fn reads(templates: &[&str]) -> Reads {
        let mut reads = Reads::default();
        for template in templates {
            reads.add(lookups(template));
        }
        reads
    }

    fn order(options: &[(&str, &str)]) -> OrderedService {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        OrderedService {
            options: options.iter().map(pair).collect(),
            ..OrderedService::default()
        }
    }

    const TEMPLATES: [&str; 2] = [
        "{{ options['Operating System'] or 'Ubuntu 22.04' }}",
        "{{ options.location or 'TPA1' }}",
    ];

    #[test]
    fn names_are_the_same_whatever_their_case_and_spacing() {
        for name in [
            " operating  SYSTEM ",
            "Operating\tSystem",
            "OPERATING SYSTEM",
        ] {
            let unread = reads(&TEMPLATES).unread(&order(&[(name, "Debian 12"), ("Location", "")]));
            assert_eq!(unread, Unread::default(), "{name}");
        }
        assert_eq!(folded("  Größe \u{a0} IN gb "), "größe in gb");
    }

    #[test]
    fn the_exact_name_wins_and_the_first_in_order_else() {
        let given = order(&[("OS", "a"), ("Os", "b"), ("os ", "c")]).options;
        assert_eq!(resolve(&given, "Os"), Some("Os"));
        assert_eq!(resolve(&given, "oS"), Some("OS"));
        assert_eq!(resolve(&given, "system"), None);
        let unread = reads(&["{{ options['Os'] }}"]).unread(&order(&[("OS", "a"), ("Os", "b")]));
        assert_eq!(
            unread.sentences("42"),
            ["option 'OS' is not read, since another one is named like 'Os'"]
        );
    }

    #[test]
    fn a_near_miss_is_told_with_what_was_perhaps_meant() {
        let unread = reads(&TEMPLATES).unread(&order(&[
            ("Operating Systems", "Windows 2022"),
            ("location", "NYC1"),
            ("Control Panel", "cPanel"),
        ]));
        assert_eq!(
            unread.sentences("42"),
            [
                "option 'Operating Systems' is not read; did you mean 'Operating System'?",
                "option 'Control Panel' is not read by product 42",
            ]
        );
        assert_eq!((unread.count(), unread.absent.len()), (2, 0));
    }

    #[test]
    fn an_order_none_of_whose_options_is_read_says_which_defaults_were_taken() {
        let unread = reads(&TEMPLATES).unread(&order(&[("System", "Debian 12")]));
        assert_eq!(unread.absent, ["Operating System", "location"]);
        assert_eq!(
            unread.sentences("42")[1],
            "none of the order's options is read, while product 42 reads 'Operating System' and \
             'location': its defaults were taken"
        );
        assert_eq!(reads(&TEMPLATES).unread(&order(&[])), Unread::default());
    }

    #[test]
    fn templates_that_pick_names_as_they_go_read_all_of_them() {
        for template in [
            "{% for name in options %}{{ name }}{% endfor %}",
            "{{ options[customer.company] }}",
            "{% set all = options %}{{ all['x'] }}",
        ] {
            let unread = reads(&[template]).unread(&order(&[("anything", "1")]));
            assert_eq!(unread, Unread::default(), "{template}");
        }
    }

    #[test]
    fn fields_are_told_as_fields_and_empty_values_not_at_all() {
        let mut ordered = order(&[("Backup", " ")]);
        ordered.fields.insert("SSH Kye".to_owned(), "x".to_owned());
        let unread = reads(&["{{ fields['SSH Key'] }}"]).unread(&ordered);
        assert_eq!(
            unread.sentences("42"),
            ["field 'SSH Kye' is not read; did you mean 'SSH Key'?"]
        );
    }

    #[test]
    fn a_name_that_is_read_of_the_other_group_is_told_as_that() {
        let reads = reads(&["{{ fields['Operating System'] or options['SSH Key'] }}"]);
        let mut ordered = order(&[("operating system", "Debian 12")]);
        ordered.fields.insert("SSH key".to_owned(), "x".to_owned());
        assert_eq!(
            reads.unread(&ordered).names("42"),
            [
                "option 'operating system' is not read; product 42 reads a field of that name",
                "field 'SSH key' is not read; product 42 reads an option of that name",
            ]
        );
    }

    #[test]
    fn many_names_are_told_together_and_not_all_of_them() {
        let many: Vec<(String, &str)> = (10..22).map(|n| (format!("{n}"), "1")).collect();
        let many: Vec<(&str, &str)> = many
            .iter()
            .map(|(name, one)| (name.as_str(), *one))
            .collect();
        assert_eq!(
            reads(&["{{ options.location }}"])
                .unread(&order(&many))
                .sentences("42")[0],
            "options '10', '11', '12', '13', '14', '15', '16', '17', '18', '19', 2 more are not \
             read by product 42"
        );
    }

    #[test]
    fn a_name_from_outside_stays_one_short_line() {
        let long = "x".repeat(1000);
        let unread = reads(&TEMPLATES).unread(&order(&[(&long, "1"), ("location", "1")]));
        assert!(unread.sentences("42")[0].len() < 150);
    }
}
