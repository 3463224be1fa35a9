//! Finds the filters, tests, calls and statements that a template uses, also in branches that a
//! trial does not take. Pure.
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
    while let Some(letter) = rest.chars().next() {
        if open_braces == 0 && rest.starts_with(end) {
            return rest.get(end.len()..).unwrap_or_default();
        }
        if letter.is_alphabetic() || letter == '_' {
            let (word, following) = take_word(rest);
            let called = following.trim_start().starts_with('(');
            before = before.word(word, called, found);
            rest = following;
            continue;
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        match letter {
            '\'' | '"' => rest = after_string(rest, letter),
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
    }
    ""
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
        assert_eq!(
            uses(template),
            [Use::Statement("raw"), Use::Filter("length")]
        );
    }

    #[test]
    fn broken_text_ends_the_search_without_a_crash() {
        for text in [
            "{",
            "{{",
            "{%",
            "{{ 'a",
            "{{ a |",
            "{# x",
            "{% raw %}",
            "é{{ é|é }}{",
        ] {
            let _ = uses(text);
        }
    }
}
