//! Finds the filters, tests, calls and statements that a template uses, and the options and fields
//! that it looks up, also in branches that a trial does not take. Pure.
//!
//! Not a parser: the engine has read the template before and refused what is no template.

/// Something a template uses that must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use<'t> {
    /// `… | name`
    Filter(&'t str),
    /// `… is name`
    Test(&'t str),
    /// `name(…)`
    Call(&'t str),
    /// `{% name … %}`
    Statement(&'t str),
    /// `options['name']`
    Lookup(Lookup<'t>),
}

/// What is looked up among the order's options or fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lookup<'t> {
    /// `options` or `fields`.
    pub(super) group: &'t str,
    /// The name; none where it is not written down but found out, so that it may be any.
    pub(super) name: Option<&'t str>,
}

/// Every lookup of `template`, in its order.
pub(super) fn lookups(template: &str) -> Vec<Lookup<'_>> {
    let lookup = |used| match used {
        Use::Lookup(lookup) => Some(lookup),
        Use::Filter(_) | Use::Test(_) | Use::Call(_) | Use::Statement(_) => None,
    };
    uses(template).into_iter().filter_map(lookup).collect()
}

/// Everything that `template` uses, in its order.
pub(super) fn uses(template: &str) -> Vec<Use<'_>> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        rest = rest.get(start + 1..).unwrap_or_default();
        let Some(kind) = rest.chars().next() else {
            break;
        };
        rest = match kind {
            '#' => after(rest, "#}"),
            '{' => expression(rest.get(1..).unwrap_or_default(), "}}", &mut found),
            '%' => statement(rest.get(1..).unwrap_or_default(), &mut found),
            _ => rest,
        };
    }
    found
}

/// What follows the next `mark`.
fn after<'t>(text: &'t str, mark: &str) -> &'t str {
    text.split_once(mark).map_or("", |(_, rest)| rest)
}

fn statement<'t>(text: &'t str, found: &mut Vec<Use<'t>>) -> &'t str {
    let body = text.trim_start_matches(['-', '+']).trim_start();
    let (word, rest) = take_word(body);
    found.push(Use::Statement(word));
    if word == "raw" {
        // What is inside is text, whatever it looks like.
        return after(after(rest, "endraw"), "%}");
    }
    expression(rest, "%}", found)
}

/// Reads one expression and gives what follows its end.
fn expression<'t>(text: &'t str, end: &str, found: &mut Vec<Use<'t>>) -> &'t str {
    let mut rest = text;
    let mut open_braces = 0_u32;
    let mut before = Before::Other;
    let mut tested = Tested::Nothing;
    while let Some(letter) = rest.chars().next() {
        if open_braces == 0 && rest.starts_with(end) {
            return rest.get(end.len()..).unwrap_or_default();
        }
        if letter.is_alphabetic() || letter == '_' {
            let (word, following) = take_word(rest);
            let called = following.trim_start().starts_with('(');
            if before == Before::Other && GROUPS.contains(&word) {
                let name = part(following).or(tested.name());
                found.push(Use::Lookup(Lookup { group: word, name }));
            }
            before = before.word(word, called, found);
            tested = tested.word(word);
            rest = following;
            continue;
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        match letter {
            '\'' | '"' => {
                tested = tested.text(literal(rest, letter));
                rest = after_string(rest, letter);
                before = Before::Other;
                continue;
            }
            '{' => open_braces += 1,
            '}' => open_braces = open_braces.saturating_sub(1),
            _ => {}
        }
        before = match letter {
            '|' => Before::Pipe,
            '.' => Before::Dot,
            white if white.is_whitespace() => before,
            _ => Before::Other,
        };
        tested = tested.sign(letter);
    }
    ""
}

/// Variables whose parts the billing platform names.
const GROUPS: [&str; 2] = ["options", "fields"];

/// The part that is asked for behind a group's name, where it is written down.
fn part(following: &str) -> Option<&str> {
    let rest = following.trim_start();
    if let Some(rest) = rest.strip_prefix('.') {
        let (word, _) = take_word(rest.trim_start());
        return (!word.is_empty()).then_some(word);
    }
    let rest = rest.strip_prefix('[')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let text = rest.get(1..).unwrap_or_default();
    let name = literal(text, quote)?;
    after_string(text, quote)
        .trim_start()
        .starts_with(']')
        .then_some(name)
}

/// The text of a string that begins here; none where signs are escaped in it.
fn literal(text: &str, quote: char) -> Option<&str> {
    let (name, _) = text.split_once(quote)?;
    (!name.contains('\\')).then_some(name)
}

/// The text that `in` asks for: `'name' in options`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tested<'t> {
    /// A text that stands here is a text of its own.
    Nothing,
    /// One stood here, and perhaps `in` or `not in` behind it.
    Text(&'t str),
    /// Part of something that is worked out.
    Part,
}

impl<'t> Tested<'t> {
    const fn name(self) -> Option<&'t str> {
        match self {
            Self::Text(name) => Some(name),
            Self::Nothing | Self::Part => None,
        }
    }

    fn text(self, text: Option<&'t str>) -> Self {
        match (self, text) {
            (Self::Nothing, Some(text)) => Self::Text(text),
            (Self::Nothing | Self::Text(_) | Self::Part, _) => Self::Part,
        }
    }

    fn word(self, word: &str) -> Self {
        match word {
            "in" | "not" => self,
            "and" | "or" | "if" | "else" => Self::Nothing,
            _ => Self::Part,
        }
    }

    const fn sign(self, letter: char) -> Self {
        match letter {
            '(' => Self::Nothing,
            white if white.is_whitespace() => self,
            _ => Self::Part,
        }
    }
}

/// What stands before a word and decides what it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Pipe,
    Dot,
    Is,
    Other,
}

impl Before {
    /// Words that stand before a parenthesis without calling anything.
    const OPERATORS: [&'static str; 9] =
        ["and", "or", "not", "in", "if", "else", "elif", "is", "set"];

    fn word<'t>(self, word: &'t str, called: bool, found: &mut Vec<Use<'t>>) -> Self {
        match self {
            Self::Pipe => found.push(Use::Filter(word)),
            Self::Is if word == "not" => return Self::Is,
            Self::Is => found.push(Use::Test(word)),
            Self::Dot if called => found.push(Use::Call(word)),
            Self::Other if word == "is" => return Self::Is,
            Self::Other if called && !Self::OPERATORS.contains(&word) => {
                found.push(Use::Call(word));
            }
            Self::Dot | Self::Other => {}
        }
        Self::Other
    }
}

fn take_word(text: &str) -> (&str, &str) {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let end = text.find(|letter| !part(letter)).unwrap_or(text.len());
    text.split_at(end)
}

fn after_string(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (place, letter) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if letter == quote {
            return text.get(place + letter.len_utf8()..).unwrap_or_default();
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_tests_calls_and_statements_are_found_in_every_branch() {
        let template = "a | b {% if x is not empty and (y) %}{{ s | lower|upper }}\
                        {%- else -%}{{ go(1) ~ s.title() }}{% endif %}";
        assert_eq!(
            uses(template),
            [
                Use::Statement("if"),
                Use::Test("empty"),
                Use::Filter("lower"),
                Use::Filter("upper"),
                Use::Statement("else"),
                Use::Call("go"),
                Use::Call("title"),
                Use::Statement("endif"),
            ]
        );
    }

    #[test]
    fn text_in_strings_comments_and_raw_blocks_is_not_code() {
        let template = "{{ options['a | b is c {{ \\' x()'] }}{# {{ a|b }} #}\
                        {% raw %}{{ a|b }}{% endraw %}{{ {'a': {'b': 1}}['a']|length }} }} | x";
        let found: Vec<_> = uses(template)
            .into_iter()
            .filter(|used| !matches!(used, Use::Lookup(_)))
            .collect();
        assert_eq!(found, [Use::Statement("raw"), Use::Filter("length")]);
    }

    #[test]
    fn lookups_are_found_with_their_names_in_every_branch() {
        for (template, names) in [
            (
                "{{ options['Operating System'] or 'x' }}",
                &[Some("Operating System")] as &[_],
            ),
            ("{{ 'a' if x else options [ \"b c\" ] }}", &[Some("b c")]),
            (
                "{{ options.Location|lower ~ options . x }}",
                &[Some("Location"), Some("x")],
            ),
            (
                "{% if 'Backup' in options %}1{% endif %}",
                &[Some("Backup")],
            ),
            (
                "{{ 1 if ('a' not in options) and 'b' in options }}",
                &[Some("a"), Some("b")],
            ),
            ("{{ 1 if 'a' ~ 'b' in options }}", &[None]),
            ("{{ 1 if customer.id in options }}", &[None]),
            (
                "{% for name in options %}{{ options[name] }}{% endfor %}",
                &[None, None],
            ),
            ("{% set all = options %}", &[None]),
            ("{{ options['it\\'s'] }}", &[None]),
            ("{{ options['a' ~ 'b'] }}", &[None]),
            (
                "{{ x.options.y }}{{ 'options.z' }}{# options.z #}options.z",
                &[],
            ),
            ("{% raw %}{{ options.z }}{% endraw %}", &[]),
        ] {
            let found: Vec<_> = lookups(template).iter().map(|lookup| lookup.name).collect();
            assert_eq!(found, names, "{template}");
        }
        let groups: Vec<_> = lookups("{{ fields.a or options.b }}")
            .iter()
            .map(|lookup| lookup.group)
            .collect();
        assert_eq!(groups, ["fields", "options"]);
    }

    #[test]
    fn broken_text_ends_the_search_without_a_crash() {
        for text in [
            "{",
            "{{",
            "{%",
            "{{ 'a",
            "{{ a |",
            "{{ options",
            "{{ options[",
            "{{ options['",
            "{{ options.",
            "{# x",
            "{% raw %}",
            "é{{ é|é }}{",
        ] {
            let _ = uses(text);
        }
    }
}
